package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
)

// results are what is written to standard output. They keep in mind whether all of it
// got there.
type results struct {
	to io.Writer

	mu  sync.Mutex
	err error // the first; guarded by mu
}

func (r *results) Write(data []byte) (int, error) {
	n, err := r.to.Write(data)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	return n, err
}

func (r *results) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// printable returns a text of somebody else's as a terminal can show it, on one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// many says how many there are of what.
func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

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
	if r, ok := w.(*results); ok {
		w = r.to
	}
	file, ok := w.(*os.File)
	if ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return func(colour, text string) string { return colour + text + plain }
		}
	}
	return func(_, text string) string { return text }
}
