// Command multiregion calls a service that runs in three regions, of which one
// dies and one becomes ten times slower, and shows that no call fails and where
// the traffic goes.
//
//	go run ./examples/multiregion
//
// The regions are servers on loopback that answer after about 20 ms. The client is
// a plain http.Client with a stack of sparekey's layers around its transport: see
// newClient.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(realMain(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes: what was given makes no sense, and a promise was not kept.
const (
	exitUsage  = 2
	exitFailed = 1
)

// realMain runs the command and returns its exit code.
func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "multiregion:", err)
		return exitUsage
	}
	phases, err := run(ctx, o, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "multiregion:", err)
		return exitFailed
	}
	if err := report(stdout, phases); err != nil {
		fmt.Fprintln(stderr, "multiregion:", err)
		return exitFailed
	}
	if err := verdict(phases); err != nil {
		fmt.Fprintln(stdout, "Verdict: a promise was not kept:", err)
		return exitFailed
	}
	fmt.Fprintln(stdout, "Verdict: no call failed, and extra requests stayed within the budget.")
	if o.duration < time.Minute {
		fmt.Fprintln(stdout, "Regions come back after 10 s at the soonest, and slowly: -duration 90s shows all three at work again.")
	}
	return 0
}

// options are the command's flags.
type options struct {
	seed     uint64
	rate     float64
	duration time.Duration
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("multiregion", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the regions' latencies and of the choice among them")
	flags.Float64Var(&o.rate, "rate", 60, "calls per second")
	flags.DurationVar(&o.duration, "duration", 18*time.Second, "length of all phases together")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.New("see the flags above")
	}
	const minDuration, maxDuration, maxRate = 3 * time.Second, 30 * time.Minute, 500
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case !(o.rate >= 1 && o.rate <= maxRate):
		return o, fmt.Errorf("-rate is %v, want 1 to %d calls per second", o.rate, maxRate)
	case o.duration < minDuration || o.duration > maxDuration:
		return o, fmt.Errorf("-duration is %v, want %v to %v", o.duration, minDuration, maxDuration)
	}
	return o, nil
}
