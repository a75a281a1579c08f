//go:build !linux && !darwin

package sqlite

// networkFileSystem cannot tell here.
func networkFileSystem(string) string { return "" }
