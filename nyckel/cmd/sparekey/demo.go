package main

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

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
		var usage bytes.Buffer
		show.Run(ctx, args, &usage, &usage)
		return p.write(compact(usage.String()))
	}
	if code := show.Run(ctx, args, p.stdout, p.stderr); code != exitOK {
		return codeError(code)
	}
	return nil
}

// isHelp reports whether arguments only ask for help.
func isHelp(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, args[0])
}

// compact returns the usage that package flag prints with one line for each flag.
func compact(usage string) string {
	return strings.ReplaceAll(usage, "\n    \t", "\t")
}
