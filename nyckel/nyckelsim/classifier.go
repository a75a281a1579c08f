package nyckelsim

import (
	"math"
	"slices"
)

// A classifier is a multinomial logistic regression over the features of a
// text. It does not change once it has learned, and is then safe for concurrent
// use.
type classifier struct {
	classes    int
	vocabulary map[uint64]int // index of each feature seen in learning
	rarity     []float32      // by feature: its inverse document frequency
	weights    []float32      // by feature, and within it by class
	bias       []float32      // by class
}

// A term is a known feature of a text and how much it says about it.
type term struct {
	feature int
	weight  float32
}

// probabilities returns how likely each class is; the sum is 1.
func (c *classifier) probabilities(text string) []float64 {
	p := make([]float32, c.classes)
	c.predict(c.vector(text), p)
	return mapped(p, func(p float32) float64 { return float64(p) })
}

// vector returns the text's terms in order of feature, as a vector of length 1.
func (c *classifier) vector(text string) []term {
	var found []int
	for feature := range features(text) {
		if i, ok := c.vocabulary[feature]; ok {
			found = append(found, i)
		}
	}
	slices.Sort(found) // and not a map: sums must not depend on an order by chance

	var v []term
	var squares float64
	for len(found) > 0 {
		feature, count := found[0], 1
		for count < len(found) && found[count] == feature {
			count++
		}
		found = found[count:]
		weight := (1 + math.Log(float64(count))) * float64(c.rarity[feature])
		squares += weight * weight
		v = append(v, term{feature, float32(weight)})
	}
	scale := float32(1 / math.Sqrt(squares))
	for i := range v {
		v[i].weight *= scale
	}
	return v
}

// predict sets p to the probability of each class.
func (c *classifier) predict(v []term, p []float32) {
	copy(p, c.bias)
	for _, t := range v {
		for class, weight := range c.row(t.feature) {
			p[class] += t.weight * weight
		}
	}
	softmax(p)
}

// row returns a feature's weights by class.
func (c *classifier) row(feature int) []float32 {
	return c.weights[feature*c.classes:][:c.classes]
}

// softmax turns scores into probabilities.
func softmax(p []float32) {
	top := slices.Max(p) // subtracted, lest the exponentials overflow
	var sum float32
	for i, score := range p {
		p[i] = float32(math.Exp(float64(score - top)))
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
}
