package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// names are those of the regions, in the order of the report.
var names = []string{"eu", "us", "asia"}

// A phase is a part of the run and what came of its calls.
type phase struct {
	name  string
	set   func(regions []*region)
	calls []call
}

// A call is what came of one call.
type call struct {
	region   string // that answered, "" if none did
	took     time.Duration
	requests int
	err      error
}

func schedule() []*phase {
	each := func(dead, slow string) func([]*region) {
		return func(regions []*region) {
			for _, r := range regions {
				slower := 1.0
				if r.name == slow {
					slower = 10
				}
				r.set(r.name == dead, slower)
			}
		}
	}
	return []*phase{
		{name: "all are well", set: each("", "")},
		{name: "us is dead, asia ten times slower", set: each("us", "asia")},
		{name: "all are well again", set: each("", "")},
	}
}

// run plays the schedule. When ctx ends it stops early and says so.
func run(ctx context.Context, o options, out io.Writer) ([]*phase, error) {
	var regions []*region
	for _, name := range names {
		r, err := startRegion(name, o.seed)
		if err != nil {
			return nil, err
		}
		defer r.close()
		regions = append(regions, r)
	}
	wire := http.DefaultTransport.(*http.Transport).Clone()
	defer wire.CloseIdleConnections()
	client := newClient(wire, regions, o.seed)
	phases := schedule()
	for _, p := range phases {
		fmt.Fprintf(out, "── %s ──\n", p.name)
		p.set(regions)
		if err := p.play(ctx, client, "http://"+regions[0].addr, o, out); err != nil {
			return nil, err
		}
	}
	return phases, nil
}

// play makes the calls of a phase at a steady rate and prints a line a second.
func (p *phase) play(ctx context.Context, client *http.Client, base string, o options, out io.Writer) error {
	every := time.Duration(float64(time.Second) / o.rate)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	end := time.Now().Add(o.duration / time.Duration(len(schedule())))
	var (
		mu      sync.Mutex
		running sync.WaitGroup
		printed int
		next    = time.Now().Add(time.Second)
	)
	for time.Now().Before(end) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			running.Wait()
			return fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		running.Go(func() {
			c := ask(ctx, client, base)
			mu.Lock()
			defer mu.Unlock()
			p.calls = append(p.calls, c)
		})
		if time.Now().After(next) {
			mu.Lock()
			fmt.Fprintln(out, "  ", progress(p.calls[printed:]))
			printed = len(p.calls)
			mu.Unlock()
			next = next.Add(time.Second)
		}
	}
	running.Wait()
	return nil
}

// progress says in one line where calls went: a letter for each.
func progress(calls []call) string {
	var b strings.Builder
	for _, c := range calls {
		if c.region == "" {
			b.WriteByte('-')
		} else {
			b.WriteByte(c.region[0])
		}
	}
	return b.String()
}

// ask makes one call. The question may be asked twice.
func ask(ctx context.Context, client *http.Client, base string) call {
	ctx, trail := telemetry.NewContext(policy.WithCall(ctx, policy.Call{Function: "tickets", Replayable: true}))
	start := time.Now()
	region, err := invoke(ctx, client, base)
	return call{region: region, took: time.Since(start), requests: trail.AttemptCount(), err: err}
}

// invoke returns the region that answered.
func invoke(ctx context.Context, client *http.Client, base string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/functions/tickets/invoke", strings.NewReader(`{"data":"my card was charged twice"}`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Region string `json:"region"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s", resp.Status)
	}
	return answer.Region, nil
}
