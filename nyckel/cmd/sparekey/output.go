package main

import (
	"encoding/json"
	"io"
	"os"
)

// printJSON writes one JSON document.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// The colours of what went well, badly, and neither, as a terminal takes them.
const (
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	faint  = "\x1b[2m"
	plain  = "\x1b[0m"
)

// painter returns a func that colours texts if w is a terminal and nobody minds.
func painter(w io.Writer) func(colour, text string) string {
	file, ok := w.(*os.File)
	if ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return func(colour, text string) string { return colour + text + plain }
		}
	}
	return func(_, text string) string { return text }
}
