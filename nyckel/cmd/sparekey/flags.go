package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A flagSet is the flags of one subcommand.
type flagSet struct {
	*flag.FlagSet
	tell func() // prints usage
}

// flags returns an empty set. The synopsis is what follows "sparekey".
func (p *program) flags(synopsis, about string) *flagSet {
	f := &flagSet{FlagSet: flag.NewFlagSet(synopsis, flag.ContinueOnError)}
	f.SetOutput(io.Discard) // errors are told in one place
	f.Usage = func() {}     // which flags print after an error, too
	f.tell = func() {
		fmt.Fprintf(p.stdout, "usage: sparekey %s\n\n%s\n\n", synopsis, about)
		f.VisitAll(func(one *flag.Flag) {
			value, text := flag.UnquoteUsage(one)
			name := "-" + one.Name
			if value != "" {
				name += " " + value
			}
			fmt.Fprintf(p.stdout, "  %-16s %s\n", name, text+shownDefault(one))
		})
	}
	return f
}

func shownDefault(f *flag.Flag) string {
	if slices.Contains([]string{"", "0", "false", "0s"}, f.DefValue) {
		return ""
	}
	return fmt.Sprintf(" (default %s)", f.DefValue)
}

// parse reads the arguments and returns those that are no flags, of which there must
// be at least least and at most most.
func (f *flagSet) parse(args []string, least, most int) ([]string, error) {
	var rest []string
	for len(args) > 0 {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			f.tell()
			return nil, err
		} else if err != nil {
			return nil, misuse("%w; see sparekey %s", err, helpFor(f.Name()))
		}
		left := f.Args()
		if taken := len(args) - len(left); taken > 0 && args[taken-1] == "--" || len(left) == 0 {
			rest = append(rest, left...)
			break
		}
		rest, args = append(rest, left[0]), left[1:]
	}
	switch {
	case len(rest) > most:
		return nil, misuse("unexpected argument %q; see sparekey %s", rest[most], helpFor(f.Name()))
	case len(rest) < least:
		return nil, misuse("an argument is missing: sparekey %s", f.Name())
	}
	return rest, nil
}

// helpFor returns what to type to be told of a command with that synopsis.
func helpFor(synopsis string) string {
	for i, r := range synopsis {
		if r == ' ' && synopsis[:i] != "rules" {
			return synopsis[:i] + " -h"
		}
	}
	return synopsis + " -h"
}

// isHelp reports whether arguments ask for help. What follows "--" are no flags.
func isHelp(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.ContainsFunc(args, func(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help"}, arg) })
}

// help prints what tell does for a command whose flags are not our own, as package flag
// has it, in the form of the other commands.
func (p *program) help(synopsis, about string, tell func(io.Writer)) error {
	var told bytes.Buffer
	tell(&told)
	_, list, _ := strings.Cut(told.String(), "\n") // after "Usage of"
	fmt.Fprintf(p.stdout, "usage: sparekey %s\n\n%s\n\n", synopsis, about)
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, strings.ReplaceAll(list, "\n    \t", "\t"))
	return table.Flush()
}
