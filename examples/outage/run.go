package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/policy"
)

// The credentials of the simulated account.
const clientID, clientSecret = "demo-client", "demo-secret"

// A site is one running simulator with its trained function.
type site struct {
	server   *nyckelsim.Server
	instance *nyckelsim.Instance
	url      string
	function string
}

// startSite starts a simulator and trains it.
func startSite(o options, d *data) (site, error) {
	server := nyckelsim.New(nyckelsim.Config{
		ClientID: clientID, ClientSecret: clientSecret,
		Rate: accountLimit(o.rate), Latency: serviceTime, Seed: o.seed,
	})
	id := server.AddFunction(functionName)
	samples := make([]nyckelsim.Sample, len(d.train))
	for i, row := range d.train {
		samples[i] = nyckelsim.Sample{Text: row.Text, Label: row.Label}
	}
	if err := server.Import(id, samples); err != nil {
		return site{}, err
	}
	if _, err := server.Train(id); err != nil {
		return site{}, err
	}
	instance, err := nyckelsim.Start("127.0.0.1:0", server)
	if err != nil {
		return site{}, err
	}
	return site{server: server, instance: instance, url: instance.URL(), function: id}, nil
}

// A contestant is a client with the simulator that it alone calls, so that
// neither client's traffic counts against the other's limits.
type contestant struct {
	site
	caller
	wire *counted
	idle func()
}

func (c *contestant) close() {
	c.idle()
	_ = c.instance.Close()
}

// startContestants starts and trains both simulators at once.
func startContestants(ctx context.Context, o options, d *data, onTransition func(policy.Transition)) (contestants [2]*contestant, err error) {
	var sites [2]site
	var errs [2]error
	var wg sync.WaitGroup
	for i := range sites {
		wg.Go(func() { sites[i], errs[i] = startSite(o, d) })
	}
	wg.Wait()
	for i, s := range sites {
		if errs[i] != nil {
			return contestants, errs[i]
		}
		wire := http.DefaultTransport.(*http.Transport).Clone()
		wire.MaxIdleConnsPerHost = documentedLimit
		contestants[i] = &contestant{site: s, wire: &counted{RoundTripper: wire}, idle: wire.CloseIdleConnections}
	}
	if contestants[0].caller, err = newBare(ctx, sites[0], contestants[0].wire); err != nil {
		return contestants, err
	}
	stack := newStack(rulesFor(d), commonest(d.train), onTransition)
	contestants[1].caller, err = newStacked(sites[1], contestants[1].wire, stack)
	return contestants, err
}

// run plays all phases and returns what was counted, up to where ctx ended.
func run(ctx context.Context, o options, d *data, out io.Writer) (*figures, error) {
	phases := plan(o)
	line := newTimeline(out)
	fmt.Fprintf(out, "training two simulators on %d texts with %d labels (%s) …\n", len(d.train), len(labelsOf(d.train)), d.trainName)
	begin := time.Now()
	contestants, err := startContestants(ctx, o, d, line.transition)
	for _, c := range contestants {
		if c != nil {
			defer c.close()
		}
	}
	if err != nil {
		return nil, err
	}
	questions := d.questions(callsIn(phases), o.seed)
	line.begin(o, d, questions, time.Since(begin))

	f := newFigures(o, d, phases, questions)
	for i, p := range phases {
		for _, c := range contestants {
			if err := c.server.SetFaults(p.faults); err != nil {
				return nil, err
			}
		}
		line.phase(p)
		play(ctx, p, questions[:p.calls], contestants, f.phases[i], line)
		questions = questions[p.calls:]
		if ctx.Err() != nil {
			f.Stopped = line.elapsed().Round(time.Second).String()
			break
		}
	}
	return f, nil
}

// play asks the questions of one phase, evenly over its time, through both
// clients. It waits for the last answers.
func play(ctx context.Context, p phase, questions []dataset.Row, contestants [2]*contestant, tallies [2]*tally, line *timeline) {
	var before [2]int64
	for i, c := range contestants {
		before[i] = c.wire.calls.Load()
	}
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	var wg sync.WaitGroup
	for _, question := range questions {
		for i, c := range contestants {
			wg.Go(func() { askOne(ctx, c, i, question, tallies[i], line) })
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	wg.Wait()
	line.flush()
	for i, c := range contestants {
		tallies[i].Upstream += c.wire.calls.Load() - before[i]
	}
}

func askOne(ctx context.Context, c *contestant, side int, question dataset.Row, t *tally, line *timeline) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := time.Now()
	a, err := c.ask(ctx, question.Text)
	if ctx.Err() == context.Canceled { // Ctrl-C: neither client's fault
		return
	}
	t.add(a, err, question.Label, time.Since(begin))
	line.answer(side, a, err)
}

// commonest returns the label that most texts have.
func commonest(rows []dataset.Row) string {
	count := map[string]int{}
	for _, row := range rows {
		count[row.Label]++
	}
	return slices.MaxFunc(labelsOf(rows), func(a, b string) int { return count[a] - count[b] })
}
