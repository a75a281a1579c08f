package policy

import (
	"cmp"
	"math"
	"time"
)

// Backoff is an exponential backoff with full jitter: the nth wait is drawn
// evenly from zero to Base × Factor^(n-1), at most Max.
type Backoff struct {
	// Base bounds the first wait. Zero means the default of the field that
	// holds the Backoff; negative means no wait at all.
	Base time.Duration

	// Max bounds every wait. Zero means 20 s, or Base if that is more.
	Max time.Duration

	// Factor is what the bound grows by. Zero means 2; at least 1.
	Factor float64
}

// withDefaults fills b's zero fields.
func (b Backoff) withDefaults(base time.Duration) Backoff {
	b.Base = cmp.Or(b.Base, base)
	b.Max = cmp.Or(b.Max, max(20*time.Second, b.Base))
	b.Factor = cmp.Or(b.Factor, 2)
	return b
}

// Delay returns the wait before retry n, counted from 1, for a random number in
// [0, 1). It neither overflows nor exceeds Max, however large n is.
func (b Backoff) Delay(n int, random float64) time.Duration {
	b = b.withDefaults(0)
	if b.Base <= 0 || n < 1 {
		return 0
	}
	bound := float64(b.Base) * math.Pow(b.Factor, float64(n-1))
	return time.Duration(random * min(bound, float64(b.Max)))
}
