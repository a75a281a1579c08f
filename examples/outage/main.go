// Command outage calls a prediction API while that API falls apart, and shows that
// answers keep coming: see package
// [github.com/sparekey/sparekey/nyckel/nyckelsim/outage].
//
//	go run ./examples/outage
//	go run ./examples/outage -train train.csv -input test.csv
//
// With a console beside it, it is the command "sparekey demo".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/outage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(outage.Program{Stdin: os.Stdin}.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
