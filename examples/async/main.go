// Command async has the texts of a CSV file classified through a durable queue. It
// can be killed at any time: started again, it finishes the rest, and each text is
// recorded once.
//
//	cd examples/async
//	go run . -input texts.csv -db async.db
//
// Kill it in the middle with Ctrl-C or kill -9, and run the same command again.
// The file needs a header with a column "text". The answers are written as a CSV
// file beside the database when all texts are done. Without -input the texts of
// the demos are asked, and without -db the database is in a new temporary folder.
//
// The service is an embedded simulator that fails now and then, limits the rate,
// and goes down for some seconds in the middle, while the queue keeps the
// texts. Another one is asked by
//
//	NYCKEL_CLIENT_ID=… NYCKEL_CLIENT_SECRET=… go run . -input texts.csv -db async.db -url https://www.nyckel.com -function function_…
//
// How many texts are under way, how often each is tried and how long a killed process
// keeps one is in sparekey.yaml; -config takes another file.
//
// A text is told apart by what it says and how often the file had it before:
// rows may be moved, added and mended between two runs. Texts that were given up
// are tried again by the next run.
//
// The exit code is 1 if one of the promises at the end was not kept, or not all
// texts are done, and 2 if what was given makes no sense.
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

const (
	exitUsage  = 2
	exitFailed = 1
)

// realMain runs the command and returns its exit code. Progress and errors go to
// stderr.
func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := func(code int, err error) int {
		fmt.Fprintln(stderr, "async:", err)
		return code
	}
	o, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return fail(exitUsage, err)
	}
	texts, err := readTexts(o.input)
	if err != nil {
		return fail(exitUsage, err)
	}
	labelled, err := readLabelled(o.train)
	if err != nil {
		return fail(exitUsage, err)
	}
	if o.db == "" {
		if o.db, err = newDatabase(); err != nil {
			return fail(exitFailed, err)
		}
	}
	text := stdout
	if o.json == "-" || o.output == "-" {
		text = stderr // standard output is for the figures or the answers alone
	}
	f, err := run(ctx, o, texts, labelled, stdout, stderr)
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
