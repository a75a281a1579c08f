package policy

import (
	"fmt"
	"strings"
)

// nameOf returns the name of value, or its number in brackets after the kind of thing
// that it is.
func nameOf[T ~uint8](names []string, value T, kind string) string {
	if int(value) < len(names) {
		return names[value]
	}
	return fmt.Sprintf("%s(%d)", kind, uint8(value))
}

// parseName sets value to the one with the name in text. The kind is for the error.
func parseName[T ~uint8](value *T, names []string, text []byte, kind string) error {
	for i, name := range names {
		if name == string(text) {
			*value = T(i)
			return nil
		}
	}
	return fmt.Errorf("policy: unknown %s %q, want one of %s", kind, text, strings.Join(names, ", "))
}
