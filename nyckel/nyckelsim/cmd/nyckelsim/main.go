// Nyckelsim serves a simulated Nyckel account on a loopback port until it is
// interrupted.
//
//	nyckelsim -train tickets.csv -name support-tickets
//
// The file's header is text,label or text,category. Without -train the account
// starts empty: create functions over HTTP.
//
// It exits with 0 when interrupted, 2 for flags or a file that are wrong, and 1
// for anything else.
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

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	ok       = 0
	failed   = 1
	misused  = 2
	progName = "nyckelsim"
)

// settings are what the flags say.
type settings struct {
	addr  string
	train string
	name  string
	cfg   nyckelsim.Config
}

// run serves until ctx ends and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	set, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return ok
	}
	if err != nil { // which flag has printed
		return misused
	}
	var rows []dataset.Row
	if set.train != "" {
		if rows, err = read(set.train); err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", progName, err)
			return misused
		}
	}
	if err := serve(ctx, set, rows, stdout); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", progName, err)
		if errors.Is(err, nyckelsim.ErrNotLoopback) {
			return misused
		}
		return failed
	}
	return ok
}

// parse reads the flags. It prints usage and errors to stderr.
func parse(args []string, stderr io.Writer) (settings, error) {
	var set settings
	flags := flag.NewFlagSet(progName, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&set.addr, "addr", "127.0.0.1:8089", "loopback `address` to listen on")
	flags.StringVar(&set.train, "train", "", "CSV `file` to train a function with: text,label or text,category")
	flags.StringVar(&set.name, "name", "demo", "`name` of the function trained by -train")
	flags.Uint64Var(&set.cfg.Seed, "seed", 0, "`number` that fixes ids, models and faults")
	flags.TextVar(&set.cfg.Mode, "mode", nyckelsim.Reference, "form of an invoke's answer: reference, or guide, which adds sampleId")
	flags.IntVar(&set.cfg.Rate, "rate", 25, "requests per second before 429; 0 or less means no limit")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", flags.Arg(0))
		fmt.Fprintln(stderr, err)
		flags.Usage()
		return set, err
	}
	if set.cfg.Rate <= 0 {
		set.cfg.Rate = -1
	}
	return set, nil
}

// read returns the rows of a CSV file.
func read(path string) ([]dataset.Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return dataset.Read(path, f)
}

// serve trains a function with the rows, if any, and serves until ctx ends.
func serve(ctx context.Context, set settings, rows []dataset.Row, stdout io.Writer) error {
	sim := nyckelsim.New(set.cfg)
	instance, err := nyckelsim.Start(set.addr, sim)
	if err != nil {
		return err
	}
	defer func() { _ = instance.Close() }()
	if len(rows) > 0 {
		if err := train(sim, set.name, rows, stdout); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "url          %s\n", instance.URL())
	fmt.Fprintf(stdout, "credentials  client_id=sim-client client_secret=sim-secret, POST %s/connect/token\n", instance.URL())
	fmt.Fprintln(stdout, "Ctrl-C stops it.")
	<-ctx.Done()
	return instance.Close()
}

// train makes a function that has learned the rows.
func train(sim *nyckelsim.Server, name string, rows []dataset.Row, stdout io.Writer) error {
	samples := make([]nyckelsim.Sample, 0, len(rows))
	labels := map[string]bool{}
	for _, row := range rows {
		samples = append(samples, nyckelsim.Sample{Text: row.Text, Label: row.Label})
		labels[row.Label] = true
	}
	id := sim.AddFunction(name)
	if err := sim.Import(id, samples); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "training on %d samples with %d labels... ", len(samples), len(labels))
	start := time.Now()
	model, err := sim.Train(id)
	if errors.Is(err, nyckelsim.ErrUntrainable) {
		fmt.Fprintln(stdout, "too few: it takes two labels with two samples each, until then names decide")
		model = "none"
	} else if err != nil {
		return err
	} else {
		fmt.Fprintf(stdout, "done in %v\n", time.Since(start).Round(time.Millisecond))
	}
	fmt.Fprintf(stdout, "function     %s (%s)\n", id, name)
	fmt.Fprintf(stdout, "model        %s\n", model)
	return nil
}
