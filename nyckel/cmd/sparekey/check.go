package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/plan"
)

const defaultConfig = "sparekey.yaml"

// load reads a configuration file. What is wrong with it is an error with the lines
// that are meant.
func load(name string) (*plan.Plan, error) {
	loaded, err := plan.Load(name)
	if problems, ok := errors.AsType[*plan.Error](err); ok {
		return nil, misuseError{fmt.Errorf("%s is wrong:\n%s", name, problems.Excerpts())}
	}
	if err != nil {
		return nil, misuseError{err}
	}
	return loaded, nil
}

// loadOrRead loads a configuration file, or reads one from standard input if name is -.
// It returns what to call it.
func (p *program) loadOrRead(name string) (string, *plan.Plan, error) {
	if name != "-" {
		loaded, err := plan.Load(name)
		return name, loaded, err
	}
	name = "<stdin>"
	const most = 2 << 20 // more than a file may have
	data, err := io.ReadAll(io.LimitReader(p.stdin, most))
	if err != nil {
		return name, nil, err
	}
	loaded, err := plan.Parse(name, data, plan.Environment("."))
	return name, loaded, err
}

// checked is what check prints as JSON.
type checked struct {
	File     string            `json:"file"`
	OK       bool              `json:"ok"`
	Problems []problem         `json:"problems"`
	Settings []setting         `json:"settings,omitempty"`
	Worst    map[string]extent `json:"worst,omitempty"` // by function
}

type problem struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

type setting struct {
	Owner  string `json:"owner"`
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
	Line   int    `json:"line,omitempty"`
}

// An extent is the worst case of one call.
type extent struct {
	Calls     int   `json:"calls"`
	HeaderMS  int64 `json:"header_ms"`
	EndMS     int64 `json:"end_ms"`
	WaitingMS int64 `json:"waiting_ms"`
	Buffered  int64 `json:"buffered_bytes"`
	Spilled   int64 `json:"spilled_bytes"`
}

func (p *program) check(_ context.Context, args []string) error {
	flags := p.flags("check [flags] [FILE]", "Reads a configuration file, "+defaultConfig+" by default, and tells all that is wrong\nwith it. -print tells what is in force for each function, where each setting comes\nfrom (the file, its defaults, built-in), and the worst that one call may come to.\nFILE may be -, for standard input.")
	printing := flags.Bool("print", false, "print the settings in force, secrets masked")
	function := flags.String("function", "", "print those of the function of this `name` only")
	asJSON := flags.Bool("json", false, "print JSON")
	rest, err := flags.parse(args, 0, 1)
	if err != nil {
		return err
	}
	name := defaultConfig
	if len(rest) > 0 {
		name = rest[0]
	}
	name, loaded, err := p.loadOrRead(name)
	if problems, ok := errors.AsType[*plan.Error](err); ok {
		return p.tellProblems(name, problems, *asJSON)
	}
	if err != nil {
		return misuseError{err}
	}
	if _, known := loaded.Function(*function); *function != "" && !known {
		return unknownFunction(loaded, *function)
	}
	if *asJSON {
		out := checked{File: name, OK: true, Problems: []problem{}}
		if *printing {
			out.Settings, out.Worst = settingsOf(loaded, *function), worstOf(loaded, *function)
		}
		return printJSON(p.stdout, out)
	}
	if *printing {
		printPlan(p.stdout, name, loaded, *function)
		return nil
	}
	fmt.Fprintf(p.stdout, "%s is right: %s\n", name, extentOf(loaded.File()))
	return nil
}

// tellProblems prints what is wrong with a file.
func (p *program) tellProblems(name string, e *plan.Error, asJSON bool) error {
	if !asJSON {
		fmt.Fprintln(p.stderr, e.Excerpts())
		return codeError(exitMisuse)
	}
	out := checked{File: name}
	for _, one := range e.Problems {
		out.Problems = append(out.Problems, problem{one.Line, one.Column, one.Err.Error()})
	}
	if err := printJSON(p.stdout, out); err != nil {
		return err
	}
	return codeError(exitMisuse)
}

// extentOf says what there is in a file.
func extentOf(f plan.File) string {
	return strings.Join([]string{many(len(f.Functions), "function"), many(len(f.Accounts), "account"), many(len(f.Endpoints), "endpoint")}, ", ")
}

func unknownFunction(loaded *plan.Plan, name string) error {
	if len(loaded.Functions()) == 0 {
		return misuse("no function %q: the file has none", name)
	}
	return misuse("no function %q; there are: %s", name, strings.Join(loaded.Functions(), ", "))
}

// settingsOf returns what is in force: all of it, or what one function has.
func settingsOf(loaded *plan.Plan, function string) []setting {
	var all []setting
	for _, s := range loaded.Settings() {
		if function == "" || s.Owner == "functions."+function {
			all = append(all, setting{s.Owner, s.Key, s.Value, string(s.Origin), s.Line})
		}
	}
	return all
}

func functionsOf(loaded *plan.Plan, function string) []string {
	if function != "" {
		return []string{function}
	}
	return loaded.Functions()
}

func explained(loaded *plan.Plan, name string) policy.Explanation {
	f, _ := loaded.Function(name)
	return policy.Explain(f.Parts())
}

func worstOf(loaded *plan.Plan, function string) map[string]extent {
	all := map[string]extent{}
	for _, name := range functionsOf(loaded, function) {
		w := explained(loaded, name).Worst
		all[name] = extent{w.Calls, w.Header.Milliseconds(), w.End.Milliseconds(), w.Waiting.Milliseconds(), w.BufferedBytes, w.SpilledBytes}
	}
	return all
}

// printPlan prints what is in force, owner by owner.
func printPlan(w io.Writer, file string, loaded *plan.Plan, function string) {
	settings := settingsOf(loaded, function)
	for len(settings) > 0 {
		owner := settings[0].Owner
		n := slices.IndexFunc(settings, func(s setting) bool { return s.Owner != owner })
		if n < 0 {
			n = len(settings)
		}
		fmt.Fprintln(w, owner)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, s := range settings[:n] {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", s.Key, s.Value, s.from(file))
		}
		_ = table.Flush()
		if name, ok := strings.CutPrefix(owner, "functions."); ok {
			fmt.Fprintf(w, "\n  at worst, one call:\n%s", indented(explained(loaded, name).String()))
		}
		fmt.Fprintln(w)
		settings = settings[n:]
	}
}

// from says where a setting is from.
func (s setting) from(file string) string {
	switch plan.Origin(s.Origin) {
	case plan.FromOwner:
		return fmt.Sprintf("%s:%d", file, s.Line)
	case plan.FromDefaults:
		return fmt.Sprintf("defaults, %s:%d", file, s.Line)
	default:
		return s.Origin
	}
}

func indented(text string) string {
	text = "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
	return strings.ReplaceAll(text, "\n  \n", "\n\n")
}
