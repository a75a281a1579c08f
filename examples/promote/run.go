package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/pin"
	"github.com/sparekey/sparekey/policy"
)

const (
	function = "ticket_routing"
	shadow   = "ticket_routing_shadow"

	serviceTime = time.Millisecond // of the simulator
)

// gate is the bar. The latency is the simulator's, and says little.
var gate = pin.Gate{MinCompared: 100, MinOutcomes: 100, MaxLatencyRatio: 5}

// A demo is what the phases share.
type demo struct {
	options
	*data
	*figures
	school  trainer
	client  *nyckel.Client
	journal *pin.Journal
	path    string // of the journal
	out     io.Writer
}

// run plays the whole workflow and returns what was found, up to where ctx ended.
func run(ctx context.Context, o options, d *data, out io.Writer) (*figures, error) {
	folder, err := os.MkdirTemp("", "promote")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "pins.jsonl")
	journal, err := pin.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = journal.Close() }()

	sim := nyckelsim.New(nyckelsim.Config{Seed: o.seed, Rate: -1, Latency: serviceTime})
	instance, err := nyckelsim.Start("127.0.0.1:0", sim)
	if err != nil {
		return nil, err
	}
	defer func() { _ = instance.Close() }()
	demo := &demo{
		options: o, data: d, figures: &figures{Seed: o.seed, Texts: d.source, Asked: len(d.ask)}, journal: journal, path: path, out: out,
		school: trainer{sim: sim, function: sim.AddFunction(function), texts: map[string]bool{}},
	}
	wire := http.DefaultTransport.(*http.Transport).Clone()
	defer wire.CloseIdleConnections()
	if demo.client, err = newClient(instance.URL(), demo.school.function, journal, wire); err != nil {
		return nil, err
	}
	err = demo.play(ctx)
	if ctx.Err() != nil {
		demo.Stopped = true
		err = nil
	}
	demo.Journal = journal.History("")
	return demo.figures, err
}

// newClient returns the client that all calls go through. The shadow is the same
// function under another name, so that its trouble is not that of live calls.
func newClient(url, id string, pins nyckel.Pins, wire http.RoundTripper) (*nyckel.Client, error) {
	return nyckel.New(
		nyckel.WithBaseURL(url),
		nyckel.WithCredentials("sim-client", "sim-secret"),
		nyckel.WithHTTPClient(&http.Client{Transport: wire}),
		nyckel.WithLimit(policy.Limit{PerSecond: -1}), // the simulator has none either: a demo should not take minutes
		nyckel.WithPins(pins),
		nyckel.WithFunction(function, nyckel.Function{ID: id}),
		nyckel.WithFunction(shadow, nyckel.Function{ID: id, Stack: pin.ShadowStack()}),
	)
}

// play trains, compares, promotes and rolls back.
func (d *demo) play(ctx context.Context) error {
	fmt.Fprintf(d.out, "training the first model on %d texts (%s) …\n", len(d.first), d.source)
	first, err := d.learn(ctx, "first", d.first)
	if err != nil {
		return err
	}
	if _, err := d.journal.Set(function, first.ID, pin.By{Actor: "ann", Reason: "the first model"}); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "importing %d more in a hurry, with every third label mixed up …\n", len(d.later))
	hasty, err := d.learn(ctx, "hasty", mixedUp(d.later))
	if err != nil {
		return err
	}
	if err := d.candidate(ctx, first, hasty, pin.By{Actor: "ben", Reason: "knows more texts"}); err != nil {
		return err
	}
	fmt.Fprintln(d.out, "putting the labels right …")
	proper, err := d.learn(ctx, "proper", d.later)
	if err != nil {
		return err
	}
	if err := d.candidate(ctx, first, proper, pin.By{Actor: "ben", Reason: "knows more texts, labels checked"}); err != nil {
		return err
	}
	if now, _ := d.journal.Pin(function); now != proper.ID {
		return nil // a promise is broken: there is nothing to roll back
	}
	if err := d.answers(ctx, "promoted", "a promoted model answers the next call of the client in use", proper); err != nil {
		return err
	}
	if _, err := d.journal.Rollback(function, pin.By{Actor: "ann", Reason: "the desk is not trained for it yet"}); err != nil {
		return err
	}
	if err := d.answers(ctx, "rolled back", "so does the model before it after a rollback", first); err != nil {
		return err
	}
	return d.reread()
}

// learn trains a model and lists it.
func (d *demo) learn(ctx context.Context, name string, rows []dataset.Row) (model, error) {
	m, err := d.school.train(ctx, name, rows)
	if err == nil {
		d.Models = append(d.Models, m)
	}
	return m, err
}

// candidate asks all questions, live to the incumbent and in its shadow to the
// candidate, tells the truth about them, and tries to promote.
func (d *demo) candidate(ctx context.Context, incumbent, candidate model, by pin.By) error {
	records := pin.NewMemory(len(d.ask))
	random := rand.New(rand.NewPCG(d.seed, 2))
	s, err := pin.NewShadow(pin.ShadowConfig{
		Client: d.client, Function: function, Via: shadow, Candidate: candidate.ID,
		Share: d.share, Random: random.Float64,
		Queue: len(d.ask), Budget: len(d.ask), Concurrency: 2, Records: records,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "asking %d questions, the %s model in the shadow of the %s …\n", len(d.ask), candidate.Name, incumbent.Name)
	t := trial{Incumbent: incumbent.Name, Candidate: candidate.Name}
	err = d.askAll(ctx, s, incumbent, &t)
	if err := errors.Join(err, s.Close(ctx)); err != nil {
		return err
	}
	for i, row := range d.ask {
		if _, err := records.SetTruth(ctx, function, strconv.Itoa(i), row.Label); err != nil {
			return err
		}
	}
	t.Shadow = s.Stats()
	if t.Report, err = s.Report(ctx, incumbent.ID); err != nil {
		return err
	}
	_, err = d.journal.Promote(t.Report, gate, by)
	if refused, ok := errors.AsType[*pin.Refused](err); ok {
		t.Refused = refused.Findings
	} else if err != nil {
		return err
	}
	d.Trials = append(d.Trials, t)
	d.judgeTrial(t, len(d.ask))
	return nil
}

// askAll asks all questions live.
func (d *demo) askAll(ctx context.Context, s *pin.Shadow, incumbent model, t *trial) error {
	for i, row := range d.ask {
		p, err := s.Invoke(ctx, strconv.Itoa(i), nyckel.Text(row.Text), nyckel.Capture(false))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			t.LiveFailed++
		case p.Model == incumbent.ID:
			t.LiveByIncumbent++
		}
	}
	return nil
}

// answers asks a question of each kind through the same client, and promises that
// the model is the one asked, by looking at what it alone would say.
func (d *demo) answers(ctx context.Context, when, promise string, want model) error {
	same, n := 0, min(50, len(d.ask))
	for _, row := range d.ask[:n] {
		live, err := d.client.Invoke(ctx, function, nyckel.Text(row.Text), nyckel.Capture(false))
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		alone, err := d.client.Invoke(ctx, shadow, nyckel.Text(row.Text), nyckel.Capture(false), nyckel.ModelID(want.ID))
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		if live.Model == want.ID && live.LabelID == alone.LabelID && live.Confidence == alone.Confidence {
			same++
		}
	}
	d.promise(promise, same == n, "%d of %d answers are those of the %s model", same, n, want.Name)
	return nil
}

// reread promises that the journal says the same to whoever opens it.
func (d *demo) reread() error {
	again, err := pin.Open(d.path)
	if err != nil {
		return err
	}
	defer func() { _ = again.Close() }()
	now, _ := d.journal.Pin(function)
	then, _ := again.Pin(function)
	d.promise("the journal remembers who did what and why", now == then && len(again.History(function)) == 3,
		"%d entries on disk", len(again.History(function)))
	return nil
}
