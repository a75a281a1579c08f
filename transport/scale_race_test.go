//go:build race

package transport_test

// The race detector makes these tests many times as dear, and sees as much in
// fewer rounds: each is the work of one goroutine.
const (
	traces   = 10_000
	manyKeys = 100_000

	hitAllocations = 6 // it keeps pools from keeping all
)
