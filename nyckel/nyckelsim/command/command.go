// Package command is the program nyckelsim, apart from its process, so that
// other programs can have it as a part.
//
// It does one of three things on a loopback port:
//
//	nyckelsim -train tickets.csv -load state.json -save state.json -admin 127.0.0.1:8090
//	nyckelsim -record tape.jsonl -upstream https://www.nyckel.com
//	nyckelsim -replay tape.jsonl
//
// The first simulates an account. The file to train with has the header
// text,label or text,category; without one the account is empty, or what -load
// says. The second passes calls on to the service and records them, the third
// answers as was recorded: see package tape.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// Exit codes.
const (
	ok      = 0
	failed  = 1
	misused = 2
)

// errMisuse is matched by errors of flags, and of files and addresses that they
// name.
var errMisuse = errors.New("misuse")

// Run runs the program until ctx ends, and returns its exit code: 0 if that is
// why it ended, 2 for flags, or files that they name, that are wrong, and 1 for
// anything else. Messages begin with name. A training that ctx cuts short goes on in the
// background, for nobody.
func Run(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	set, err := parse(name, args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return ok
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return misused
	}
	switch {
	case set.replay != "":
		err = replay(ctx, set, stdout)
	case set.record != "":
		err = record(ctx, set, stdout)
	default:
		err = simulate(ctx, set, stdout)
	}
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return ok
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	if errors.Is(err, errMisuse) || errors.Is(err, nyckelsim.ErrNotLoopback) {
		return misused
	}
	return failed
}

// A misuse is an error that is the caller's.
type misuse struct{ error }

func (misuse) Is(target error) bool { return target == errMisuse }
func (m misuse) Unwrap() error      { return m.error }
