package outage

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A contestant is a client with the simulator that it alone calls, so that
// neither client's traffic counts against the other's limits.
type contestant struct {
	*site
	caller
	similar func() similarity         // nil for a client that knows nothing of the kind
	shown   func() telemetry.Snapshot // likewise
}

// newContestants makes both clients.
func (p *play) newContestants(ctx context.Context, serve serveFunc, onTransition func(policy.Transition)) (contestants [2]*contestant, err error) {
	for i := range contestants {
		s := p.sites[i]
		s.listen(serve)
		s.wire.MaxIdleConnsPerHost = accountLimit(p.options)
		contestants[i] = &contestant{site: s}
	}
	if contestants[0].caller, err = newBare(ctx, p.sites[0], p.sites[0].wire); err != nil {
		return contestants, err
	}
	ours, err := newStacked(p.options, p.data, p.sites[1], p.sites[1].wire, onTransition)
	if err != nil {
		return contestants, err
	}
	contestants[1].caller = ours
	contestants[1].shown = ours.client.Snapshot
	contestants[1].similar = func() similarity { return similarityOf(ours.client.SimilarStats()) }
	return contestants, nil
}

// A play is one run of the demo.
type play struct {
	options
	data      *data
	phases    []phase
	questions []dataset.Row
	sites     [3]*site
	clock     *clock
	watched   *watched
	weather   *weather
	line      *timeline
	out       io.Writer
	figures   *figures
}

// run plays all phases and returns what was counted, up to where ctx ended.
func (prog Program) run(ctx context.Context, o options, d *data, w *watched, out io.Writer) (*figures, error) {
	phases := phasesFor(o)
	questions := d.questions(callsIn(phases), o.seed)
	p := &play{options: o, data: d, phases: phases, questions: questions, clock: newClock(), watched: w, out: out}
	p.figures = newFigures(o, d, phases, questions)
	p.line = newTimeline(out, p.figures.history)
	begin := time.Now()
	err := p.train(ctx)
	if err == nil {
		p.weather = &weather{sites: p.sites[:2]}
		if o.worse {
			go p.weather.listen(p.clock, prog.Stdin, p.line.worse)
		}
		p.clock.run(ctx, o.fast, func(ctx context.Context, serve serveFunc) { err = p.all(ctx, serve) })
		p.figures.Worsened = p.weather.worsened()
	}
	if ctx.Err() != nil {
		p.figures.Stopped = time.Since(begin).Round(100 * time.Millisecond).String()
	} else if err != nil {
		return nil, err
	}
	p.figures.sumUp()
	return p.figures, nil
}

// train trains the simulators.
func (p *play) train(ctx context.Context) (err error) {
	fmt.Fprintf(p.out, "training three simulators on %d texts with %d labels (%s) …\n", len(p.data.train), p.figures.Labels, p.data.trainName)
	begin := time.Now()
	p.sites, err = trainSites(ctx, p.options, p.data, func() {
		fmt.Fprintf(p.out, "still training after %.0f s …\n", time.Since(begin).Seconds())
	})
	if err == nil {
		fmt.Fprintf(p.out, "trained in %v; ", time.Since(begin).Round(10*time.Millisecond))
	}
	return err
}

// all plays all phases against two of the simulators, and consults the third.
func (p *play) all(ctx context.Context, serve serveFunc) error {
	contestants, err := p.newContestants(ctx, serve, p.line.transition)
	if err != nil {
		return err
	}
	defer func() { p.figures.Similar = contestants[1].similar() }()
	p.watched.show(p.clock, contestants[1].shown)
	p.line.begin(p.options, p.data, p.questions)
	random := rand.New(rand.NewPCG(p.seed, 3))
	questions := p.questions
	for i, phase := range p.phases {
		if err := p.weather.begin(phase.faults); err != nil {
			return err
		}
		p.line.phase(phase)
		playPhase(ctx, phase, random, questions[:phase.calls], contestants, p.figures.phases[i], p.line)
		questions = questions[phase.calls:]
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return p.figures.consult(ctx, serve, p.sites[2])
}

// settled is how long after the last answer of a phase nobody has anything to do with
// it any more.
const settled = time.Millisecond

// playPhase asks the questions of one phase, about evenly over its time, through both
// clients. It waits for the last answers. No two questions come at the same moment, nor
// equal ones while one of them is open: what came of that would be chance.
func playPhase(ctx context.Context, p phase, random *rand.Rand, questions []dataset.Row, contestants [2]*contestant, tallies [2]*tally, line *timeline) {
	var before [2]int64
	for i, c := range contestants {
		before[i] = c.wire.calls()
	}
	begin := time.Now()
	var open openTexts
	var wg sync.WaitGroup
	for n := range questions {
		at := time.Duration(n)*p.every + time.Duration(random.Int64N(int64(p.every)/2))
		if sleep(ctx, max(time.Nanosecond, time.Until(begin.Add(at)))) != nil { // after the one before
			break
		}
		for !open.passOver(questions[n:]) && sleep(ctx, settled) == nil {
			continue
		}
		for i, c := range contestants {
			done := open.add(questions[n].Text)
			wg.Go(func() {
				defer done()
				askOne(ctx, c, i, questions[n], tallies[i], line)
			})
		}
	}
	wg.Wait()
	_ = sleep(ctx, max(settled, time.Until(begin.Add(p.duration))))
	line.flush()
	for i, c := range contestants {
		tallies[i].Upstream += c.wire.calls() - before[i]
	}
}

// openTexts are the texts that wait for an answer. They are safe for concurrent use.
type openTexts struct {
	mu    sync.Mutex
	times map[string]int // by text, how often; guarded by mu
}

// passOver puts first the first question whose text is not open. It reports false if
// there is none.
func (o *openTexts) passOver(questions []dataset.Row) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, q := range questions {
		if o.times[q.Text] == 0 {
			copy(questions[1:i+1], questions[:i])
			questions[0] = q
			return true
		}
	}
	return false
}

// add opens a text until the func that it returns is called.
func (o *openTexts) add(text string) (done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.times == nil {
		o.times = map[string]int{}
	}
	o.times[text]++
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.times[text]--
	}
}

// sleep returns nil after d, or the context's cause if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
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
