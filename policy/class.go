package policy

// A Class says what the outcome of one attempt means.
type Class uint8

// The classes. The comment beside each says what an attempt that ended so
// tells about the request; [Verdict] has the rest.
const (
	// Unknown is an outcome that no rule names. It is never retried.
	Unknown Class = iota
	// OK is an answer: any status below 400 whose body, as far as it was read,
	// is whole.
	OK
	// RateLimited means too many requests for now: come back later.
	RateLimited
	// QuotaExceeded means that the plan, credit or monthly quota is used up.
	// Waiting some seconds does not help.
	QuotaExceeded
	// Unauthenticated means missing, wrong or expired credentials.
	Unauthenticated
	// Forbidden means that these credentials may not do this.
	Forbidden
	// Overloaded means that the server is up but sheds load.
	Overloaded
	// TimedOut means that no answer came in the time that was given.
	TimedOut
	// Unreachable means that the request surely was never processed: the
	// connection could not be made.
	Unreachable
	// Interrupted means that the connection broke before an answer came. The
	// request may have been processed.
	Interrupted
	// Truncated means that the body ended before its announced end.
	Truncated
	// Invalid means that the request is wrong and stays wrong.
	Invalid
	// NotFound means that what was asked for does not exist.
	NotFound
	// Conflict means that the request collides with what is there already.
	Conflict
	// Filtered means that the provider refused the content.
	Filtered
	// Internal means that the server failed.
	Internal
	// Canceled means that the caller gave up. It is nobody's failure.
	Canceled
	// Refused means that this toolkit itself said no; see [Refusal].
	Refused

	numClasses
)

var classNames = [numClasses]string{
	Unknown:         "unknown",
	OK:              "ok",
	RateLimited:     "rate_limited",
	QuotaExceeded:   "quota_exceeded",
	Unauthenticated: "unauthenticated",
	Forbidden:       "forbidden",
	Overloaded:      "overloaded",
	TimedOut:        "timed_out",
	Unreachable:     "unreachable",
	Interrupted:     "interrupted",
	Truncated:       "truncated",
	Invalid:         "invalid",
	NotFound:        "not_found",
	Conflict:        "conflict",
	Filtered:        "filtered",
	Internal:        "internal",
	Canceled:        "canceled",
	Refused:         "refused",
}

// Classes returns every class, Unknown first.
func Classes() []Class {
	all := make([]Class, numClasses)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

// String returns the name of the class, for example "rate_limited".
func (c Class) String() string { return nameOf(classNames[:], c, "class") }

// MarshalText returns [Class.String].
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText accepts the names that [Class.String] returns.
func (c *Class) UnmarshalText(text []byte) error { return parseName(c, classNames[:], text, "class") }

// IsFault reports whether the class is a fault of the server or of the way to
// it: the ones that a circuit breaker counts. Overload, quota and wrong
// requests are not faults, since the server that says so is up; neither are
// cancellations and our own refusals.
func (c Class) IsFault() bool {
	switch c {
	case TimedOut, Unreachable, Interrupted, Truncated, Internal:
		return true
	}
	return false
}

// IsOutage reports whether the class means that the service cannot answer now
// though the request is fine, so that a spare answer is of use.
func (c Class) IsOutage() bool {
	switch c {
	case RateLimited, QuotaExceeded, Unauthenticated, Overloaded, Refused:
		return true
	}
	return c.IsFault()
}
