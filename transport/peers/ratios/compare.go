package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A comparison is a ratio and the bar for it.
type comparison struct {
	title, row, ours, peer string

	whole  bool    // of whole calls; else of what they take beyond the bare transport
	bar    float64 // zero if there is none
	allocs float64 // the bar for our allocations beyond bare; zero if there is none
}

var comparisons = []comparison{
	{title: "full standard stack, metrics", row: "full-stack", ours: "sparekey", peer: "failsafehttp-in-otelhttp", bar: 0.20, allocs: 8},
	{title: "  the same and a fallback", row: "full-stack", ours: "sparekey-with-fallback", peer: "failsafehttp-in-otelhttp"},
	{title: "retry + breaker + timeout", row: "retry-breaker-timeout", ours: "sparekey", peer: "failsafehttp", bar: 0.25, allocs: 5},
	{title: "attempt timeout", row: "attempt-timeout", ours: "sparekey", peer: "http.Client.Timeout", bar: 0.30},
	{title: "one retry, whole call", row: "one-retry", ours: "sparekey", peer: "failsafehttp", whole: true, bar: 0.60},
	{title: "one retry, whole call", row: "one-retry", ours: "sparekey", peer: "go-retryablehttp", whole: true, bar: 0.60},
	{title: "open breaker, whole call", row: "open-breaker", ours: "sparekey", peer: "gobreaker", whole: true, bar: 1.05},
	{title: "open breaker, whole call", row: "open-breaker", ours: "sparekey", peer: "failsafehttp", whole: true},
	{title: "cache hit, POST : GET, whole call", row: "cache-hit", ours: "sparekey", peer: "httpcache", whole: true, bar: 0.40},
	{title: "  the same with metrics", row: "cache-hit", ours: "sparekey-with-metrics", peer: "httpcache", whole: true},
	{title: "cache hit, GET, whole call", row: "cache-hit-get", ours: "sparekey", peer: "httpcache", whole: true, bar: 0.25},
	{title: "loopback, whole call", row: "loopback", ours: "sparekey", peer: "bare", whole: true, bar: 1.10},
	{title: "loopback, whole call", row: "loopback", ours: "sparekey", peer: "failsafehttp-in-otelhttp", whole: true, bar: 0.80},
}

// A round holds what each benchmark, by "row/contender", came to.
type round map[string]cost

// A cost is that of one call.
type cost struct{ cpu, allocs float64 }

func (c cost) minus(other cost) cost { return cost{c.cpu - other.cpu, c.allocs - other.allocs} }

// parse reads the output of the benchmarks.
func parse(out []byte) (round, error) {
	r := round{}
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		parts := strings.Split(fields[0], "/") // BenchmarkPeers/row/contender/serial-2
		if len(parts) != 4 {
			return nil, fmt.Errorf("no benchmark of a contender: %s", line)
		}
		var c cost
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("reading %q: %w", line, err)
			}
			switch fields[i+1] {
			case "cpu-ns/op":
				c.cpu = value
			case "allocs/op":
				c.allocs = value
			}
		}
		r[parts[1]+"/"+parts[2]] = c
	}
	if len(r) == 0 {
		return nil, errors.New("no row has such a name")
	}
	return r, nil
}

// report prints the comparisons that were measured and tells whether one of them
// missed its bar.
func report(w io.Writer, rounds []round) (missed bool) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what\tpeer\tCPU ns: ours\tpeer's\tratio\tmiddle half\tbar\tallocs: ours\tpeer's\tbar\t")
	for _, c := range comparisons {
		f, ok := c.figures(rounds)
		if !ok {
			continue
		}
		verdict := c.verdict(f)
		missed = missed || verdict == "MISS"
		fmt.Fprintf(table, "%s\t%s\t%.0f\t%.0f\t%.2f\t%.2f–%.2f\t%s\t%+.0f\t%+.0f\t%s\t%s\n",
			c.title, c.peer, f.ours.cpu, f.peer.cpu, f.ratio, f.low, f.high, bar("≤ %.2f", c.bar),
			f.ours.allocs, f.peer.allocs, bar("≤ %+.0f", c.allocs), verdict)
	}
	table.Flush()
	fmt.Fprintf(w, "\nMedians of %d rounds. Times are of the whole call where the row says so, else beyond the bare\n"+
		"transport; allocations always beyond it.\n", len(rounds))
	return missed
}

// figures are what a row of the table shows: medians over the rounds.
type figures struct {
	ours, peer cost
	ratio      float64
	low, high  float64 // quartiles of the ratio
}

// figures returns those of c. It reports false if c was not measured.
func (c comparison) figures(rounds []round) (figures, bool) {
	var ratios, ourCPU, peerCPU []float64
	var f figures
	for _, r := range rounds {
		bare, ok1 := r[c.row+"/bare"]
		ours, ok2 := r[c.row+"/"+c.ours]
		peer, ok3 := r[c.row+"/"+c.peer]
		if !ok1 || !ok2 || !ok3 {
			return figures{}, false
		}
		f.ours.allocs, f.peer.allocs = ours.allocs-bare.allocs, peer.allocs-bare.allocs // the same in every round
		if !c.whole {
			ours, peer = ours.minus(bare), peer.minus(bare)
		}
		ourCPU, peerCPU = append(ourCPU, ours.cpu), append(peerCPU, peer.cpu)
		ratios = append(ratios, ours.cpu/peer.cpu)
	}
	f.ours.cpu, f.peer.cpu = quantile(ourCPU, 0.5), quantile(peerCPU, 0.5)
	f.ratio, f.low, f.high = quantile(ratios, 0.5), quantile(ratios, 0.25), quantile(ratios, 0.75)
	return f, len(rounds) > 0
}

// verdict says whether the figures, as they are printed, keep the bars.
func (c comparison) verdict(f figures) string {
	switch {
	case c.bar == 0:
		return ""
	case f.ratio >= c.bar+0.005, c.allocs > 0 && f.ours.allocs > c.allocs:
		return "MISS"
	}
	return "pass"
}

func bar(format string, value float64) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf(format, value)
}

// quantile returns the value below which a share q of the values lies, between
// two of them if need be.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}
