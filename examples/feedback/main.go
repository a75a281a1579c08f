// Command feedback closes the loop of a classifier, on the embedded simulator: what
// was predicted is recorded, what was true is learned later, the service is told,
// and its next model is better.
//
//	cd examples/feedback
//	go run .
//	go run . -train train.csv -input test.csv -report report.html
//
// A first model is trained on few texts and answers those of four weeks. The desk
// tells the truth about a part of them, which goes into the record; the corrections
// and some confirmations are submitted to the service as annotations. A second
// model, trained on them too, answers the texts of six more weeks, and in the last
// two of them customers ask mostly about three things. Accuracy by model with its
// intervals, calibration and drift come from the record, and a page draws them.
// The models are compared by what they were asked before that rush.
//
// The weeks are made up: the program takes some seconds. The exit code is 1 if one
// of the promises at the end was not kept, and 2 if what was given makes no sense.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/sparekey/sparekey/examples/internal/files"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(realMain(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const (
	exitUsage  = 2
	exitFailed = 1
)

// realMain runs the command and returns its exit code.
func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := func(code int, err error) int {
		fmt.Fprintln(stderr, "feedback:", err)
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
	if o.report == "" {
		folder, err := os.MkdirTemp("", "feedback-") // stays: it holds what was asked for
		if err != nil {
			return fail(exitFailed, err)
		}
		o.report = filepath.Join(folder, "report.html")
	}
	text := stdout
	if o.json == "-" {
		text = stderr // standard output is for the figures alone
	}
	f, err := run(ctx, o, d, text)
	if err != nil && (f == nil || len(f.Promises) == 0) {
		return fail(exitFailed, err)
	}
	// There are figures, too, if only the page could not be written.
	if err := errors.Join(err, f.print(text), files.WriteJSON(o.json, stdout, f)); err != nil {
		return fail(exitFailed, err)
	}
	if !f.kept() {
		return exitFailed
	}
	return 0
}
