// Nyckelsim serves a simulated Nyckel account on a loopback port until it is
// interrupted.
//
//	nyckelsim -train tickets.csv -name support-tickets
//
// Package command says what it can do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(command.Run(ctx, "nyckelsim", os.Args[1:], os.Stdout, os.Stderr))
}
