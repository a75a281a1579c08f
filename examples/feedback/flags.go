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
	train, input  string
	report, json  string
	seed          uint64
	learn         float64
	truths        float64
	confirmations float64
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("feedback", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.train, "train", "", "train on texts of this CSV `file` (header text,label or text,category) instead of the demos' own")
	flags.StringVar(&o.input, "input", "", "ask the texts of this CSV `file`, labelled as well; without it those that the first model does not learn are asked")
	flags.StringVar(&o.report, "report", "", "write the page to this `file`; without it to one in the temporary folder")
	flags.StringVar(&o.json, "json", "", "write the figures as JSON to this `file`, - for standard output")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of split, models and who tells the truth; same seed, same figures")
	flags.Float64Var(&o.learn, "learn", 0.07, "share of the training texts that the first model learns")
	flags.Float64Var(&o.truths, "truths", 0.8, "share of the answers whose truth becomes known")
	flags.Float64Var(&o.confirmations, "confirmations", 0.5, "share of the right answers that are submitted, besides all corrections")
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
		return o, errors.New("-input needs -train: the demos' own texts have other labels")
	case files.IsOneOf(o.json, o.train, o.input, o.report):
		return o, fmt.Errorf("the figures would replace %s; want another -json", o.json)
	case files.IsOneOf(o.report, o.train, o.input):
		return o, fmt.Errorf("the page would replace %s; want another -report", o.report)
	case !(o.learn > 0 && o.learn < 1):
		return o, fmt.Errorf("-learn is %v, want more than 0 and less than 1", o.learn)
	case !(o.truths > 0 && o.truths <= 1):
		return o, fmt.Errorf("-truths is %v, want more than 0, at most 1", o.truths)
	case !(o.confirmations >= 0 && o.confirmations <= 1):
		return o, fmt.Errorf("-confirmations is %v, want 0 to 1", o.confirmations)
	}
	return o, nil
}
