// Package files says what commands ask of the files that they are given.
package files

import "os"

// Same reports whether two names are of one file that is there.
func Same(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
