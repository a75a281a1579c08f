package policy

import (
	"cmp"
	"math"
	"time"
)

// Backoff says how long to wait before each retry: a bound that grows from one
// retry to the next, and jitter that spreads the waits below it, so that clients
// who failed together do not come back together. Its zero value doubles the
// bound each time and has full jitter.
type Backoff struct {
	// Base is the first bound. Zero means the default of the field that holds
	// the Backoff; negative means no wait at all.
	Base time.Duration

	// Max bounds every wait. Zero means 20 s, or Base if that is more.
	Max time.Duration

	// Factor is what an exponential bound grows by. Zero means 2, or 3 with
	// [DecorrelatedJitter]; at least 1.
	Factor float64

	// Kind is how the bound grows. Zero means [ExponentialBackoff].
	Kind BackoffKind

	// Jitter is how a wait is drawn. Zero means [FullJitter].
	Jitter Jitter

	// Func returns the bound of retry n, counted from 1, in place of Kind. What
	// it returns is brought into the range from zero to Max. It must be safe for
	// concurrent use. Nil means Kind.
	Func func(n int) time.Duration
}

// Delay returns the wait before retry n, counted from 1, for a random number in
// [0, 1). It is [Backoff.DelayAfter] for those that do not remember the wait
// before, for which only [DecorrelatedJitter] asks.
func (b Backoff) Delay(n int, random float64) time.Duration { return b.DelayAfter(0, n, random) }

// DelayAfter returns the wait before retry n, counted from 1, for a random number
// in [0, 1), when the wait before it was previous. It depends on nothing else.
// It neither overflows nor exceeds Max, however large n is.
func (b Backoff) DelayAfter(previous time.Duration, n int, random float64) time.Duration {
	b = b.withDefaults(0)
	if n < 1 || b.Base < 0 {
		return 0
	}
	if b.Jitter == DecorrelatedJitter {
		least := b.cap(b.Base)
		most := b.capFloat(b.Factor * float64(max(previous, b.Base)))
		return least + share(max(0, most-least), random)
	}
	bound := b.bound(n)
	switch b.Jitter {
	case EqualJitter:
		return bound/2 + share(bound-bound/2, random)
	case NoJitter:
		return bound
	}
	return share(bound, random)
}

// withDefaults fills b's zero fields.
func (b Backoff) withDefaults(base time.Duration) Backoff {
	b.Base = cmp.Or(b.Base, base)
	b.Max = cmp.Or(b.Max, max(20*time.Second, b.Base))
	if b.Factor == 0 {
		b.Factor = 2
		if b.Jitter == DecorrelatedJitter {
			b.Factor = 3
		}
	}
	return b
}

// or returns b with its zero fields filled; if it is zero as a whole, another.
func (b Backoff) or(another Backoff) Backoff {
	if b.Func == nil && b.Base == 0 && b.Max == 0 && b.Factor == 0 && b.Kind == 0 && b.Jitter == 0 {
		return another
	}
	return b.withDefaults(another.Base)
}

// bound returns the bound of retry n.
func (b Backoff) bound(n int) time.Duration {
	switch {
	case b.Func != nil:
		return b.cap(b.Func(n))
	case b.Kind == ConstantBackoff:
		return b.cap(b.Base)
	case b.Kind == LinearBackoff:
		return b.capFloat(float64(b.Base) * float64(n))
	}
	return b.capFloat(float64(b.Base) * math.Pow(b.Factor, float64(n-1)))
}

// cap brings d into the range from zero to Max.
func (b Backoff) cap(d time.Duration) time.Duration { return max(0, min(d, b.Max)) }

// capFloat is cap for what may be infinite or beyond the range of a Duration.
func (b Backoff) capFloat(d float64) time.Duration {
	if d < float64(b.Max) {
		return b.cap(time.Duration(d))
	}
	return b.cap(b.Max)
}

// share returns d × fraction, at least zero and at most d.
func share(d time.Duration, fraction float64) time.Duration {
	part := fraction * float64(d)
	switch {
	case part >= float64(d):
		return d
	case part > 0:
		return time.Duration(part)
	}
	return 0
}
