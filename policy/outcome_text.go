package policy

import (
	"fmt"
	"strings"
)

// String returns the status and the error of the outcome. Its header and its body,
// which may hold cookies and repeat what was asked, are left out.
func (o Outcome) String() string {
	var parts []string
	if o.Status != 0 {
		parts = append(parts, fmt.Sprintf("status %d", o.Status))
	}
	if o.Err != nil {
		parts = append(parts, withoutSecrets(o.Err))
	}
	return strings.Join(parts, ", ")
}

// GoString returns the same.
func (o Outcome) GoString() string { return "policy.Outcome(" + o.String() + ")" }

// MarshalText returns the same, for log records.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// GoString returns what [Verdict.String] does, without the provider's own words.
func (v Verdict) GoString() string { return "policy.Verdict(" + v.String() + ")" }
