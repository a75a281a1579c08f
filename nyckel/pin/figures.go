package pin

import (
	"fmt"
	"math"
)

// z is of a two-sided interval of 95 %.
const z = 1.959964

// A Proportion is how often something was so, of how many times.
type Proportion struct {
	Hits int `json:"hits"`
	Of   int `json:"of"`
}

// Share returns the share, 0 to 1; zero of nothing.
func (p Proportion) Share() float64 {
	if p.Of == 0 {
		return 0
	}
	return float64(p.Hits) / float64(p.Of)
}

// Interval returns the bounds between which the share of very many would lie with
// a confidence of 95 %, by Wilson's score; 0 and 1 of nothing.
func (p Proportion) Interval() (low, high float64) {
	if p.Of == 0 {
		return 0, 1
	}
	n, share := float64(p.Of), p.Share()
	middle := share + z*z/(2*n)
	margin := z * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	scale := 1 + z*z/n
	return max(0, (middle-margin)/scale), min(1, (middle+margin)/scale)
}

// String returns, for example, "91.5 % (88.2–93.9 %, 183 of 200)".
func (p Proportion) String() string {
	low, high := p.Interval()
	return fmt.Sprintf("%.1f %% (%.1f–%.1f %%, %d of %d)", 100*p.Share(), 100*low, 100*high, p.Hits, p.Of)
}

// exactUpTo is up to how many differing pairs McNemar's test is the exact one.
const exactUpTo = 1000

// mcnemar returns the probability of a split at least as uneven as a to b if both
// models were equally good: by the binomial distribution, or for great counts by
// the normal one with a correction for continuity.
func mcnemar(a, b int) float64 {
	n, k := a+b, min(a, b)
	if a == b {
		return 1
	}
	if n > exactUpTo {
		distance := math.Abs(float64(a-b)) - 1
		return math.Erfc(distance / math.Sqrt(2*float64(n)))
	}
	tail := 0.0
	for i := 0; i <= k; i++ {
		tail += math.Exp(logChoose(n, i) - float64(n)*math.Ln2)
	}
	return min(1, 2*tail)
}

func logChoose(n, k int) float64 {
	gamma := func(x int) float64 {
		v, _ := math.Lgamma(float64(x))
		return v
	}
	return gamma(n+1) - gamma(k+1) - gamma(n-k+1)
}

// difference returns by how much the second share of n pairs exceeds the first,
// where only first and only second count the pairs that tell, and an interval of
// 95 % for it, by Bonett and Price's adjusted Wald method.
func difference(first, second, n int) (d, low, high float64) {
	if n == 0 {
		return 0, -1, 1
	}
	more, less := float64(second+1)/float64(n+2), float64(first+1)/float64(n+2)
	middle := more - less
	margin := z * math.Sqrt((more+less-middle*middle)/float64(n+2))
	return float64(second-first) / float64(n), max(-1, middle-margin), min(1, middle+margin)
}
