package outage

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sparekey/sparekey/nyckel/internal/files"
)

// options are the command's flags.
type options struct {
	train, input string
	json, html   string
	config       string
	console      string
	fast         bool
	worse        bool
	seed         uint64
	rate         float64
	duration     time.Duration
}

func (p Program) parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is told in one line
	flags.StringVar(&o.train, "train", "", "train on the texts of this CSV `file` (header text,label or text,category) instead of the demo's own")
	flags.StringVar(&o.input, "input", "", "ask the texts of this CSV `file`; without it a part of the training texts is held back and asked")
	flags.StringVar(&o.json, "json", "", "write the figures as JSON to this `file`, - for standard output")
	flags.StringVar(&o.html, "html", "", "write a report with plots to this `file`, which needs no other")
	flags.StringVar(&o.config, "config", "", "take the stack from this configuration `file`")
	if p.Console != nil {
		flags.StringVar(&o.console, "console", "127.0.0.1:0", "loopback `address` of the console, which shows the stack at work; none if empty")
	}
	flags.Uint64Var(&o.seed, "seed", 1, "seed of faults, traffic and split; same seed, same figures")
	flags.Float64Var(&o.rate, "rate", 10, "calls per second; the burst has more")
	flags.DurationVar(&o.duration, "duration", 45*time.Second, "length of all phases together")
	flags.BoolVar(&o.fast, "fast", false, "do not wait for time to pass; the figures are the same")
	if p.Stdin != nil {
		flags.BoolVar(&o.worse, "worse", false, "make it worse whenever Enter is pressed: nobody listens for some seconds")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		flags.Usage()
		return o, err
	} else if err != nil {
		return o, fmt.Errorf("%w; -h tells the flags", err)
	}
	return o, o.validate(flags.Args())
}

func (o options) validate(rest []string) error {
	const minDuration, maxDuration, maxRate = 3 * time.Second, 30 * time.Minute, 500 // the bare client's token lasts an hour
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q; texts are given with -train and -input", rest[0])
	case !(o.rate >= 1 && o.rate <= maxRate):
		return fmt.Errorf("-rate is %v, want 1 to %d calls per second", o.rate, maxRate)
	case o.duration < minDuration || o.duration > maxDuration:
		return fmt.Errorf("-duration is %v, want %v to %v", o.duration, minDuration, maxDuration)
	case o.input != "" && o.train == "":
		return errors.New("-input needs -train: the demo's own texts have other labels")
	}
	if o.html == "-" {
		return errors.New("-html is -, want the name of a file")
	}
	if o.worse && o.fast {
		return errors.New("-worse and -fast exclude each other: nobody presses Enter that fast")
	}
	if o.console != "" && !isLoopback(o.console) {
		return fmt.Errorf("-console is %q, want a loopback address such as 127.0.0.1:8090", o.console)
	}
	for _, given := range []string{o.train, o.input, o.config} {
		for _, report := range []string{o.json, o.html} {
			if files.Same(report, given) {
				return fmt.Errorf("a report would replace %s; want another file", given)
			}
		}
	}
	return checkConfig(o.config)
}

// tryReports tells before the run, not after it, whether the reports can be written. It
// leaves empty files where there were none.
func (o options) tryReports() error {
	err := errors.Join(tryFile("-json", o.json), tryFile("-html", o.html))
	if files.Same(o.json, o.html) { // which are there now
		return fmt.Errorf("-json and -html are both %s; want two files", o.json)
	}
	return err
}

func tryFile(flag, name string) error {
	if name == "" || name == "-" {
		return nil
	}
	if info, err := os.Stat(name); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return nil // its reader, for whom this would wait, would take it for the end
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return f.Close()
}
