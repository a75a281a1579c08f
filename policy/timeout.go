package policy

import (
	"cmp"
	"time"
)

// Timeout sets the time limits of one exchange. Where the layer stands in the
// stack decides what an exchange is: above the retry layer the whole call,
// below it one attempt. Its zero value limits an attempt.
type Timeout struct {
	// Off lifts all limits.
	Off bool

	// Scope names the limits in errors. "" means "attempt".
	Scope string

	// Total bounds the exchange from the request to the end of the body, or to a 101.
	// Zero or negative means no bound.
	Total time.Duration

	// FirstByte bounds the time to the response's header, which includes that of
	// connecting and of sending the request: large bodies on slow lines need more.
	// Zero means 10 s, or Total if that is less; negative means no bound.
	FirstByte time.Duration

	// Idle bounds each wait for bytes of the body while the caller reads. A
	// caller who does not read lets no time pass. Zero means 30 s; negative means
	// no bound.
	Idle time.Duration
}

const defaultFirstByte = 10 * time.Second

// WithDefaults returns a copy of t with its zero fields filled.
func (t Timeout) WithDefaults() Timeout {
	t.Scope = cmp.Or(t.Scope, "attempt")
	if t.FirstByte == 0 {
		t.FirstByte = defaultFirstByte
		if t.Total > 0 {
			t.FirstByte = min(t.FirstByte, t.Total)
		}
	}
	t.Idle = cmp.Or(t.Idle, 30*time.Second)
	return t
}
