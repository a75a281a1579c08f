package outage

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
	"github.com/sparekey/sparekey/telemetry"
)

// The credentials of the simulated account.
const clientID, clientSecret = "demo-client", "demo-secret"

// A site is one running simulator with its trained function.
type site struct {
	server   *nyckelsim.Server
	instance *nyckelsim.Instance // nil until it listens
	url      string
	function string
}

// configs are those of the simulators: one for each client, and one that is asked
// afterwards what the service would have said. All learn the same model.
func configs(o options) [3]nyckelsim.Config {
	c := nyckelsim.Config{
		ClientID: clientID, ClientSecret: clientSecret,
		Rate: accountLimit(o), Concurrency: accountLimit(o), Latency: serviceTime, Seed: o.seed,
	}
	judge := c
	judge.Rate, judge.Concurrency, judge.Latency = -1, -1, 0
	return [3]nyckelsim.Config{c, c, judge}
}

// trainSite makes a simulator and trains it.
func trainSite(c nyckelsim.Config, d *data) (*site, error) {
	server := nyckelsim.New(c)
	id := server.AddFunction(functionName)
	samples := make([]nyckelsim.Sample, len(d.train))
	for i, row := range d.train {
		samples[i] = nyckelsim.Sample{Text: row.Text, Label: row.Label}
	}
	if err := server.Import(id, samples); err != nil {
		return nil, err
	}
	if _, err := server.Train(id); err != nil {
		return nil, err
	}
	return &site{server: server, function: id}, nil
}

// trainSites trains all simulators at once. It returns at once when ctx ends;
// the training then goes on for nobody, as it cannot be interrupted.
func trainSites(ctx context.Context, o options, d *data, progress func()) (sites [3]*site, err error) {
	if ctx.Err() != nil {
		return sites, context.Cause(ctx)
	}
	type outcome struct {
		site *site
		err  error
	}
	var trained [len(sites)]chan outcome
	for i, c := range configs(o) {
		trained[i] = make(chan outcome, 1)
		go func() {
			s, err := trainSite(c, d)
			trained[i] <- outcome{s, err}
		}()
	}
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for i := 0; i < len(sites); {
		select {
		case t := <-trained[i]:
			if t.err != nil {
				return sites, t.err
			}
			sites[i] = t.site
			i++
		case <-ticker.C:
			progress()
		case <-ctx.Done():
			return sites, context.Cause(ctx)
		}
	}
	return sites, nil
}

// listen gives the simulator a port of its own.
func (s *site) listen() (err error) {
	if s.instance, err = nyckelsim.Start("127.0.0.1:0", s.server); err != nil {
		return err
	}
	s.url = s.instance.URL()
	return nil
}

// A contestant is a client with the simulator that it alone calls, so that
// neither client's traffic counts against the other's limits.
type contestant struct {
	*site
	caller
	wire    *counted
	idle    func()
	similar func() similarity         // nil for a client that knows nothing of the kind
	shown   func() telemetry.Snapshot // likewise
}

func (c *contestant) close() {
	c.idle()
	if c.instance != nil {
		_ = c.instance.Close()
	}
}

// newContestants makes both clients. The contestants must be closed even if
// there is an error.
func newContestants(ctx context.Context, o options, d *data, sites [2]*site, onTransition func(policy.Transition)) (contestants [2]*contestant, err error) {
	for i, s := range sites {
		wire := http.DefaultTransport.(*http.Transport).Clone()
		wire.MaxIdleConnsPerHost = accountLimit(o)
		contestants[i] = &contestant{site: s, wire: &counted{RoundTripper: wire}, idle: wire.CloseIdleConnections}
	}
	for _, s := range sites {
		if err := s.listen(); err != nil {
			return contestants, err
		}
	}
	if contestants[0].caller, err = newBare(ctx, sites[0], contestants[0].wire); err != nil {
		return contestants, err
	}
	var ours *stacked
	if o.config == "" {
		ours, err = newStacked(sites[1], contestants[1].wire, newStack(o, rulesFor(d), commonest(d.train), onTransition))
	} else {
		ours, err = newPlanned(o.config, sites[1], contestants[1].wire, onTransition)
	}
	if err != nil {
		return contestants, err
	}
	contestants[1].caller = ours
	contestants[1].shown = ours.client.Snapshot
	contestants[1].similar = func() similarity { return similarityOf(ours.client.SimilarStats()) }
	return contestants, nil
}

// run plays all phases and returns what was counted, up to where ctx ended.
func run(ctx context.Context, o options, d *data, w *watched, out io.Writer) (*figures, error) {
	phases := phasesFor(o)
	questions := d.questions(callsIn(phases), o.seed)
	f := newFigures(o, d, phases, questions)
	begin := time.Now()
	err := f.playAll(ctx, o, d, w, phases, questions, out)
	if ctx.Err() != nil {
		f.Stopped = time.Since(begin).Round(100 * time.Millisecond).String()
	} else if err != nil {
		return nil, err
	}
	f.sumUp()
	return f, nil
}

// playAll trains the simulators and plays all phases against both.
func (f *figures) playAll(ctx context.Context, o options, d *data, w *watched, phases []phase, questions []dataset.Row, out io.Writer) error {
	fmt.Fprintf(out, "training three simulators on %d texts with %d labels (%s) …\n", len(d.train), f.Labels, d.trainName)
	begin := time.Now()
	sites, err := trainSites(ctx, o, d, func() {
		fmt.Fprintf(out, "still training after %.0f s …\n", time.Since(begin).Seconds())
	})
	if err != nil {
		return err
	}
	line := newTimeline(out, f.history)
	contestants, err := newContestants(ctx, o, d, [2]*site(sites[:2]), line.transition)
	for _, c := range contestants {
		defer c.close()
	}
	if err != nil {
		return err
	}
	defer func() { f.Similar = contestants[1].similar() }()
	w.show(contestants[1].shown)
	line.begin(o, d, questions, time.Since(begin))
	for i, p := range phases {
		for _, c := range contestants {
			if err := c.server.SetFaults(p.faults); err != nil {
				return err
			}
		}
		line.phase(p)
		playPhase(ctx, p, questions[:p.calls], contestants, f.phases[i], line)
		questions = questions[p.calls:]
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return f.consult(ctx, sites[2])
}

// playPhase asks the questions of one phase, evenly over its time, through both
// clients. It waits for the last answers.
func playPhase(ctx context.Context, p phase, questions []dataset.Row, contestants [2]*contestant, tallies [2]*tally, line *timeline) {
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
	t.add(question, a, err, time.Since(begin))
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
