package policy

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// String returns the layers as a table, each with its settings and its worst
// case, and the worst case of the whole. A layer's case is that of one request to
// it: a call's above the retry, an attempt's below.
func (e Explanation) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "layer\tsettings\tcalls\theader\tend\twaiting\tbuffered")
	for _, l := range e.Layers {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", l.title(), l.settings(), l.Calls,
			span(l.Header), span(l.End), span(l.Waiting), size(l.BufferedBytes))
	}
	_ = w.Flush() // a strings.Builder takes everything
	fmt.Fprintf(&b, "\nAt worst %s; header or error: %s; end of the body: %s; waiting: %s; buffered: %s",
		count(e.Calls, "request"), span(e.Header), span(e.End), span(e.Waiting), size(e.BufferedBytes))
	if e.SpilledBytes > 0 {
		fmt.Fprintf(&b, "; in a temporary file: %s", size(e.SpilledBytes))
	}
	b.WriteString(".\n")
	if below, ok := e.below(); ok {
		fmt.Fprintf(&b, "What %s does is not known, nor what it may stand on.\n", below)
	}
	return trimLines(b.String())
}

// title names the part in the table, with the endpoint that it belongs to.
func (p Part) title() string {
	if p.Endpoint == "" {
		return p.String()
	}
	return p.Endpoint + ": " + p.String()
}

// below returns what the stack stands on if that is not net/http.
func (e Explanation) below() (Part, bool) {
	if len(e.Layers) == 0 {
		return Part{}, false
	}
	last := e.Layers[len(e.Layers)-1].Part
	return last, last.Kind == KindBase && last.Name != "*http.Transport"
}

// settings returns the figures of p that its worst case and its use hang on.
func (p Part) settings() string {
	text := ""
	switch p.Kind {
	case KindFallback:
		text = settingsOf[Fallback](p).text()
	case KindCache:
		c := p.cache()
		text = fmt.Sprintf("fresh %s, pinned %s, stale %s", span(c.TTL), span(c.PinnedTTL), span(max(0, c.StaleIfError)))
	case KindTimeout:
		text = p.timeout().text()
	case KindHedge:
		text = p.hedge().text()
	case KindRetry:
		text = p.retry().text()
	case KindFailover:
		text = p.failover().text()
	case KindThrottle:
		text = p.throttle().text()
	case KindBreaker:
		text = p.breaker().text()
	case KindLimit:
		text = p.limit().text()
	case KindStreams:
		text = p.streams().text()
	case KindFaults:
		text = count(len(p.faults().Mix), "fault") + " in the mix"
	case KindCall, KindAttempt:
		text = p.Name
	case KindForeign:
		text = "foreign"
	}
	if p.Key != "" {
		text += ", per " + strings.TrimPrefix(p.Key, "transport.")
	}
	return strings.TrimPrefix(text, ", ")
}

// text returns the rungs in order; without them, what there is for some.
func (f Fallback) text() string {
	rungs := f.Rungs
	if rungs == nil {
		rungs = f.ladder(nil).Rungs
	}
	rungs = slices.Clone(rungs)
	if i := slices.Index(rungs, RungRules); i >= 0 {
		rungs[i] = count(len(f.Rules), "rule")
	}
	return strings.Join(rungs, ", ")
}

func (t Timeout) text() string {
	var limits []string
	limit := func(format string, d time.Duration) {
		if d > 0 && (d == t.Total || t.Total <= 0 || d < t.Total) {
			limits = append(limits, fmt.Sprintf(format, span(d)))
		}
	}
	limit("%s", max(0, t.Total))
	if t.FirstByte != t.Total {
		limit("first byte %s", t.FirstByte)
	}
	if t.Idle != t.Total {
		limit("idle %s", t.Idle)
	}
	return strings.Join(limits, ", ")
}

func (h Hedge) text() string {
	after := fmt.Sprintf("the quantile %.4g", h.Quantile)
	if h.Delay > 0 {
		after = span(h.Delay)
	}
	return fmt.Sprintf("%s after %s, up to %.3g %%", count(h.Max, "hedge"), after, 100*h.Ratio)
}

func (r Retry) text() string {
	server := "any"
	if r.MaxWait > 0 {
		server = "≤ " + span(r.MaxWait)
	}
	return fmt.Sprintf("%s, from %s, throttled %s, server's %s",
		count(r.MaxAttempts(), "attempt"), span(max(0, r.Backoff.Base)), span(max(0, r.Throttled.Base)), server)
}

func (f Failover) text() string {
	return fmt.Sprintf("%s, %v", count(len(f.Endpoints), "endpoint"), f.Strategy)
}

func (t Throttle) text() string {
	return fmt.Sprintf("above %.3g %% of ≥ %d in %s, up to %.3g %%", 100*t.Ratio, t.MinCalls, span(t.Window), 100*t.MaxRefused)
}

func (b Breaker) text() string {
	window := span(b.Window)
	if b.LastCalls > 0 {
		window = fmt.Sprintf("the last %d", b.LastCalls)
	}
	return fmt.Sprintf("%.3g %% of ≥ %d in %s, open %s to %s", 100*b.Ratio, b.MinCalls, window, span(b.OpenFor), span(b.MaxOpenFor))
}

func (l Limit) text() string {
	var bounds []string
	if l.PerSecond > 0 {
		bounds = append(bounds, fmt.Sprintf("%g/s", l.PerSecond))
	}
	switch {
	case l.InFlight > 0:
		bounds = append(bounds, fmt.Sprintf("%d in flight", l.InFlight))
	case l.adapts():
		bounds = append(bounds, fmt.Sprintf("adapts from %d", l.Adaptive.Initial))
	}
	if wait := l.longestWait(); wait > 0 {
		bounds = append(bounds, "queue "+span(wait))
	}
	return strings.Join(bounds, ", ")
}

// span returns d without parts that are zero: 24h, not 24h0m0s.
func span(d time.Duration) string {
	if d == Unbounded {
		return "unbounded"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// size returns n in its largest unit, rounded up to a tenth.
func size(n int64) string {
	const unit = 1 << 10
	switch {
	case n < unit:
		return fmt.Sprintf("%d B", n)
	case n < unit*unit:
		return tenths(n, unit) + " KiB"
	case n < unit*unit*unit:
		return tenths(n, unit*unit) + " MiB"
	}
	return tenths(n, unit*unit*unit) + " GiB"
}

func tenths(n, unit int64) string {
	whole, rest := n/unit, n%unit
	tenth := (rest*10 + unit - 1) / unit
	if tenth == 10 {
		whole, tenth = whole+1, 0
	}
	return strings.TrimSuffix(fmt.Sprintf("%d.%d", whole, tenth), ".0")
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// trimLines cuts off what ends lines unseen.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
