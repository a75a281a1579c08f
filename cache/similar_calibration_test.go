package cache

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWilson(t *testing.T) {
	// 81 of 263 is the example of Newcombe (1998).
	for _, tt := range []struct {
		right, n             int
		wantLower, wantUpper float64
	}{
		{0, 0, 0, 1},
		{0, 10, 0, 0.2775},
		{10, 10, 0.7225, 1},
		{5, 10, 0.2366, 0.7634},
		{81, 263, 0.2553, 0.3662},
	} {
		lower, upper := wilson(tt.right, tt.n, 1.959964)
		assert.InDelta(t, tt.wantLower, lower, 5e-5, "%d of %d", tt.right, tt.n)
		assert.InDelta(t, tt.wantUpper, upper, 5e-5, "%d of %d", tt.right, tt.n)
	}
	assert.InDelta(t, 1.644854, quantile, 1e-6)
	assert.InDelta(t, 2.539, quantileAll, 1e-3, "of 0.05/9")
}

// Answers that are right too seldom are given in few of the worlds.
func TestCalibrationHoldsTheTarget(t *testing.T) {
	const worlds = 400
	for _, tt := range []struct {
		accuracy        float64
		atLeast, atMost int // worlds where answers are given, in percent
	}{
		{0.85, 0, 0},
		{0.88, 0, 1},
		{0.90, 0, 5},
		{0.95, 97, 100},
		{1.00, 100, 100},
	} {
		serving := 0
		for world := range worlds {
			random := rand.New(rand.NewPCG(uint64(world), 1))
			c := calibration{target: 0.9}
			for range 600 {
				c.add(anyComparison(random, tt.accuracy))
			}
			if _, ok := c.best(); ok {
				serving++
			}
		}
		assert.GreaterOrEqual(t, 100*serving, tt.atLeast*worlds, "accuracy %v", tt.accuracy)
		assert.LessOrEqual(t, 100*serving, tt.atMost*worlds, "accuracy %v", tt.accuracy)
	}
}

// anyComparison has a different share of the traffic, but the same accuracy, under
// each threshold.
func anyComparison(random *rand.Rand, accuracy float64) comparison {
	c := comparison{right: random.Float64() < accuracy}
	for i := range thresholds {
		if random.IntN(len(thresholds)) >= i {
			c.given |= 1 << i
		}
	}
	return c
}

// The scores are those of the latest comparisons, counted anew.
func TestCalibrationCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	c := calibration{target: 0.9}
	var since []comparison // the last restart
	restarts := 0
	for i := range 5 * maxCompared {
		accuracy := 0.97
		if i > 2*maxCompared && i < 2*maxCompared+500 {
			accuracy = 0.5
		}
		latest := anyComparison(random, accuracy)
		since = append(since, latest)
		c.add(latest)
		if len(c.latest) < len(since) && len(since) <= maxCompared || len(c.latest) == maxRecent && len(since) > maxRecent {
			restarts++
			since = since[len(since)-maxRecent:]
		}
		if i%97 != 0 {
			continue
		}
		assert.Equal(t, scoreOf(since, maxCompared), c.all, "%d", i)
		assert.Equal(t, scoreOf(since, maxRecent), c.recent, "%d", i)
	}
	assert.Equal(t, 1, restarts)
}

func scoreOf(all []comparison, n int) (counted score) {
	for _, c := range all[max(0, len(all)-n):] {
		counted.add(c, 1)
	}
	return counted
}

func TestCalibrationTakesTheThresholdWithMostAnswers(t *testing.T) {
	c := calibration{target: 0.9}
	for i := range 1000 {
		c.add(comparison{given: 0b110, right: true})      // two thresholds are right
		c.add(comparison{given: 0b001, right: i%2 == 0})  // the one below them is not
		c.add(comparison{given: 0b010, right: i%10 != 0}) // and one has more
	}
	best, ok := c.best()
	assert.True(t, ok)
	assert.Equal(t, 1, best)
}
