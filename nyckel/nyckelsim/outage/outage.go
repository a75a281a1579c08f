// Package outage is a demo: it calls a prediction API while that API falls apart, and
// shows that answers keep coming. It is the command in examples/outage and "sparekey
// demo".
//
// It starts the simulator twice in memory, trains both on the same labelled
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
// A run has a clock of its own, which keeps up with the real one but stands still
// while anybody computes. So the same seed and flags give the same figures, to the
// digit, on any machine; times in them are those of the simulated service, and leave
// out what computing takes. With -fast nobody waits for that clock. Only a stack of
// -config that asks twice at one moment, as hedges and renewals in the background do,
// may have figures that differ by a few calls.
//
// The texts that come with it were written and shaped for this demo; their
// accuracy says nothing about real mail. Bring your own with -train and -input.
package outage

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/sparekey/sparekey/telemetry"
)

// The exit codes: what was given makes no sense, and the demo itself failed.
const (
	exitUsage  = 2
	exitFailed = 1
)

// A Program is the demo as a command. Its zero value is ready to run.
type Program struct {
	// Name is what messages begin with. "" means "outage".
	Name string

	// Console makes the page that shows snapshots while the demo lasts. If it is
	// also an [io.Closer], it is closed at the end. Nil means that there is none,
	// and no flag for it.
	Console func(source func() telemetry.Snapshot) http.Handler

	// Stdin is where the lines come from that make it worse. They are read only if
	// the flags say so, and until the next one after the end. Nil means that there
	// are none, and no flag for it.
	Stdin io.Reader
}

// Run runs the demo until it is over or ctx ends, and returns its exit code: 0 if
// there is a verdict, 2 for flags or files that are wrong, and 1 for anything else.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p.Name = cmp.Or(p.Name, "outage")
	fail := func(code int, err error) int {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return code
	}
	options, err := p.parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return fail(exitUsage, err)
	}
	data, err := loadData(ctx, options)
	if err != nil && ctx.Err() != nil {
		return fail(exitFailed, err)
	}
	if err != nil {
		return fail(exitUsage, err)
	}
	watched, err := p.watch(options)
	if err != nil {
		return fail(exitFailed, err)
	}
	defer watched.close()
	if err := options.tryReports(); err != nil {
		return fail(exitUsage, err)
	}
	if err := p.play(ctx, options, data, watched, stdout, stderr); err != nil {
		return fail(exitFailed, err)
	}
	return 0
}

// play runs the demo and writes the reports.
func (p Program) play(ctx context.Context, o options, d *data, watched *watched, stdout, stderr io.Writer) error {
	text := &sticky{w: stdout}
	if o.json == "-" {
		text.w = stderr // standard output is for the figures alone
	}
	watched.tell(text)
	figures, err := p.run(ctx, o, d, watched, text)
	if err != nil {
		return err
	}
	figures.print(text)
	printPaste(text, o)
	if err := figures.write(ctx, o, stdout); err != nil {
		return err
	}
	if text.err != nil {
		return fmt.Errorf("the report could not be written: %w", text.err)
	}
	return nil
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
