package policy

import (
	"cmp"
	"errors"
	"time"
)

// Throttle sets when a client spares a server that turns many of its requests
// away. A request costs the server something even if it says no, so the client
// says no itself to a share of them that grows with the server's. It is for
// overload, as [Breaker] is for outages. Its zero value is ready to use.
//
// Rejections are answers that say so ([Overloaded], [RateLimited]) and attempts
// that time out ([TimedOut]), since a server with a long queue has no other way
// to say it. A caller's own deadline, be it ever so short, is no rejection. Any
// other answer was accepted, also one of 4xx; what says nothing of the load, such
// as a fault, a caller who left or our own refusal, does not count.
//
// Of n requests that came to an outcome within the Window, a of them accepted,
// the share that is refused here, by client-side adaptive throttling (Site Reliability
// Engineering, chapter "Handling Overload"), is
//
//	(n - a/(1-Ratio)) / (n + 1)
//
// at least zero and at most MaxRefused: with a server that accepts nothing the
// share rises to MaxRefused, with one that accepts 1-Ratio or more it is zero. So
// a client that sends r requests a second to a server that accepts c of them lets
// about the square root of r·c/(1-Ratio) through. Once the server is well again,
// steady traffic is all let through, with the usual settings, within half a Window.
type Throttle struct {
	// Off leaves the throttle out.
	Off bool

	// Name tells throttles apart in errors.
	Name string

	// Ratio is the share of requests that the server may reject before any is
	// refused here: 0.01 to 0.99. Zero means 0.5.
	Ratio float64

	// MinCalls is how many requests the window must hold before a share of them
	// counts. Zero means 10.
	MinCalls int

	// Window is the time over which requests are counted, at least 10 ms. When there
	// was no rejection for that long, none is refused. Zero means 30 s.
	Window time.Duration

	// MaxRefused is the greatest share that is refused: 0.01 to 0.99, never all, since
	// what is let through is how the client learns that the server is well again.
	// Zero means 0.9.
	MaxRefused float64

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier

	// Random returns numbers in [0, 1), for who is refused. Nil means
	// math/rand/v2.Float64. It must be safe for concurrent use.
	Random func() float64
}

// WithDefaults returns a copy of t with its zero fields filled.
func (t Throttle) WithDefaults() Throttle {
	t.Ratio = cmp.Or(t.Ratio, 0.5)
	t.MinCalls = cmp.Or(t.MinCalls, 10)
	t.Window = cmp.Or(t.Window, defaultWindow)
	t.MaxRefused = cmp.Or(t.MaxRefused, 0.9)
	return t
}

// Validate reports everything that is wrong with t, a zero field being right.
func (t Throttle) Validate() error {
	t = t.WithDefaults()
	return errors.Join(
		check(t.Ratio >= 0.01 && t.Ratio <= 0.99, "Throttle.Ratio", t.Ratio, "0.01 to 0.99"),
		check(t.MinCalls >= 1, "Throttle.MinCalls", t.MinCalls, "at least 1"),
		check(t.Window >= 10*time.Millisecond, "Throttle.Window", t.Window, "at least 10ms"),
		check(t.MaxRefused >= 0.01 && t.MaxRefused <= 0.99, "Throttle.MaxRefused", t.MaxRefused, "0.01 to 0.99"),
	)
}

func (t *Throttle) validate() error {
	if t == nil {
		return nil
	}
	return t.Validate()
}
