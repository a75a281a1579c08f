package nyckelsim

import (
	"math"
	"math/rand/v2"
)

// How a classifier learns. The values were chosen for accuracy and calibration
// on short questions with dozens of labels; with vectors of length 1 they hold
// for a handful of examples as well.
const (
	epochs       = 6     // passes over the examples
	initialRate  = 5     // of learning; it falls to 0 in a straight line
	biasRate     = 0.1   // of learning the biases, relative to the weights
	smallestStep = 0.001 // errors below this teach next to nothing, and are most of the cost
)

// An example is a text and its true class, a number from 0.
type example struct {
	text  string
	class int
}

// learn returns what stochastic gradient descent makes of the examples. On one
// processor architecture, equal examples in equal order and an equal seed give
// an equal classifier.
func learn(examples []example, classes int, seed uint64) *classifier {
	c := &classifier{classes: classes, bias: make([]float32, classes)}
	c.learnVocabulary(examples)
	c.weights = make([]float32, len(c.rarity)*classes)
	vectors := mapped(examples, func(e example) []term { return c.vector(e.text) })

	random := rand.New(rand.NewPCG(seed, 0))
	p := make([]float32, classes)
	step, steps := 0, epochs*len(examples)
	for range epochs {
		for _, i := range random.Perm(len(examples)) {
			rate := initialRate * (1 - float32(step)/float32(steps))
			step++
			c.predict(vectors[i], p)
			c.correct(vectors[i], examples[i].class, p, rate)
		}
	}
	return c
}

// learnVocabulary numbers the features of all examples and notes how rare each
// one is.
func (c *classifier) learnVocabulary(examples []example) {
	c.vocabulary = map[uint64]int{}
	var holders []int // by feature: how many examples have it
	var last []int    // by feature: the last example that has it
	for i, e := range examples {
		for feature := range features(e.text) {
			f, known := c.vocabulary[feature]
			if !known {
				f = len(holders)
				c.vocabulary[feature] = f
				holders, last = append(holders, 0), append(last, -1)
			}
			if last[f] != i {
				holders[f]++
				last[f] = i
			}
		}
	}
	c.rarity = mapped(holders, func(n int) float32 {
		return 1 + float32(math.Log(float64(1+len(examples))/float64(1+n)))
	})
}

// correct moves the weights so that, for the text of vector v, the probabilities
// p come nearer to the truth. It overwrites p.
func (c *classifier) correct(v []term, truth int, p []float32, rate float32) {
	p[truth]-- // now p is each class's error
	wrong := make([]int, 0, len(p))
	for class, e := range p {
		if e > smallestStep || e < -smallestStep {
			wrong = append(wrong, class)
			c.bias[class] -= biasRate * rate * e
		}
	}
	for _, t := range v {
		row := c.row(t.feature)
		for _, class := range wrong {
			row[class] -= rate * t.weight * p[class]
		}
	}
}
