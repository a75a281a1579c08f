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

// An example is an input and its true classes, numbers from 0: one, unless the
// classifier is for tags. All others are learned as not true, even if nobody said so.
type example struct {
	input   *input
	classes []int
}

// learn returns what stochastic gradient descent makes of the examples. On one
// processor architecture, equal examples in equal order and an equal seed give
// an equal classifier.
func learn(examples []example, classes int, tags bool, seed uint64) *classifier {
	c := &classifier{classes: classes, tags: tags, bias: make([]float32, classes)}
	c.learnVocabulary(examples)
	c.learnScales(examples)
	c.weights = make([]float32, (len(c.rarity)+len(c.scales))*classes)
	vectors := mapped(examples, func(e example) []term { return c.vector(e.input) })

	random := rand.New(rand.NewPCG(seed, 0))
	p := make([]float32, classes)
	step, steps := 0, epochs*len(examples)
	for range epochs {
		for _, i := range random.Perm(len(examples)) {
			rate := initialRate * (1 - float32(step)/float32(steps))
			step++
			c.predict(vectors[i], p)
			c.correct(vectors[i], examples[i].classes, p, rate)
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
		for feature := range e.input.words() {
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

// learnScales notes where the numbers of all examples lie and how far they
// spread.
func (c *classifier) learnScales(examples []example) {
	c.numbers = map[uint64]int{}
	var counts []float64
	var sums, squares []float64
	for _, e := range examples {
		for _, n := range e.input.numbers {
			i, known := c.numbers[n.feature]
			if !known {
				i = len(counts)
				c.numbers[n.feature] = i
				counts, sums, squares = append(counts, 0), append(sums, 0), append(squares, 0)
			}
			value := float64(n.value)
			counts[i]++
			sums[i] += value
			squares[i] += value * value
		}
	}
	c.scales = make([]scale, len(counts))
	for i, n := range counts {
		mean := sums[i] / n
		deviation := math.Sqrt(max(0, squares[i]/n-mean*mean))
		c.scales[i].Mean = mean
		if deviation > 1e-6*math.Abs(mean) { // else what is left is rounding
			c.scales[i].Factor = 1 / deviation
		}
	}
}

// correct moves the weights so that, for the input of vector v, the probabilities
// p come nearer to the truth. It overwrites p.
func (c *classifier) correct(v []term, truth []int, p []float32, rate float32) {
	for _, class := range truth {
		p[class]-- // now p is each class's error
	}
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
