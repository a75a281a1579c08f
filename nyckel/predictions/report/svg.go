package report

import (
	"fmt"
	"hash/fnv"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// The size of a plot, and of the margins around what it plots.
const (
	width, height             = 640.0, 300.0
	left, right, top1, bottom = 52.0, 36.0, 12.0, 44.0
)

// A plot is one picture.
type plot struct {
	title, text string // for those who do not see it
	xName       string
	x, y        axis
	diagonal    bool
}

// An axis runs from min to max.
type axis struct {
	min, max float64
	ticks    []float64
	name     func(float64) string
}

// A line is the points of one model. Its style is the number of a colour and of
// the shape of its points, as colours alone do not reach everybody.
type line struct {
	name   string
	style  int
	points []point
}

type point struct {
	x, y      float64
	low, high float64 // of an interval
	bar       bool    // has an interval
}

// A rule is a level that the reader should know of.
type rule struct {
	y    float64
	name string
}

// A stack is the parts of all bars that one source has.
type stack struct {
	name  string
	style int
	parts []point
}

func percentTick(x float64) string { return strconv.FormatFloat(math.Round(100*x), 'f', -1, 64) + " %" }

func plainTick(x float64) string {
	return strconv.FormatFloat(math.Round(1000*x)/1000, 'f', -1, 64)
}

// ticks returns n+1 values from low to high.
func ticks(low, high float64, n int) []float64 {
	at := make([]float64, n+1)
	for i := range at {
		at[i] = low + (high-low)*float64(i)/float64(n)
	}
	return at
}

// nice returns the next value above x that has quarters of few digits.
func nice(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 1.2, 1.6, 2, 3.2, 4, 6, 8} {
		if x <= m*unit {
			return m * unit
		}
	}
	return 10 * unit
}

func (p *plot) at(x, y float64) (float64, float64) {
	part := func(v float64, a axis) float64 {
		if a.max <= a.min {
			return 0.5
		}
		return min(max((v-a.min)/(a.max-a.min), 0), 1)
	}
	return left + part(x, p.x)*(width-left-right), height - bottom - part(y, p.y)*(height-top1-bottom)
}

// drawing is SVG that grows.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.Builder, format+"\n", args...) }

// frame begins the picture: names for screen readers, grid and axes.
func (p *plot) frame(d *drawing) {
	sum := fnv.New32a()
	sum.Write([]byte(p.title))
	id := fmt.Sprintf("p%08x", sum.Sum32())
	d.add(`<svg viewBox="0 0 %g %g" role="img" aria-labelledby="%s-t %s-d">`, width, height, id, id)
	d.add(`<title id="%s-t">%s</title><desc id="%s-d">%s</desc>`, id, html.EscapeString(p.title), id, html.EscapeString(p.text))
	for _, v := range p.y.ticks {
		x, y := p.at(p.x.min, v)
		d.add(`<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" class="tick end">%s</text>`,
			x, y, width-right, y, x-8, y+4, p.y.name(v))
	}
	for _, v := range p.x.ticks {
		x, y := p.at(v, p.y.min)
		d.add(`<line class="axis" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" class="tick mid">%s</text>`,
			x, y, x, y+5, x, y+19, html.EscapeString(p.x.name(v)))
	}
	x1, y1 := p.at(p.x.min, p.y.min)
	d.add(`<line class="axis" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x1, y1, width-right, y1)
	d.add(`<text x="%.1f" y="%.1f" class="tick end">%s</text>`, width-right, height-6, html.EscapeString(p.xName))
}

// draw returns the picture of lines.
func (p *plot) draw(lines []line, rules []rule) template.HTML {
	d := new(drawing)
	p.frame(d)
	if p.diagonal {
		x1, y1 := p.at(p.x.min, p.y.min)
		x2, y2 := p.at(p.x.max, p.y.max)
		d.add(`<line class="rule" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x1, y1, x2, y2)
	}
	named := height // where the last rule that has its name is
	for _, r := range rules {
		x, y := p.at(p.x.max, r.y)
		d.add(`<line class="rule" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, left, y, x, y)
		if named-y > 14 {
			named = y
			d.add(`<text x="%.1f" y="%.1f" class="tick">%s</text>`, x+3, y+4, r.name)
		}
	}
	for i, l := range lines {
		p.drawLine(d, l, (float64(i)-float64(len(lines)-1)/2)*3)
	}
	d.add("</svg>")
	names := make([]string, len(lines))
	for i, l := range lines {
		names[i] = fmt.Sprintf(`<li><svg viewBox="-7 -7 14 14" class="key s%d" aria-hidden="true">%s</svg>%s</li>`, l.style, mark(l.style, 0, 0), html.EscapeString(l.name))
	}
	return legend(d, names)
}

// drawLine draws a line; shift keeps the intervals of several apart.
func (p *plot) drawLine(d *drawing, l line, shift float64) {
	if p.diagonal {
		shift = 0
	}
	d.add(`<g class="s%d">`, l.style)
	var path []string
	for _, pt := range l.points {
		x, y := p.at(pt.x, pt.y)
		path = append(path, fmt.Sprintf("%.1f,%.1f", x+shift, y))
		if pt.bar {
			_, low := p.at(pt.x, pt.low)
			_, high := p.at(pt.x, pt.high)
			d.add(`<line class="bar" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x+shift, low, x+shift, high)
		}
	}
	d.add(`<polyline class="line" points="%s"/>`, strings.Join(path, " "))
	for _, pt := range l.points {
		x, y := p.at(pt.x, pt.y)
		d.add("%s", mark(l.style, x+shift, y))
	}
	d.add("</g>")
}

// mark returns the shape of a point.
func mark(style int, x, y float64) string {
	switch style % 4 {
	case 1:
		return fmt.Sprintf(`<rect class="mark" x="%.1f" y="%.1f" width="7" height="7"/>`, x-3.5, y-3.5)
	case 2:
		return fmt.Sprintf(`<path class="mark" d="M%.1f %.1fl4.5 8h-9z"/>`, x, y-5)
	case 3:
		return fmt.Sprintf(`<path class="mark" d="M%.1f %.1fl5 5-5 5-5-5z"/>`, x, y-5)
	}
	return fmt.Sprintf(`<circle class="mark" cx="%.1f" cy="%.1f" r="4"/>`, x, y)
}

// bars returns the picture of stacked bars that are span wide.
func (p *plot) bars(stacks []stack, span float64) template.HTML {
	d := new(drawing)
	p.frame(d)
	var names []string
	for _, s := range stacks {
		d.add(`<g class="s%d">`, s.style%maxStyles)
		for _, part := range s.parts {
			x1, y1 := p.at(part.x, part.high)
			x2, y2 := p.at(part.x+span, part.low)
			gap := min((x2-x1)*0.1, 3)
			d.add(`<rect class="part" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x1+gap, y1, x2-x1-2*gap, y2-y1)
		}
		d.add("</g>")
		names = append(names, fmt.Sprintf(`<li><svg viewBox="-7 -7 14 14" class="key s%d" aria-hidden="true"><rect class="part" x="-6" y="-6" width="12" height="12"/></svg>%s</li>`,
			s.style%maxStyles, html.EscapeString(s.name)))
	}
	d.add("</svg>")
	return legend(d, names)
}

// maxStyles is how many colours the page has.
const maxStyles = 8

func legend(d *drawing, names []string) template.HTML {
	d.add(`<ul class="legend">%s</ul>`, strings.Join(names, ""))
	return template.HTML(d.String()) // every text in it was escaped
}
