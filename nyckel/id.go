package nyckel

import "strings"

// SameID reports whether two ids are of the same thing. The service writes them
// with a prefix, as in "sample_0123456789abcdef", and takes them without.
func SameID(a, b string) bool { return bareID(a) == bareID(b) }

// bareID takes the prefix off an id. What stands before another underscore may be
// part of a name.
func bareID(id string) string {
	switch prefix, rest, _ := strings.Cut(id, "_"); prefix {
	case "function", "label", "sample", "field", "model":
		if rest != "" {
			return rest
		}
	}
	return id
}
