package report

import (
	"cmp"
	"html/template"
	"slices"
	"time"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// maxLines is how many models a plot shows; the tables have all.
const maxLines = 6

// lines returns one empty line per model that is shown.
func (s *section) lines() map[string]*line {
	lines := make(map[string]*line)
	for i, model := range s.Models() {
		if i < maxLines {
			lines[model] = &line{name: s.Name(model), style: i}
		}
	}
	return lines
}

func sorted(lines map[string]*line) []line {
	var all []line
	for _, l := range lines {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b line) int { return cmp.Compare(a.style, b.style) })
	return all
}

// span returns the times between which the plots lie.
func (s *section) span() (from, to time.Time) {
	for i, share := range s.Sources {
		if i == 0 || share.Start.Before(from) {
			from = share.Start
		}
		if end := share.Start.Add(s.step); end.After(to) {
			to = end
		}
	}
	return from, to
}

// middle is where a period is drawn.
func (s *section) middle(start time.Time) float64 {
	return float64(start.Add(s.step / 2).Unix())
}

// AccuracyPlot draws accuracy by period with its intervals.
func (s *section) AccuracyPlot() template.HTML {
	lines := s.lines()
	lowest := 1.0
	for _, p := range s.Performance {
		if l := lines[p.Model]; l != nil && p.Known > 0 {
			l.points = append(l.points, point{x: s.middle(p.Start), y: p.Accuracy, low: p.Low, high: p.High, bar: true})
			lowest = min(lowest, p.Low)
		}
	}
	floor := 0.0
	if lowest > 0.5 {
		floor = 0.5
	}
	c := s.timePlot("Accuracy of "+s.Function+" over time", "Share of right answers in each period, with Wilson intervals of 95 %.")
	c.y = axis{floor, 1, ticks(floor, 1, 5), percentTick}
	return c.draw(sorted(lines), nil)
}

// ReliabilityPlot draws accuracy over confidence.
func (s *section) ReliabilityPlot() template.HTML {
	lines := s.lines()
	for _, cal := range s.Calibration {
		for _, b := range cal.Bins {
			if l := lines[cal.Model]; l != nil && b.N > 0 {
				l.points = append(l.points, point{x: b.Confidence, y: b.Accuracy, low: b.Low, high: b.High, bar: true})
			}
		}
	}
	c := &plot{
		title: "Reliability of " + s.Function,
		text:  "Accuracy over mean confidence, by tenths of the confidence. On the dashed line the confidence is what it claims to be.",
		x:     axis{0, 1, ticks(0, 1, 5), percentTick}, y: axis{0, 1, ticks(0, 1, 5), percentTick},
		xName: "confidence", diagonal: true,
	}
	return c.draw(sorted(lines), nil)
}

// LabelDriftPlot and ConfidenceDriftPlot draw drift by period.
func (s *section) LabelDriftPlot() template.HTML {
	return s.driftPlot("Label drift of "+s.Function, "how the shares of the labels", func(d predictions.Drift) float64 { return d.LabelPSI })
}

// ConfidenceDriftPlot is described above.
func (s *section) ConfidenceDriftPlot() template.HTML {
	return s.driftPlot("Confidence drift of "+s.Function, "how the confidences", func(d predictions.Drift) float64 { return d.ConfidencePSI })
}

func (s *section) driftPlot(title, what string, of func(predictions.Drift) float64) template.HTML {
	lines := s.lines()
	highest := 0.3
	for _, d := range s.Drift {
		if l := lines[d.Model]; l != nil && d.BaseN > 0 {
			l.points = append(l.points, point{x: s.middle(d.Start), y: of(d)})
			highest = max(highest, of(d))
		}
	}
	c := s.timePlot(title, "Population stability index of each period: "+what+" differ from those of the base. Below 0.1 is usually called stable, above 0.25 a shift.")
	top := nice(highest)
	c.y = axis{0, top, ticks(0, top, 4), plainTick}
	return c.draw(sorted(lines), []rule{{0.1, "0.1"}, {0.25, "0.25"}})
}

// SourcePlot draws the shares of the sources as stacked bars.
func (s *section) SourcePlot() template.HTML {
	c := s.timePlot("Sources of the answers of "+s.Function, "Share of each source in each period.")
	c.y = axis{0, 1, ticks(0, 1, 5), percentTick}
	return c.bars(s.stacks(), float64(s.step/time.Second))
}

// stacks returns the bars, with sources in one order throughout.
func (s *section) stacks() []stack {
	var names []string
	for _, share := range s.Sources {
		if !slices.Contains(names, string(share.Source)) {
			names = append(names, string(share.Source))
		}
	}
	order := []string{"live", "cache", "stale", "similar", "rule", "static"}
	rank := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	stacks := make([]stack, len(names))
	for i, name := range names {
		stacks[i] = stack{name: name, style: i}
	}
	starts := make(map[time.Time]float64) // what is below the next part of a bar
	for i, name := range names {
		for _, share := range s.Sources {
			if string(share.Source) == name {
				low := starts[share.Start]
				stacks[i].parts = append(stacks[i].parts, point{x: float64(share.Start.Unix()), low: low, high: low + share.Share})
				starts[share.Start] = low + share.Share
			}
		}
	}
	return stacks
}

// timePlot returns a plot over the time of the section.
func (s *section) timePlot(title, text string) *plot {
	from, to := s.span()
	layout := "2 Jan"
	if to.Sub(from) < 48*time.Hour {
		layout = "15:04"
	}
	first, last := float64(from.Unix()), float64(to.Unix())
	return &plot{
		title: title, text: text, xName: "time (UTC)",
		x: axis{first, last, timeTicks(from, to, s.step), func(x float64) string { return time.Unix(int64(x), 0).UTC().Format(layout) }},
	}
}

// timeTicks returns at most seven beginnings of periods.
func timeTicks(from, to time.Time, step time.Duration) []float64 {
	periods := int(to.Sub(from) / step)
	every := max((periods+5)/6, 1)
	var at []float64
	for i := 0; i <= periods; i += every {
		at = append(at, float64(from.Add(time.Duration(i)*step).Unix()))
	}
	return at
}
