package main

import (
	"context"
	"io"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/command"
)

// sim has flags of its own, which the package command documents.
func (p *program) sim(ctx context.Context, args []string) error {
	if isHelp(args) {
		return p.help("sim [flags]", "Simulates an account of the service, or records and replays one, until Ctrl-C.",
			func(w io.Writer) { command.Run(ctx, "sparekey sim", []string{"-h"}, w, w) })
	}
	if code := command.Run(ctx, "sparekey sim", args, p.stdout, p.stderr); code != exitOK {
		return codeError(code)
	}
	return nil
}
