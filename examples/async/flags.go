package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sparekey/sparekey/examples/internal/files"
	"github.com/sparekey/sparekey/transport/plan"
)

// options are the command's flags.
type options struct {
	input, db, output string
	json, config      string
	workers           int
	rate              float64
	plan              *plan.Plan // what config says

	train  string // of the simulator, as all below
	seed   uint64
	faults float64
	outage time.Duration

	url, function string // of another service
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("async", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.input, "input", "", "ask the texts of this CSV `file`, whose header has a column text, instead of the demos' own")
	flags.StringVar(&o.db, "db", "", "keep queue and predictions in this SQLite `file`; without it in a new one in the temporary folder")
	flags.StringVar(&o.output, "output", "", "write the answers to this CSV `file`, - for standard output; without it beside the database")
	flags.StringVar(&o.json, "json", "", "write the figures as JSON to this `file`, - for standard output")
	flags.StringVar(&o.config, "config", "", "keep and do the texts as the queue of this configuration `file` says; without it as the demo's own, sparekey.yaml")
	flags.IntVar(&o.workers, "workers", 0, "texts under way at once; zero is what the configuration says")
	flags.Float64Var(&o.rate, "rate", 0, "calls per second; zero is 100 with the simulator, and 25 with another service, as Nyckel allows")
	flags.StringVar(&o.train, "train", "", "train the simulator on this CSV `file` (header text,label or text,category) instead of the demos' texts")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the simulator's faults and models")
	flags.Float64Var(&o.faults, "faults", 0.06, "share of calls that the simulator fails, from 0 to 1")
	flags.DurationVar(&o.outage, "outage", 4*time.Second, "how long the simulator goes down in the middle; 0 means not at all")
	flags.StringVar(&o.url, "url", "", "ask the service at this `address`, not the simulator; credentials are taken from NYCKEL_CLIENT_ID and NYCKEL_CLIENT_SECRET")
	flags.StringVar(&o.function, "function", "", "the function's `id` at -url")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.New("see the flags above")
	}
	if o.rate == 0 {
		o.rate = 100
		if o.url != "" {
			o.rate = 25
		}
	}
	if err := o.validate(flags.Args()); err != nil {
		return o, err
	}
	var err error
	if o.plan, err = readConfig(o.config); err != nil {
		return o, err
	}
	o.workers = cmp.Or(o.workers, o.plan.File().Queue.WithDefaults().Workers)
	return o, nil
}

func (o options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q; texts are given with -input", rest[0])
	case o.workers < 0:
		return fmt.Errorf("-workers is %d, want at least 0", o.workers)
	case !(o.rate >= 1 && o.rate <= 1e6):
		return fmt.Errorf("-rate is %v, want 1 to 1,000,000 calls per second", o.rate)
	case !(o.faults >= 0 && o.faults <= 1):
		return fmt.Errorf("-faults is %v, want 0 to 1", o.faults)
	case o.outage < 0:
		return fmt.Errorf("-outage is %v, want 0 or more", o.outage)
	case (o.url == "") != (o.function == ""):
		return errors.New("-url and -function go together")
	case o.url != "" && o.train != "":
		return errors.New("-train is for the simulator, which -url takes the place of")
	case o.json == "-" && o.output == "-":
		return errors.New("-json and -output cannot both be standard output")
	case o.given(o.answers()):
		return fmt.Errorf("the answers would replace %s; want another -output", o.answers())
	case o.given(o.json), files.IsOneOf(o.json, o.answers()):
		return fmt.Errorf("the figures would replace %s; want another -json", o.json)
	}
	return nil
}

// given reports whether a file is one of those that are read.
func (o options) given(name string) bool {
	return files.IsOneOf(name, o.input, o.db, o.config, o.train)
}

// answers returns the name of the file that the answers go to.
func (o options) answers() string {
	if o.output != "" {
		return o.output
	}
	return strings.TrimSuffix(o.db, filepath.Ext(o.db)) + "-answers.csv"
}

// newDatabase returns a name for a database in a new folder, which stays when the
// program ends: it holds what was asked for.
func newDatabase() (string, error) {
	folder, err := os.MkdirTemp("", "async-")
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, "async.db"), nil
}
