// Sparekey tries out and checks what a service calls predictions with.
//
//	sparekey demo                          an outage, beside a client without layers
//	sparekey check sparekey.yaml           is the configuration file right, and what does it come to
//	sparekey schema                        its JSON Schema, for editors
//	sparekey sim -train tickets.csv        a simulated account on a loopback port
//	sparekey invoke tickets "Where is it?" one prediction, and how it came about
//	sparekey rules test -data x.csv        how good the rules of a fallback are
//	sparekey replay -data x.jsonl          recorded inputs, put to another model or file
//	sparekey doctor                        what stands between here and the service
//
// Each tells its flags with -h. They may stand before and after other arguments; what
// follows "--" is none.
//
// The exit code is 0 if all went well, 1 if not, 2 for arguments or files that are
// wrong, and 3 if there was an answer, but not the service's. Results go to standard
// output, everything else to standard error. With -json the results are JSON, whose
// members stay what they are in later versions. Colours are used on terminals only,
// and not if NO_COLOR is set. Ctrl-C ends a command at once; twice, at any rate.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// The exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitMisuse   = 2
	exitDegraded = 3
)

// A program is one run of the command.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	http           *http.Client // nil for one of its own
}

// A subcommand is one of the commands. Its func returns nil if all went well.
type subcommand struct {
	name, does string
	run        func(p *program, ctx context.Context, args []string) error
}

func commands() []subcommand {
	return []subcommand{
		{"demo", "an outage, seen by a client with layers and one without", (*program).demo},
		{"check", "is the configuration file right, and what does it come to", atOnce((*program).check)},
		{"schema", "the JSON Schema of the configuration file, for editors", (*program).schema},
		{"sim", "a simulated account on a loopback port", (*program).sim},
		{"invoke", "one prediction, and how it came about", (*program).invoke},
		{"rules", "\"rules test\" tells how good the rules of a fallback are", atOnce((*program).rules)},
		{"replay", "put recorded inputs to another model or file", (*program).replay},
		{"doctor", "what stands between here and the service", (*program).doctor},
	}
}

// run runs the subcommand that args begin with and returns the exit code. A command
// whose results could not be written has failed.
func (p *program) run(ctx context.Context, args []string) int {
	with, out := *p, &results{to: p.stdout}
	with.stdout = out
	code := with.runCommand(ctx, args)
	if err := out.failure(); err != nil && (code == exitOK || code == exitDegraded) {
		fmt.Fprintln(p.stderr, "sparekey:", err)
		return exitFailed
	}
	return code
}

func (p *program) runCommand(ctx context.Context, args []string) int {
	if len(args) == 0 {
		p.usage(p.stderr)
		return exitMisuse
	}
	switch {
	case args[0] == "help" && len(args) > 1:
		return p.runCommand(ctx, append(args[1:2:2], "-h"))
	case args[0] == "help", isHelp(args[:1]):
		p.usage(p.stdout)
		return exitOK
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return p.code(c.run(p, ctx, args[1:]))
		}
	}
	return p.code(misuse("no command %q; \"sparekey help\" lists them", args[0]))
}

func (p *program) usage(w io.Writer) {
	fmt.Fprintln(w, "usage: sparekey COMMAND [flags]")
	fmt.Fprintln(w)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.does)
	}
	fmt.Fprintln(w, "\nEach tells its flags with -h. Exit codes: 0 well, 1 failed, 2 wrong arguments or files,\n3 answered, but not by the service.")
}

// code prints an error and returns the exit code that goes with it.
func (p *program) code(err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if code, ok := errors.AsType[codeError](err); ok {
		return int(code)
	}
	fmt.Fprintln(p.stderr, "sparekey:", unnamed(err))
	if _, ok := errors.AsType[misuseError](err); ok {
		return exitMisuse
	}
	return exitFailed
}

// unnamed returns an error's text without the name that is before all of them.
func unnamed(err error) string { return strings.TrimPrefix(err.Error(), "sparekey: ") }

// A codeError is an exit code of which nothing is left to say.
type codeError int

func (e codeError) Error() string { return fmt.Sprint("exit code ", int(e)) }

// A misuseError is an error of arguments, or of files that they name.
type misuseError struct{ error }

func (e misuseError) Unwrap() error { return e.error }

func misuse(format string, args ...any) error {
	return misuseError{fmt.Errorf(format, args...)}
}
