package outage

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"strings"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"percent": percent, "ratio": ratio}).Parse(page))

// writeHTML writes the report as one page that needs nothing else.
func (f *figures) writeHTML(name string) error {
	var b bytes.Buffer
	if err := f.html(&b); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// html writes the page.
func (f *figures) html(b *bytes.Buffer) error {
	var kinds []kind
	for _, source := range sources {
		if c := f.Totals[1].Sources[source]; c != nil {
			kinds = append(kinds, kind{source, c.Answers, c.predicted(), c.counted(), percent(c.Right, c.Answers)})
		}
	}
	return pageTemplate.Execute(b, map[string]any{
		"Figures": f, "Verdict": f.verdict(), "Similar": f.Similar.String(), "Kinds": kinds,
		"Plots": []plot{f.plot(0), f.plot(1)}, "Legend": legend(),
	})
}

// A kind is one kind of answer, for the page.
type kind struct {
	Source    telemetry.Source
	Count     int
	Predicted string
	Counted   string
	Right     string
}

// A plot is what one client's answers came from, over time.
type plot struct {
	Title string
	SVG   template.HTML
}

// What a plot shows, from the bottom up, "" standing for failures.
var layered = append(append([]telemetry.Source(nil), sources...), "")

func nameOf(source telemetry.Source) string {
	if source == "" {
		return "no answer"
	}
	return string(source)
}

type legendEntry struct{ Class, Name string }

func legend() []legendEntry {
	var all []legendEntry
	for _, source := range layered {
		all = append(all, legendEntry{classOf(source), nameOf(source)})
	}
	return all
}

// classOf returns the class that gives a source its colour.
func classOf(source telemetry.Source) string {
	if source == "" {
		return "failed"
	}
	return string(source)
}

// The size of a plot, in units of its own.
const (
	plotWidth, plotHeight = 900, 170
	plotTop               = 34 // room for the names of phases
)

// plot draws the answers of a client as bars, of equal height however many calls
// there were: the rate differs much between phases.
func (f *figures) plot(side int) plot {
	h := f.history
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := h.counts[side]
	wide := max(len(h.counts[0]), len(h.counts[1]), 1)
	x := func(t time.Duration) float64 {
		return plotWidth * float64(t) / float64(h.width) / float64(wide)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="Answers of the client %s over time, by source">`, plotWidth, plotTop+plotHeight+16, clientNames[side])
	for i, slot := range counts {
		f.bar(&b, slot, x(time.Duration(i)*h.width), x(h.width), time.Duration(i)*h.width)
	}
	for i, p := range h.phases {
		fmt.Fprintf(&b, `<line class="phase" x1="%.1f" x2="%.1f" y1="0" y2="%d"/>`, x(p.at), x(p.at), plotTop+plotHeight)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`, x(p.at)+3, 10+12*(i%2), template.HTMLEscapeString(p.text))
	}
	if side == 1 {
		for _, t := range h.breaker {
			fmt.Fprintf(&b, `<path class="breaker" d="M%.1f %d l-4 8 h8 z"><title>breaker: %s after %v</title></path>`,
				x(t.at), plotTop+plotHeight+2, template.HTMLEscapeString(t.text), t.at.Round(10*time.Millisecond))
		}
	}
	b.WriteString("</svg>")
	return plot{Title: clientNames[side], SVG: template.HTML(b.String())} // made of numbers and of escaped names
}

// bar draws the shares of one slot.
func (f *figures) bar(b *strings.Builder, slot map[telemetry.Source]int, left, width float64, at time.Duration) {
	unit := float64(plotHeight) / float64(max(sum(slot), 1))
	bottom := float64(plotTop + plotHeight)
	for _, source := range layered {
		n := slot[source]
		if n == 0 {
			continue
		}
		height := float64(n) * unit
		bottom -= height
		fmt.Fprintf(b, `<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"><title>%v: %d × %s</title></rect>`,
			classOf(source), left, bottom, width, height, at.Round(10*time.Millisecond), n, nameOf(source))
	}
}

func sum(slot map[telemetry.Source]int) int {
	n := 0
	for _, count := range slot {
		n += count
	}
	return n
}
