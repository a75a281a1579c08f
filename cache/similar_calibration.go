package cache

import "math"

// thresholds are the similarities from which on one question may be answered for
// another. Which of them is in force, if any, is found out by comparing.
var thresholds = [...]float64{minSimilarity, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1}

const (
	// maxCompared is how many of the latest comparisons count.
	maxCompared = 4096

	// maxRecent is how many of them tell whether the others still hold.
	maxRecent = 256
)

// Quantiles of the normal distribution for one-sided intervals of 95 %: for one
// share, and for that of each threshold so that all hold together (Bonferroni).
var (
	quantile    = math.Sqrt2 * math.Erfinv(1-2*0.05)
	quantileAll = math.Sqrt2 * math.Erfinv(1-2*0.05/float64(len(thresholds)))
)

// A thresholdSet is a set of thresholds, a bit for each by its index.
type thresholdSet uint16

func (l thresholdSet) has(i int) bool { return l&(1<<i) != 0 }

// A comparison is what would have been answered, and whether it is what the
// service said.
type comparison struct {
	given thresholdSet // the thresholds under which there would have been an answer
	right bool
}

// A calibration finds the threshold under which answers are right often enough,
// from the latest comparisons. What was found before a change for the worse does
// not count.
type calibration struct {
	target float64      // accuracy that must be shown
	latest []comparison // a ring once it is full
	next   int          // where the next one goes, once it is
	all    score
	recent score
}

// A score says by threshold how many answers there were and how many were right.
type score struct{ given, right [len(thresholds)]int }

func (s *score) add(c comparison, n int) {
	for i := range thresholds {
		if c.given.has(i) {
			s.given[i] += n
			if c.right {
				s.right[i] += n
			}
		}
	}
}

// add takes in a comparison, in the place of the oldest if there are many.
func (c *calibration) add(latest comparison) {
	n := len(c.latest)
	if n >= maxRecent {
		c.recent.add(c.latest[(c.next+n-maxRecent)%n], -1)
	}
	if n < maxCompared {
		c.latest = append(c.latest, latest)
	} else {
		c.all.add(c.latest[c.next], -1)
		c.latest[c.next] = latest
		c.next = (c.next + 1) % n
	}
	c.all.add(latest, 1)
	c.recent.add(latest, 1)
	if c.contradicted() {
		c.restart()
	}
}

// contradicted reports whether a threshold that all comparisons allow is refuted
// by the recent ones alone.
func (c *calibration) contradicted() bool {
	for i := range thresholds {
		_, upper := wilson(c.recent.right[i], c.recent.given[i], quantile)
		if upper < c.target && c.lowerBound(i) >= c.target {
			return true
		}
	}
	return false
}

// restart forgets all but the recent comparisons.
func (c *calibration) restart() {
	recent := make([]comparison, 0, maxRecent)
	for i := max(0, len(c.latest)-maxRecent); i < len(c.latest); i++ {
		recent = append(recent, c.latest[(c.next+i)%len(c.latest)])
	}
	c.latest, c.next, c.all = recent, 0, c.recent
}

// best returns the threshold with most answers among those that are shown to meet
// the target. It reports false if none is.
func (c *calibration) best() (best int, ok bool) {
	for i, given := range c.all.given {
		if (!ok || given > c.all.given[best]) && c.lowerBound(i) >= c.target {
			best, ok = i, true
		}
	}
	return best, ok
}

// accuracy is the share of the answers under threshold i that were right, of which
// there is one at least.
func (c *calibration) accuracy(i int) float64 {
	return float64(c.all.right[i]) / float64(c.all.given[i])
}

// lowerBound is what accuracy is at least, all thresholds taken together.
func (c *calibration) lowerBound(i int) float64 {
	lower, _ := wilson(c.all.right[i], c.all.given[i], quantileAll)
	return lower
}

// wilson returns the bounds of Wilson's score interval for a share, of which right
// in n were seen.
func wilson(right, n int, quantile float64) (lower, upper float64) {
	if n == 0 {
		return 0, 1
	}
	share, m, q := float64(right)/float64(n), float64(n), quantile*quantile
	middle := share + q/(2*m)
	reach := quantile * math.Sqrt(share*(1-share)/m+q/(4*m*m))
	return (middle - reach) / (1 + q/m), (middle + reach) / (1 + q/m)
}
