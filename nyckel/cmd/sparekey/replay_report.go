package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sparekey/sparekey/fallback"
)

// replayReport is what replay prints as JSON. Times are milliseconds.
type replayReport struct {
	Function string `json:"function"`
	Model    string `json:"model,omitempty"`
	Inputs   int    `json:"inputs"`
	Answered int    `json:"answered"`
	Failed   int    `json:"failed"`

	// Agreed counts the labels that are as recorded; the rest of those answered
	// changed. Low and High bound the share with 95 %.
	Agreed  int      `json:"agreed"`
	Low     float64  `json:"agreement_low"`
	High    float64  `json:"agreement_high"`
	Changes []change `json:"changes"`

	// Of the inputs whose truth is known, how many labels are right; how many of them have
	// a recorded label, and how many of those were right.
	Truths   int `json:"truths"`
	Right    int `json:"right"`
	Labelled int `json:"labelled_truths"`
	WasRight int `json:"was_right"`

	// How long the service took now, and what was recorded, waits included; zero if
	// nothing was.
	P50MS    float64 `json:"p50_ms"`
	P95MS    float64 `json:"p95_ms"`
	WasP50MS float64 `json:"was_p50_ms"`
	WasP95MS float64 `json:"was_p95_ms"`
}

// A change is a label in place of another.
type change struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Count int    `json:"count"`
	Line  int    `json:"line"` // of the first such input
}

func reportOf(r *replaying) replayReport {
	out := replayReport{Function: r.function, Model: r.model, Inputs: len(r.inputs), Answered: len(r.answers), Failed: r.failed, Changes: []change{}}
	counts := map[string]int{}
	changes := map[string]change{}
	var now, was []time.Duration
	for i, input := range r.inputs {
		a, answered := r.answers[i]
		if !answered {
			continue
		}
		if a.ServiceMS > 0 { // else an equal input was asked about before, and its answer kept
			now = append(now, fromMilliseconds(a.ServiceMS))
		}
		if input.latency > 0 {
			was = append(was, input.latency)
		}
		if input.truth != "" {
			out.Truths++
			out.Right += oneIf(a.Label == input.truth)
			out.Labelled += oneIf(input.label != "")
			out.WasRight += oneIf(input.label == input.truth)
		}
		before := cmp.Or(input.label, input.truth)
		if a.Label == before {
			out.Agreed++
			continue
		}
		key := before + "\x00" + a.Label
		if counts[key]++; counts[key] == 1 {
			changes[key] = change{From: before, To: a.Label, Line: input.line}
		}
	}
	for _, key := range sortedByCount(counts) {
		c := changes[key]
		c.Count = counts[key]
		out.Changes = append(out.Changes, c)
	}
	low, high := fallback.FidelityFigure{Given: out.Answered, GivenAgreed: out.Agreed}.Interval()
	out.Low, out.High = rounded(low), rounded(high)
	out.P50MS, out.P95MS = milliseconds(quantile(now, 0.5)), milliseconds(quantile(now, 0.95))
	out.WasP50MS, out.WasP95MS = milliseconds(quantile(was, 0.5)), milliseconds(quantile(was, 0.95))
	return out
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (p *program) printReplay(r replayReport) {
	fmt.Fprintf(p.stdout, "%s, %d answered, %d failed\n", many(r.Inputs, "input"), r.Answered, r.Failed)
	if r.Answered == 0 {
		return
	}
	fmt.Fprintf(p.stdout, "labels as recorded: %d of %d, %s (%.1f–%.1f %%)\n", r.Agreed, r.Answered, percent(r.Agreed, r.Answered), 100*r.Low, 100*r.High)
	if r.Truths > 0 {
		fmt.Fprintf(p.stdout, "right: %s of %d whose truth is known", percent(r.Right, r.Truths), r.Truths)
		if r.Labelled > 0 {
			fmt.Fprintf(p.stdout, "; of the recorded labels %s of %d", percent(r.WasRight, r.Labelled), r.Labelled)
		}
		fmt.Fprintln(p.stdout)
	}
	fmt.Fprintf(p.stdout, "service time: half within %.1f ms, 95 %% within %.1f ms\n", r.P50MS, r.P95MS)
	if r.WasP50MS > 0 {
		fmt.Fprintf(p.stdout, "recorded, waits included: half within %.1f ms, 95 %% within %.1f ms; half %+.1f ms, 95 %% %+.1f ms\n",
			r.WasP50MS, r.WasP95MS, r.P50MS-r.WasP50MS, r.P95MS-r.WasP95MS)
	}
	const most = 20
	for i, c := range r.Changes {
		if i == most {
			fmt.Fprintf(p.stdout, "and %s\n", many(len(r.Changes)-most, "other change"))
			break
		}
		fmt.Fprintf(p.stdout, "%5d  %s → %s (line %d)\n", c.Count, printable(c.From), printable(c.To), c.Line)
	}
}
