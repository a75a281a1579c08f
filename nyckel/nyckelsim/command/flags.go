package command

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// settings are what the flags say.
type settings struct {
	addr     string
	admin    string
	train    string
	name     string
	load     string
	save     string
	schedule string
	record   string
	upstream string
	replay   string
	cfg      nyckelsim.Config
}

// parse reads the flags. If they ask for help it prints that to stderr.
func parse(name string, args []string, stderr io.Writer) (settings, error) {
	var set settings
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is told in one line
	flags.StringVar(&set.addr, "addr", "127.0.0.1:8089", "loopback `address` to listen on")
	flags.StringVar(&set.admin, "admin", "", "loopback `address` on which the simulator can be steered by anybody; none by default")
	flags.StringVar(&set.train, "train", "", "CSV `file` to train a function with: text,label or text,category")
	flags.StringVar(&set.name, "name", "demo", "`name` of the function trained by -train")
	flags.StringVar(&set.load, "load", "", "`file` of -save to begin with, if it is there")
	flags.StringVar(&set.save, "save", "", "`file` to write the account to at the end")
	flags.StringVar(&set.schedule, "schedule", "", `JSON file of faults: [{"duration": "30s", "faults": {"unavailable": 0.3}}]`)
	flags.StringVar(&set.record, "record", "", "`file` to append exchanges with -upstream to, in place of simulating; no secrets")
	flags.StringVar(&set.upstream, "upstream", "", "base `URL` of the service that -record passes calls to")
	flags.StringVar(&set.replay, "replay", "", "`file` of -record to answer from, in place of simulating")

	cfg := &set.cfg
	flags.Uint64Var(&cfg.Seed, "seed", 0, "`number` that fixes ids, models and faults")
	flags.TextVar(&cfg.Mode, "mode", nyckelsim.Reference, "form of an invoke's answer: reference, or guide, which adds sampleId")
	flags.IntVar(&cfg.Rate, "rate", 25, "requests per second before 429; 0 or less means no limit")
	flags.IntVar(&cfg.Concurrency, "concurrency", 25, "requests in flight before 429; 0 or less means no limit")
	flags.BoolVar(&cfg.RetryAfter, "retry-after", false, "add Retry-After to 429")
	flags.IntVar(&cfg.Quota, "quota", 0, "invokes before 402; 0 means no quota")
	flags.DurationVar(&cfg.Latency, "latency", 0, "service time of an invoke")
	flags.DurationVar(&cfg.Delay, "delay", 0, "how long what is created takes to show")
	flags.DurationVar(&cfg.TokenLifetime, "token-lifetime", 0, "how long a token is good for (default 1h)")
	flags.IntVar(&cfg.PageSize, "page-size", 100, "items in a page of a list")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		flags.Usage()
		return set, err
	} else if err != nil {
		return set, fmt.Errorf("%w; -h tells the flags", err)
	}
	if err := set.check(flags.Args()); err != nil {
		return set, err
	}
	if cfg.Rate <= 0 {
		cfg.Rate = -1
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = -1
	}
	return set, nil
}

// check returns an error unless the flags go together.
func (set *settings) check(rest []string) error {
	cfg := set.cfg
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case set.record != "" && set.replay != "":
		return errors.New("-record and -replay exclude each other")
	case (set.record == "") != (set.upstream == ""):
		return errors.New("-record and -upstream need each other")
	case (set.record != "" || set.replay != "") && set.admin+set.train+set.load+set.save+set.schedule != "":
		return errors.New("-admin, -train, -load, -save and -schedule are for simulating, which -record and -replay take the place of")
	case cfg.Quota < 0 || cfg.Latency < 0 || cfg.Delay < 0 || cfg.TokenLifetime < 0 || cfg.PageSize < 0:
		return errors.New("-quota, -latency, -delay, -token-lifetime and -page-size cannot be negative")
	}
	return nil
}
