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

// TestMain runs the tests, or, if the environment says so, a process that they kill.
func TestMain(m *testing.M) {
	for env, run := range map[string]func(string) error{victimEnv: runVictim, moverEnv: runMove, enqueuerEnv: runEnqueuer, submitterEnv: runSubmitter} {
		if spec := os.Getenv(env); spec != "" {
			if err := run(spec); err != nil {
				fmt.Fprintln(os.Stderr, "child:", err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}
