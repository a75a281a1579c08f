package policy

// A BackoffKind is how the bound of a [Backoff] grows from retry to retry.
type BackoffKind uint8

const (
	// ExponentialBackoff: Base × Factor^(n-1).
	ExponentialBackoff BackoffKind = iota
	// LinearBackoff: Base × n.
	LinearBackoff
	// ConstantBackoff: Base.
	ConstantBackoff
)

var backoffKindNames = []string{
	ExponentialBackoff: "exponential",
	LinearBackoff:      "linear",
	ConstantBackoff:    "constant",
}

// String returns "exponential", "linear" or "constant".
func (k BackoffKind) String() string { return nameOf(backoffKindNames, k, "backoff") }

// MarshalText returns [BackoffKind.String].
func (k BackoffKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText accepts the names that [BackoffKind.String] returns.
func (k *BackoffKind) UnmarshalText(text []byte) error {
	return parseName(k, backoffKindNames, text, "backoff")
}

// A Jitter is how a wait is drawn from the bound of a [Backoff].
type Jitter uint8

const (
	// FullJitter draws evenly from zero to the bound.
	FullJitter Jitter = iota
	// EqualJitter draws evenly from half of the bound to the bound.
	EqualJitter
	// DecorrelatedJitter draws evenly from Base to Factor times the wait before,
	// which starts at Base. It grows by itself, without a Kind or a Func.
	DecorrelatedJitter
	// NoJitter waits for as long as the bound says. Clients who failed together
	// come back together.
	NoJitter
)

var jitterNames = []string{
	FullJitter:         "full",
	EqualJitter:        "equal",
	DecorrelatedJitter: "decorrelated",
	NoJitter:           "none",
}

// String returns "full", "equal", "decorrelated" or "none".
func (j Jitter) String() string { return nameOf(jitterNames, j, "jitter") }

// MarshalText returns [Jitter.String].
func (j Jitter) MarshalText() ([]byte, error) { return []byte(j.String()), nil }

// UnmarshalText accepts the names that [Jitter.String] returns.
func (j *Jitter) UnmarshalText(text []byte) error { return parseName(j, jitterNames, text, "jitter") }
