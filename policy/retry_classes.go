package policy

import (
	"cmp"
	"time"
)

// ClassRetry sets how attempts that ended in one class are repeated.
type ClassRetry struct {
	// Attempts is the greatest number of attempts, the first included, at most 100, of a
	// call whose last attempt ended in this class. All count, whatever they ended in.
	// Zero means [Retry.Attempts]; 1 or negative means that nothing which ended
	// so is repeated.
	Attempts int

	// Backoff is the wait after an attempt that ended in this class, unless the
	// server names one. Its Base defaults to, and a zero Backoff stands for, the
	// one that the class has without an entry.
	Backoff Backoff
}

// PerClassRetries returns settings for [Retry.Classes] that are patient with
// servers which ask for patience, and quick to end what patience does not help:
//
//	class                               attempts   waits, full jitter
//	rate_limited                        5          1 s to 60 s
//	unreachable interrupted truncated   3          0.5 s to 10 s
//	overloaded                          4          2 s to 30 s
//	quota_exceeded                      1
//
// The waits are the bounds from the first to the longest one. The map is the
// caller's, to be changed as need be.
func PerClassRetries() map[Class]ClassRetry {
	network := ClassRetry{Attempts: 3, Backoff: Backoff{Base: 500 * time.Millisecond, Max: 10 * time.Second}}
	return map[Class]ClassRetry{
		RateLimited:   {Attempts: 5, Backoff: Backoff{Base: time.Second, Max: 60 * time.Second}},
		Unreachable:   network,
		Interrupted:   network,
		Truncated:     network,
		Overloaded:    {Attempts: 4, Backoff: Backoff{Base: 2 * time.Second, Max: 30 * time.Second}},
		QuotaExceeded: {Attempts: 1},
	}
}

// AttemptsFor returns how many attempts a call may have in all if the last one
// ended in class c, at least 1.
func (r Retry) AttemptsFor(c Class) int {
	return max(1, cmp.Or(r.Classes[c].Attempts, r.Attempts, defaultAttempts))
}

// MaxAttempts returns how many attempts a call may have in all, whatever their
// outcomes: the greatest number of any class.
func (r Retry) MaxAttempts() int {
	if r.Off {
		return 1
	}
	most := max(1, cmp.Or(r.Attempts, defaultAttempts))
	for c := range r.Classes {
		most = max(most, r.AttemptsFor(c))
	}
	return most
}

// backoff returns the backoff after an attempt that ended in class c.
func (r Retry) backoff(c Class) Backoff {
	usual, base := r.Backoff, defaultBase
	if c == RateLimited || c == Overloaded {
		usual, base = r.Throttled, defaultThrottledBase
	}
	return r.Classes[c].Backoff.or(usual.withDefaults(base))
}

// classesWithDefaults returns a copy of r.Classes with the zero fields filled.
func (r Retry) classesWithDefaults() map[Class]ClassRetry {
	if r.Classes == nil {
		return nil
	}
	filled := make(map[Class]ClassRetry, len(r.Classes))
	for c, own := range r.Classes {
		filled[c] = ClassRetry{Attempts: cmp.Or(own.Attempts, r.Attempts, defaultAttempts), Backoff: r.backoff(c)}
	}
	return filled
}
