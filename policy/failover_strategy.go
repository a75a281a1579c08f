package policy

import (
	"fmt"
	"strings"
)

// MarshalText returns the name as a file has it, such as "round_robin".
func (s Strategy) MarshalText() ([]byte, error) {
	return []byte(strings.ReplaceAll(s.String(), " ", "_")), nil
}

// UnmarshalText accepts the names that [Strategy.MarshalText] returns.
func (s *Strategy) UnmarshalText(text []byte) error {
	var known []string
	for strategy := Ordered; strategy <= Sticky; strategy++ {
		name, _ := strategy.MarshalText()
		if string(name) == string(text) {
			*s = strategy
			return nil
		}
		known = append(known, string(name))
	}
	return fmt.Errorf("policy: unknown strategy %q, want one of %s", text, strings.Join(known, ", "))
}
