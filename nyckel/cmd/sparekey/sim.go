package main

import (
	"bytes"
	"context"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/command"
)

// sim has flags of its own, which the package command documents.
func (p *program) sim(ctx context.Context, args []string) error {
	if isHelp(args) {
		var usage bytes.Buffer
		command.Run(ctx, "sparekey sim", args, &usage, &usage)
		return p.write(compact(usage.String()))
	}
	if code := command.Run(ctx, "sparekey sim", args, p.stdout, p.stderr); code != exitOK {
		return codeError(code)
	}
	return nil
}

func (p *program) write(text string) error {
	_, err := p.stdout.Write([]byte(text))
	return err
}
