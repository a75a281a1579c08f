package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// figures are what one run found.
type figures struct {
	Texts    int    `json:"texts"`
	Before   int    `json:"before"`   // recorded by earlier runs
	Recorded int    `json:"recorded"` // by all runs
	Twice    int    `json:"twice"`    // recorded more than once
	Dead     []dead `json:"dead"`     // given up

	Retries int     `json:"retries"` // texts that went back to the queue after a failure
	Calls   int     `json:"calls"`   // that reached the simulator
	Outage  *down   `json:"outage,omitempty"`
	Seconds float64 `json:"seconds"`
	Stopped bool    `json:"stopped"`

	Database string    `json:"database"`
	Answers  string    `json:"answers,omitempty"`
	Promises []promise `json:"promises"`
}

// dead is a text that was given up.
type dead struct {
	ID     string `json:"id"`
	Line   int    `json:"line,omitempty"` // none if the file does not have it any more
	Reason string `json:"reason"`
}

// down is what happened while the service was down.
type down struct {
	Seconds float64 `json:"seconds"`
	Taken   int     `json:"taken"`  // texts that were taken from the queue
	InVain  int     `json:"inVain"` // those of them that made no attempt
	Opened  int     `json:"opened"` // how often the breaker opened
	Waiting int     `json:"waiting"`
}

// A promise is something that the program is there for.
type promise struct {
	Text    string `json:"text"`
	Kept    bool   `json:"kept"`
	Figures string `json:"figures"`
}

// take takes over what was counted.
func (w *work) take(f jobs.Figures, s *service, d *outage) {
	w.Retries = f.Retries
	if s.sim == nil {
		return
	}
	w.Calls = s.sim.Stats().Invokes
	if lasted := time.Duration(d.lasted.Load()); lasted >= w.outage && lasted > 0 {
		w.Outage = &down{
			Seconds: lasted.Seconds(), Taken: int(d.found.Load()), InVain: int(d.vain.Load()),
			Opened: int(s.opened.Load()), Waiting: f.Total - int(d.after),
		}
	}
}

// judge compares what is recorded with what was promised, and writes the answers
// if they are complete.
func (w *work) judge(ctx context.Context) error {
	found, err := w.records(ctx)
	if err != nil {
		return err
	}
	lines := make(map[string]int, len(w.texts))
	for _, t := range w.texts {
		lines[t.id] = t.line
		switch n := len(found[t.id]); {
		case n > 1:
			w.Twice++
			fallthrough
		case n == 1:
			w.Recorded++
		}
	}
	for d, err := range w.engine.DeadLetters(ctx, function) {
		if err != nil {
			return err
		}
		w.Dead = append(w.Dead, dead{ID: d.ID, Line: lines[d.ID], Reason: d.LastError})
	}
	slices.SortFunc(w.Dead, func(a, b dead) int { return a.Line - b.Line })
	if w.Stopped {
		return nil
	}
	w.promise("each text is recorded once", w.Recorded == w.Texts && w.Twice == 0,
		"%d of %d, %d of them by earlier runs, %d twice", w.Recorded, w.Texts, w.Before, w.Twice)
	w.promise("none is given up", len(w.Dead) == 0, "%d given up, %d put back after a failure", len(w.Dead), w.Retries)
	if o := w.Outage; o != nil {
		// All that may be refused are those that were on their way as it opened.
		w.promise("the queue keeps the texts while the breaker is open", o.InVain <= w.workers*o.Opened,
			"down for %.1f s: of %d texts that waited, %d were taken, %d of them in vain", o.Seconds, o.Waiting, o.Taken, o.InVain)
	}
	name := w.answers()
	if err := w.writeAnswers(name, found); err != nil {
		return err
	}
	w.Answers = name
	return nil
}

func (f *figures) promise(text string, kept bool, format string, args ...any) {
	f.Promises = append(f.Promises, promise{text, kept, fmt.Sprintf(format, args...)})
}

// kept reports whether the program came to its end and kept all promises.
func (f *figures) kept() bool {
	return !f.Stopped && !slices.ContainsFunc(f.Promises, func(p promise) bool { return !p.Kept })
}

// print says what was found.
func (f *figures) print(out io.Writer) error {
	for i, d := range f.Dead {
		if i == 5 {
			fmt.Fprintf(out, "… and %d more\n", len(f.Dead)-i)
			break
		}
		where := fmt.Sprintf("line %d", d.Line)
		if d.Line == 0 {
			where = "text " + d.ID
		}
		fmt.Fprintf(out, "given up: %s: %s\n", where, d.Reason)
	}
	if f.Stopped {
		_, err := fmt.Fprintf(out, "\nstopped: %d of %d texts are recorded; run it again with -db %s to finish the rest\n", f.Recorded, f.Texts, f.Database)
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nKEPT\tPROMISE\tFIGURES")
	for _, p := range f.Promises {
		fmt.Fprintf(table, "%s\t%s\t%s\n", map[bool]string{true: "yes", false: "NO"}[p.Kept], p.Text, p.Figures)
	}
	table.Flush()
	_, err := fmt.Fprintf(out, "\nanswers: %s\n", f.Answers)
	return err
}
