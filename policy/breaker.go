package policy

import (
	"cmp"
	"context"
	"log/slog"
	"time"
)

// Breaker sets when a circuit breaker stops the traffic to a server that is
// down. It is for outages: only faults count ([Class.IsFault]), not overload,
// rate limits, wrong requests, uploads that broke at their source
// ([RequestBodyError]) or callers who gave up, since a breaker that opens on
// overload throws away the capacity that is there. Its zero value is ready to use.
type Breaker struct {
	// Off leaves the breaker out. One that is off cannot be isolated either.
	Off bool

	// Name tells breakers apart in errors and transitions.
	Name string

	// Ratio is the share of faults, 0.01 to 1, at which the breaker opens. Within a
	// Window it is rounded to whole percents. Zero means 0.5.
	Ratio float64

	// MinCalls is how many calls the window must hold before a share of them
	// counts. Zero means 10, or LastCalls if that is set and less.
	MinCalls int

	// Window is the time over which calls are counted, at least 10 ms. Zero means
	// 30 s.
	Window time.Duration

	// LastCalls counts that many of the last calls, at most 1,000,000, instead of
	// those of a time: Window is not used then. The shares are those of LastCalls
	// calls, even when there were fewer yet. Zero or negative means that Window counts.
	LastCalls int

	// SlowCall is the time to the header, or to the error, from which on a call is
	// slow. How long the body takes does not matter: that is as much the reader's
	// pace as the server's. While the breaker is half open, a probe that is slow
	// counts as a fault. Zero or negative means that no call is slow.
	SlowCall time.Duration

	// SlowRatio is the share of slow calls, 0.01 to 1, at which the breaker opens, as
	// Ratio is of faults. It is not used without SlowCall. Zero means 0.8.
	SlowRatio float64

	// OpenFor is how long the breaker stays open before it lets probes through.
	// It doubles each time that the probes fail, up to MaxOpenFor. A server that
	// asks for a longer wait gets it, up to MaxOpenFor. Zero means 5 s, and for
	// MaxOpenFor 60 s, or OpenFor if that is more.
	OpenFor, MaxOpenFor time.Duration

	// Jitter is the greatest share of the open time that is added to it at
	// random, within MaxOpenFor, so that clients that lost a server together do
	// not all come back at once. At most 1. Zero means 0.1; negative means none.
	Jitter float64

	// Probes is how many calls in a row must end well, while the breaker is half
	// open, to close it. As many may be under way at once. Zero means 3.
	Probes int

	// ProbeLease is how long a probe may take to its header, and then each time
	// until its reader comes for more of the body. One of which nothing is heard for
	// longer counts as a fault, so that a probe that hangs cannot block the breaker.
	// One whose body still comes after that time counts as one that ended well, since
	// a stream may go on for long. Zero means 15 s.
	ProbeLease time.Duration

	// Patience is how long the server must have kept a caller waiting, for the
	// header or for more of the body, for the caller's own deadline to count as a
	// fault. A caller with less time to give learns nothing of the server, and so
	// does the breaker. The limits of layers below the breaker count always. Zero
	// means SlowCall, or 2 s without one; negative means that a caller's deadline
	// never counts.
	Patience time.Duration

	// TolerateTimeouts makes timeouts count as faults only while the window holds
	// no success. A server that answers some requests in time is overloaded, not
	// down, and to open would throw away the capacity that is there. The standard
	// stack sets it where a limit adapts to the server's capacity, which answers
	// overload better.
	TolerateTimeouts bool

	// MetricsOnly makes a breaker that counts and changes its state as any other,
	// and tells of it, but refuses nobody, unless it is isolated by hand.
	MetricsOnly bool

	// Logger gets a record of what is done to the breaker by hand; of all other
	// changes the records are those of the call that brings them about. Nil means
	// none.
	Logger *slog.Logger

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier

	// Random returns numbers in [0, 1) for the jitter. Nil means
	// math/rand/v2.Float64. It must be safe for concurrent use, and must not use
	// the breaker.
	Random func() float64

	// OnTransition is called after each change of state, outside any lock, on
	// the goroutine of the call that caused it and with that call's context. For
	// what is done by hand that is [context.Background]. Changes that concurrent
	// calls cause may be told in another order than theirs: Transition.At tells
	// which came first. Nil means nothing.
	OnTransition func(context.Context, Transition)
}

const (
	defaultWindow     = 30 * time.Second
	defaultProbeLease = 15 * time.Second
)

// WithDefaults returns a copy of b with its zero fields filled.
func (b Breaker) WithDefaults() Breaker {
	b.Ratio = cmp.Or(b.Ratio, 0.5)
	if b.MinCalls == 0 {
		b.MinCalls = 10
		if b.LastCalls > 0 {
			b.MinCalls = min(b.MinCalls, b.LastCalls)
		}
	}
	b.Window = cmp.Or(b.Window, defaultWindow)
	if b.SlowCall > 0 {
		b.SlowRatio = cmp.Or(b.SlowRatio, 0.8)
	}
	b.OpenFor = cmp.Or(b.OpenFor, 5*time.Second)
	b.MaxOpenFor = cmp.Or(b.MaxOpenFor, max(60*time.Second, b.OpenFor))
	b.Jitter = cmp.Or(b.Jitter, 0.1)
	b.Probes = cmp.Or(b.Probes, 3)
	b.ProbeLease = cmp.Or(b.ProbeLease, defaultProbeLease)
	b.Patience = cmp.Or(b.Patience, max(0, b.SlowCall), 2*time.Second)
	return b
}
