package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A call is what a trail tells of one call, in times since it began.
type call struct {
	function string
	answer   telemetry.Answer
	took     time.Duration
	steps    []step
	notes    []telemetry.Note
	dropped  int // attempts that the trail does not have
}

// A step is an attempt, a wait or a refusal.
type step struct {
	what     string // "#1", "wait", "refused"
	from, to time.Duration
	note     string
	class    policy.Class // of an attempt
	wait     bool
}

// callOf reads a trail.
func callOf(trail *telemetry.Trail, start time.Time, took time.Duration) call {
	c := call{function: trail.Function(), answer: trail.Answer(), took: took, notes: trail.Notes()}
	attempts := trail.Attempts()
	c.dropped = trail.AttemptCount() - len(attempts)
	for _, a := range attempts {
		from := a.Start.Sub(start)
		if a.Waited > 0 {
			c.steps = append(c.steps, step{what: "wait", from: from - a.Waited, to: from, note: shortly(a.Waited), wait: true})
		}
		name := fmt.Sprintf("#%d", a.Number)
		if a.Hedge {
			name += " hedge"
		}
		c.steps = append(c.steps, step{what: name, from: from, to: from + a.Duration, note: noteOf(a), class: a.Verdict.Class})
	}
	for _, r := range trail.Refusals() {
		at := r.At.Sub(start)
		note := r.Layer + ": " + r.Reason
		if !r.RetryAt.IsZero() {
			note += ", again in " + shortly(r.RetryAt.Sub(r.At))
		}
		c.steps = append(c.steps, step{what: "refused", from: at, to: at, note: note, class: policy.Refused})
	}
	slices.SortStableFunc(c.steps, func(a, b step) int { return cmp.Compare(a.from, b.from) })
	return c
}

func noteOf(a telemetry.Attempt) string {
	text := a.Verdict.Class.String()
	if a.Status != 0 {
		text = fmt.Sprintf("%d %s", a.Status, text)
	}
	return fmt.Sprintf("%s after %s", text, shortly(a.Duration))
}

// shortly writes a duration with three figures or so.
func shortly(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}

// barWidth is how many characters the time of a call has.
const barWidth = 32

// waterfall draws what happened in a call, a line for each step, beside each other
// what was at the same time.
func waterfall(w io.Writer, c call) {
	paint := painter(w)
	fmt.Fprintf(w, "%s: %s in %s\n", c.function, cmp.Or(sourceOf(c.answer), "no answer"), shortly(c.took))
	for _, s := range c.steps {
		fmt.Fprintf(w, "%9s  |%s|  %-8s %s\n", shortly(max(s.from, 0)), s.bar(c.took, paint), s.what, s.note)
	}
	if c.dropped > 0 {
		fmt.Fprintf(w, "%9s   and %s\n", "", many(c.dropped, "more attempt"))
	}
	for _, n := range c.notes {
		fmt.Fprintf(w, "%9s   %s stopped: %s\n", "", n.Layer, n.Reason)
	}
}

// bar draws when a step was, of a call that took so long.
func (s step) bar(took time.Duration, paint func(colour, text string) string) string {
	at := func(t time.Duration) int {
		return min(max(0, int(float64(t)/float64(max(took, 1))*barWidth)), barWidth)
	}
	from := min(at(s.from), barWidth-1)
	length := max(1, at(s.to)-from)
	mark, colour := "#", red
	switch {
	case s.wait:
		mark, colour = ".", faint
	case s.what == "refused":
		mark = "x"
	case s.class == policy.OK:
		colour = green
	}
	return strings.Repeat(" ", from) + paint(colour, strings.Repeat(mark, length)) + strings.Repeat(" ", barWidth-from-length)
}
