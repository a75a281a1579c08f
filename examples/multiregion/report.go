package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// figures are what came of the calls of a phase.
type figures struct {
	calls, answered, requests int
	p50, p99                  time.Duration
	byRegion                  map[string]int
}

func (p *phase) figures() figures {
	f := figures{calls: len(p.calls), byRegion: map[string]int{}}
	var took []time.Duration
	for _, c := range p.calls {
		f.requests += c.requests
		took = append(took, c.took)
		if c.region != "" {
			f.answered++
			f.byRegion[c.region]++
		}
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		f.p50, f.p99 = took[n/2], took[min(n-1, n*99/100)]
	}
	return f
}

// report prints a table of the phases.
func report(out io.Writer, phases []*phase) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nPHASE\tCALLS\tANSWERED\tP50\tP99\tREQUESTS/CALL")
	for _, name := range names {
		fmt.Fprint(w, "\t", name)
	}
	fmt.Fprintln(w)
	for _, p := range phases {
		f := p.figures()
		fmt.Fprintf(w, "%s\t%d\t%.1f %%\t%d ms\t%d ms\t%.2f", p.name, f.calls, share(f.answered, f.calls),
			f.p50.Milliseconds(), f.p99.Milliseconds(), share(f.requests, f.calls)/100)
		for _, name := range names {
			fmt.Fprintf(w, "\t%.0f %%", share(f.byRegion[name], f.answered))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// share returns part of whole in percent, zero if there is nothing.
func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// verdict reports the promises that were not kept: no call fails, and extra
// requests are at most a fifth.
func verdict(phases []*phase) error {
	var errs []error
	for _, p := range phases {
		f := p.figures()
		for _, c := range p.calls {
			if c.err != nil {
				errs = append(errs, fmt.Errorf("%s: %d of %d calls failed, the first with: %w", p.name, f.calls-f.answered, f.calls, c.err))
				break
			}
		}
		if share(f.requests, f.calls) > 120 {
			errs = append(errs, fmt.Errorf("%s: %d requests for %d calls", p.name, f.requests, f.calls))
		}
	}
	return errors.Join(errs...)
}
