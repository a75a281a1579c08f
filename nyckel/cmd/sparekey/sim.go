package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/command"
)

// sim has flags of its own, which the package command documents.
func (p *program) sim(ctx context.Context, args []string) error {
	stderr := p.stderr
	if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		var usage bytes.Buffer
		command.Run(ctx, "sparekey sim", args, &usage, &usage)
		return p.write(compact(usage.String()))
	}
	if code := command.Run(ctx, "sparekey sim", args, p.stdout, stderr); code != exitOK {
		return codeError(code)
	}
	return nil
}

func (p *program) write(text string) error {
	_, err := p.stdout.Write([]byte(text))
	return err
}

// compact returns the usage that package flag prints with one line for each flag.
func compact(usage string) string {
	return strings.ReplaceAll(usage, "\n    \t", "\t")
}
