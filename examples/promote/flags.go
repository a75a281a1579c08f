package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/sparekey/sparekey/examples/internal/files"
)

// options are the command's flags.
type options struct {
	train, input string
	json         string
	seed         uint64
	share        float64
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("promote", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.train, "train", "", "train on the texts of this CSV `file` (header text,label or text,category) instead of the demo's own")
	flags.StringVar(&o.input, "input", "", "ask the texts of this CSV `file`; without it a part of the training texts is held back and asked")
	flags.StringVar(&o.json, "json", "", "write the figures as JSON to this `file`, - for standard output")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of split, models and sampling; same seed, same figures but for times")
	flags.Float64Var(&o.share, "share", 1, "share of the live calls that the candidate is asked, too; of a small one the gate learns too little")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.New("see the flags above")
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; texts are given with -train and -input", flags.Arg(0))
	case o.input != "" && o.train == "":
		return o, errors.New("-input needs -train: the demo's own texts have other labels")
	case files.IsOneOf(o.json, o.train, o.input):
		return o, fmt.Errorf("the figures would replace %s; want another -json", o.json)
	case !(o.share > 0 && o.share <= 1):
		return o, fmt.Errorf("-share is %v, want above 0 to 1", o.share)
	}
	return o, nil
}
