package itest_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var (
	long = flag.Bool("long", false, "run the long forms of the tests, which take minutes")
	seed = flag.Uint64("seed", 1, "of what is random")
)

// TestMain runs the tests, or, if the environment says so, the process that they
// kill.
func TestMain(m *testing.M) {
	if spec := os.Getenv(victimEnv); spec != "" {
		if err := runVictim(spec); err != nil {
			fmt.Fprintln(os.Stderr, "victim:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
