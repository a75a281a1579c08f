// Command outage calls a prediction API while that API falls apart, and shows
// that answers keep coming.
//
// It starts the simulator twice on loopback, trains both on the same labelled
// texts, and sends texts that the model has not seen, at a steady rate, through
// two clients: a bare http.Client, and the Nyckel client with its stack of
// layers. Both meet the very same faults. Along the way it prints what the
// answers came from and what the circuit breaker did; at the end, what each
// client made of each phase, and for each kind of answer how good it promised to
// be and how good it was. A third simulator, without faults, is asked then what
// the service would have said.
//
// Of the calls, some ask a text that was asked before, as customers do, in the
// same words or in others: with a courtesy around it, with its halves in the other
// order, with a word more or less. The demo makes these variants by itself from
// the texts it is given, so that there are similar questions; how many is made up,
// too. While all is well at first it calls at a higher rate, so that there is
// something to measure.
//
//	go run ./examples/outage
//	go run ./examples/outage -train train.csv -input test.csv
//
// The texts that come with it were written and shaped for this demo; their
// accuracy says nothing about real mail. Bring your own with -train and -input.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(realMain(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes: what was given makes no sense, and the demo itself failed.
const (
	exitUsage  = 2
	exitFailed = 1
)

// realMain runs the command and returns its exit code.
func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	options, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "outage:", err)
		return exitUsage
	}
	data, err := loadData(options)
	if err != nil {
		fmt.Fprintln(stderr, "outage:", err)
		return exitUsage
	}
	text := &sticky{w: stdout}
	if options.json == "-" {
		text.w = stderr // standard output is for the figures alone
	}
	figures, err := run(ctx, options, data, text)
	if err != nil {
		fmt.Fprintln(stderr, "outage:", err)
		return exitFailed
	}
	figures.print(text)
	if options.json != "" {
		if err := figures.writeJSON(options.json, stdout); err != nil {
			fmt.Fprintln(stderr, "outage:", err)
			return exitFailed
		}
	}
	if text.err != nil {
		fmt.Fprintln(stderr, "outage: the report could not be written:", text.err)
		return exitFailed
	}
	return 0
}

// sticky is a writer that remembers its first error. It is safe for concurrent
// use.
type sticky struct {
	w io.Writer

	mu  sync.Mutex
	err error // guarded by mu while somebody writes
}

func (s *sticky) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.w.Write(p)
	if s.err == nil {
		s.err = err
	}
	return n, err
}
