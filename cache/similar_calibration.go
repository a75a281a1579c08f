package cache

import "math"

// thresholds are the likenesses from which on a text may be answered for another.
// Which of them is in force, if any, is found out by comparing.
var thresholds = [...]float64{0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1}

// maxCompared is how many of the latest comparisons count.
const maxCompared = 4096

// zOfAll is the quantile of the normal distribution for a one-sided interval of 95 %
// that holds for all thresholds together: by Bonferroni's correction each has its
// share of the 5 %.
var zOfAll = math.Sqrt2 * math.Erfinv(1-2*0.05/float64(len(thresholds)))

// A levels has a bit for each threshold.
type levels uint16

func (l levels) has(i int) bool { return l&(1<<i) != 0 }

// A comparison is what would have been answered, and how that compares with what
// the service said.
type comparison struct {
	given levels // the thresholds under which there would have been an answer
	right bool   // it would have been the service's
}

// A calibration finds the threshold under which answers are right often enough.
// Only the latest comparisons count, so that it follows what changes.
type calibration struct {
	latest []comparison // a ring once it is full
	next   int
	given  [len(thresholds)]int
	right  [len(thresholds)]int
}

// add takes in a comparison, in the place of the oldest.
func (c *calibration) add(new comparison) {
	if len(c.latest) < maxCompared {
		c.latest = append(c.latest, new)
	} else {
		c.count(c.latest[c.next], -1)
		c.latest[c.next] = new
	}
	c.next = (c.next + 1) % maxCompared
	c.count(new, 1)
}

func (c *calibration) count(one comparison, n int) {
	for i := range thresholds {
		if one.given.has(i) {
			c.given[i] += n
			if one.right {
				c.right[i] += n
			}
		}
	}
}

// best returns the threshold with most answers among those whose lower bound
// meets the target, and false if there is none.
func (c *calibration) best(target float64) (best int, ok bool) {
	for i, given := range c.given {
		if wilson(c.right[i], given) >= target && (!ok || given > c.given[best]) {
			best, ok = i, true
		}
	}
	return best, ok
}

// accuracy is the share of the answers under threshold i that were right.
func (c *calibration) accuracy(i int) float64 { return float64(c.right[i]) / float64(c.given[i]) }

// wilson returns the lower bound of the share of which right in n were seen, by
// Wilson's score interval.
func wilson(right, n int) float64 {
	if n == 0 {
		return 0
	}
	p, m := float64(right)/float64(n), float64(n)
	return (p + zOfAll*zOfAll/(2*m) - zOfAll*math.Sqrt(p*(1-p)/m+zOfAll*zOfAll/(4*m*m))) / (1 + zOfAll*zOfAll/m)
}
