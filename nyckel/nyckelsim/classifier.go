package nyckelsim

import (
	"math"
	"slices"
)

// A classifier is a logistic regression over the features of an input:
// multinomial, or for tags one that decides each class by itself. It does not
// change once it has learned, and is then safe for concurrent use.
type classifier struct {
	classes    int
	tags       bool
	vocabulary map[uint64]int // index of each word seen in learning
	rarity     []float32      // by word: its inverse document frequency
	numbers    map[uint64]int // index of each number seen in learning
	scales     []scale        // by number
	weights    []float32      // by word and then number, and within it by class
	bias       []float32      // by class
}

// A scale moves and stretches a number so that those of all examples have mean 0
// and deviation 1. If they are all the same, Factor is 0.
type scale struct {
	Mean, Factor float64
}

// farthest is how many deviations from the mean a number counts at most.
const farthest = 3

// A term is a known feature of an input and how much it says about it.
type term struct {
	feature int
	weight  float32
}

// probabilities returns how likely each class is; the sum is 1 but for tags.
func (c *classifier) probabilities(in *input) []float64 {
	p := make([]float32, c.classes)
	c.predict(c.vector(in), p)
	return mapped(p, func(p float32) float64 { return float64(p) })
}

// vector returns the input's terms: words in order of feature, as a vector of
// length 1, then numbers.
func (c *classifier) vector(in *input) []term {
	var found []int
	for feature := range in.words() {
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
	return c.appendNumbers(v, in)
}

// appendNumbers adds the input's numbers to its vector, together as long as the
// words are if they lie where numbers of examples lie.
func (c *classifier) appendNumbers(v []term, in *input) []term {
	share := 1 / math.Sqrt(float64(len(c.scales)))
	for _, n := range in.numbers {
		i, known := c.numbers[n.feature]
		if !known {
			continue
		}
		weight := (float64(n.value) - c.scales[i].Mean) * c.scales[i].Factor
		weight = max(-farthest, min(farthest, weight)) * share
		v = append(v, term{len(c.rarity) + i, float32(weight)})
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
	if c.tags {
		sigmoid(p)
	} else {
		softmax(p)
	}
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

// sigmoid turns scores into probabilities that do not depend on each other.
func sigmoid(p []float32) {
	for i, score := range p {
		p[i] = float32(1 / (1 + math.Exp(-float64(score))))
	}
}
