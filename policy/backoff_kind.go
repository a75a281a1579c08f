package policy

import (
	"fmt"
	"strings"
)

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
	return named(k, backoffKindNames, text, "backoff")
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
func (j *Jitter) UnmarshalText(text []byte) error { return named(j, jitterNames, text, "jitter") }

// nameOf returns the name of value, one of a kind of things.
func nameOf[T ~uint8](names []string, value T, kind string) string {
	if int(value) < len(names) {
		return names[value]
	}
	return fmt.Sprintf("%s(%d)", kind, uint8(value))
}

// named sets value by its name.
func named[T ~uint8](value *T, names []string, text []byte, kind string) error {
	for i, name := range names {
		if name == string(text) {
			*value = T(i)
			return nil
		}
	}
	return fmt.Errorf("policy: unknown %s %q, want one of %s", kind, text, strings.Join(names, ", "))
}
