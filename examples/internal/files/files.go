// Package files says what the examples ask of the files that they are given.
package files

import (
	"os"
	"path/filepath"
	"slices"
)

// IsOneOf reports whether a file that is to be written is one of the others, by whatever
// name. None of them need be there yet; "" is no file.
func IsOneOf(name string, others ...string) bool {
	return name != "" && slices.ContainsFunc(others, func(other string) bool {
		return other != "" && isSame(other, name)
	})
}

func isSame(a, b string) bool {
	one, err1 := os.Stat(a)
	other, err2 := os.Stat(b)
	return filepath.Clean(a) == filepath.Clean(b) || err1 == nil && err2 == nil && os.SameFile(one, other)
}
