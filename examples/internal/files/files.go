// Package files is what the examples do with the files that they are given.
package files

import (
	"encoding/json"
	"io"
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

// WriteJSON writes v as JSON to the file of that name, if there is one; "-" is stdout.
func WriteJSON(name string, stdout io.Writer, v any) error {
	if name == "" {
		return nil
	}
	content, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	content = append(content, '\n')
	if name == "-" {
		_, err = stdout.Write(content)
		return err
	}
	return os.WriteFile(name, content, 0o644)
}
