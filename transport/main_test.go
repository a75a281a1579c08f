package transport_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets the heap, which is small, grow further between collections: the
// simulations make much and keep little, and took a quarter longer.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
