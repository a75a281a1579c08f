package policy

import (
	"cmp"
	"context"
	"time"
)

// Breaker sets when a circuit breaker stops the traffic to a server that is
// down. It is for outages: only faults count ([Class.IsFault]), not overload,
// rate limits, wrong requests or callers who gave up, since a breaker that opens
// on overload throws away the capacity that is there. Its zero value is ready
// to use.
type Breaker struct {
	// Off leaves the breaker out.
	Off bool

	// Name tells breakers apart in errors and transitions.
	Name string

	// Ratio is the share of faults, over 0 and up to 1, at which the breaker
	// opens. It is rounded to whole percents. Zero means 0.5.
	Ratio float64

	// MinCalls is how many calls the window must hold before Ratio counts. Zero
	// means 10.
	MinCalls int

	// Window is the time over which calls are counted. Zero means 30 s.
	Window time.Duration

	// OpenFor is how long the breaker stays open before it lets probes through.
	// It doubles each time that the probes fail, up to MaxOpenFor. Zero means
	// 5 s, and for MaxOpenFor 60 s, or OpenFor if that is more.
	OpenFor, MaxOpenFor time.Duration

	// Probes is how many calls in a row must end well, while the breaker is half
	// open, to close it. So many may be under way at once. Zero means 3.
	Probes int

	// ProbeLease is the longest time that a probe may take. One that has no
	// outcome by then counts as a fault, so that a probe that hangs cannot block
	// the breaker. Zero means 15 s.
	ProbeLease time.Duration

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier

	// OnTransition is called after each change of state, outside any lock, on
	// the goroutine of the call that caused it. Nil means nothing.
	OnTransition func(context.Context, Transition)
}

const defaultWindow = 30 * time.Second

// WithDefaults returns a copy of b with its zero fields filled.
func (b Breaker) WithDefaults() Breaker {
	b.Ratio = cmp.Or(b.Ratio, 0.5)
	b.MinCalls = cmp.Or(b.MinCalls, 10)
	b.Window = cmp.Or(b.Window, defaultWindow)
	b.OpenFor = cmp.Or(b.OpenFor, 5*time.Second)
	b.MaxOpenFor = cmp.Or(b.MaxOpenFor, max(60*time.Second, b.OpenFor))
	b.Probes = cmp.Or(b.Probes, 3)
	b.ProbeLease = cmp.Or(b.ProbeLease, 15*time.Second)
	return b
}

// BreakerState is the state of a circuit breaker.
type BreakerState uint8

// The states of a circuit breaker.
const (
	// Closed lets every call through.
	Closed BreakerState = iota
	// Open refuses every call.
	Open
	// HalfOpen lets some probes through and refuses the rest.
	HalfOpen
)

// String returns "closed", "open" or "half_open".
func (s BreakerState) String() string {
	switch s {
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	}
	return "closed"
}

// A Transition is a change of a breaker's state.
type Transition struct {
	Name     string // of the breaker
	From, To BreakerState
	At       time.Time

	// Until is when the breaker will let probes through, if To is Open.
	Until time.Time
}
