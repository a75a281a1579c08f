package policy

import (
	"math"
	"time"
)

// OpenTime returns how long a breaker stays open when it opens for the nth time
// in a row, counted from 1, after a server that asked to wait, for a random
// number in [0, 1). It is never below OpenFor nor above MaxOpenFor, and does not
// overflow, however large n is.
func (b Breaker) OpenTime(n int, wait time.Duration, random float64) time.Duration {
	b = b.WithDefaults()
	grown := float64(b.OpenFor) * math.Pow(2, float64(max(n, 1)-1))
	most := float64(b.MaxOpenFor)
	open := min(max(grown, float64(wait)), most)
	open += open * max(0, b.Jitter) * random
	if open >= most { // the greatest Duration, as a float64, is beyond what a Duration holds
		return b.MaxOpenFor
	}
	return time.Duration(open)
}
