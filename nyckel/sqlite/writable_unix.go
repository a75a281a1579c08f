//go:build linux || darwin

package sqlite

import "syscall"

// writable returns an error if the file cannot be written to.
func writable(path string) error {
	const write = 2 // W_OK
	return syscall.Access(path, write)
}
