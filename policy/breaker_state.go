package policy

import "time"

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
	// Isolated refuses every call, because somebody said so.
	Isolated
)

// String returns "closed", "open", "half_open" or "isolated".
func (s BreakerState) String() string {
	switch s {
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	case Isolated:
		return "isolated"
	}
	return "closed"
}

// A Trigger says what changed a breaker's state. It is fit for a metric's label.
type Trigger string

// The triggers.
const (
	ByThreshold Trigger = "threshold" // the window held too many faults or slow calls
	ByProbe     Trigger = "probe"     // a probe's outcome
	ByLease     Trigger = "lease"     // a probe had no outcome in its time
	ByHand      Trigger = "manual"    // somebody said so
	ByExpiry    Trigger = "expiry"    // the time that was set is up
)

// The reasons of a transition [ByThreshold].
const (
	TooManyFaults = "faults"
	TooManySlow   = "slow calls"
)

// A Transition is a change of a breaker's state, or of whether it refuses
// anybody: then From and To are the same.
type Transition struct {
	Name     string // of the breaker
	From, To BreakerState
	At       time.Time

	// Until is when what begins here ends by itself: an open or isolated breaker
	// lets probes through, one that is only observed refuses again. Zero means
	// never.
	Until time.Time

	// Trigger says what kind of event it was.
	Trigger Trigger

	// Reason is what was given with an order by hand, both when it begins and
	// when it expires or is released; [TooManyFaults] or [TooManySlow] for
	// ByThreshold; else "".
	Reason string

	// MetricsOnly says that the breaker refuses nobody from now on: To is what it
	// would be.
	MetricsOnly bool

	// Calls, Faults and Slow are what the window held, if From is Closed.
	Calls, Faults, Slow int
}

// A BreakerSnapshot is what a breaker looks like at one moment.
type BreakerSnapshot struct {
	Name  string
	State BreakerState

	// Calls, Faults and Slow are the calls that the window holds now, and how
	// many of them were faults and how many slow. Only a closed breaker counts.
	Calls, Faults, Slow int

	// Probes is how many probes of a half-open breaker are under way.
	Probes int

	// Until is when an open or isolated breaker lets probes through. Zero means
	// that it is neither, or isolated until it is released.
	Until time.Time

	// MetricsOnly says that the breaker refuses nobody, and MetricsUntil when that
	// ends; zero means that it does not by itself.
	MetricsOnly  bool
	MetricsUntil time.Time

	// Reason is what was given with the order by hand that is in force, else "".
	Reason string

	// Last is the last transition, zero if there was none.
	Last Transition
}
