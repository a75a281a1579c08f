// Command promote changes the model that answers a function the careful way, on the
// embedded simulator.
//
// A first model is trained on a part of the labelled texts and pinned. Then somebody
// imports more texts in a hurry, with the labels of every third intent mixed up, and
// the function retrains by itself: the pin keeps the first model in place. What it
// learned answers in the shadow of the first model, the truth about each question
// is told, and the gate refuses it. The labels are put right, a third model is
// trained, compared and promoted, with the client in use all the time. At last
// somebody finds a reason to roll back.
//
//	go run ./examples/promote
//	go run ./examples/promote -train train.csv -input test.csv
//
// The exit code is 1 if one of the promises at the end was not kept. The texts that
// come with it were written and shaped for the demos; bring your own with -train
// and -input.
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

	"github.com/sparekey/sparekey/examples/internal/files"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(realMain(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// The exit codes: what was given makes no sense; the demo failed, was stopped, or
// did not keep a promise.
const (
	exitUsage  = 2
	exitFailed = 1
)

// realMain runs the command and returns its exit code.
func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := func(code int, err error) int {
		fmt.Fprintln(stderr, "promote:", err)
		return code
	}
	o, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return fail(exitUsage, err)
	}
	d, err := loadData(o)
	if err != nil {
		return fail(exitUsage, err)
	}
	text := stdout
	if o.json == "-" {
		text = stderr // standard output is for the figures alone
	}
	f, err := run(ctx, o, d, text)
	if err != nil {
		return fail(exitFailed, err)
	}
	if err := errors.Join(f.print(text), files.WriteJSON(o.json, stdout, f)); err != nil {
		return fail(exitFailed, err)
	}
	if !f.kept() {
		return exitFailed
	}
	return 0
}
