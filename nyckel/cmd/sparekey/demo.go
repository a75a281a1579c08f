package main

import (
	"context"
	"io"
	"net/http"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/outage"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/telemetry/console"
)

// demo has flags of its own, which the package outage documents.
func (p *program) demo(ctx context.Context, args []string) error {
	show := outage.Program{Name: "sparekey demo", Stdin: p.stdin, Console: func(source func() telemetry.Snapshot) http.Handler {
		return console.New(source, console.Options{})
	}}
	if isHelp(args) {
		return p.help("demo [flags]", "Runs a simulated prediction API through an outage, and asks it through a bare client\n"+
			"and through sparekey side by side. It takes about a minute, less with -fast.",
			func(w io.Writer) { show.Run(ctx, []string{"-h"}, w, w) })
	}
	if code := show.Run(ctx, args, p.stdout, p.stderr); code != exitOK {
		return codeError(code)
	}
	return nil
}
