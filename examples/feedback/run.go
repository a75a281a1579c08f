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
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/predictions/report"
	"github.com/sparekey/sparekey/nyckel/sqlite"
	"github.com/sparekey/sparekey/policy"
)

const function = "ticket_routing"

// A demo is what the parts share.
type demo struct {
	options
	*data
	*figures
	sim       *nyckelsim.Server
	id        string // of the function
	client    *nyckel.Client
	wire      *wire
	store     *predictions.Store
	writer    *predictions.Writer
	truthful  *rand.Rand // who tells the truth
	corrected map[string]bool
	out       io.Writer
}

// run plays the demo and returns what was found.
func run(ctx context.Context, o options, d *data, out io.Writer) (*figures, error) {
	folder, err := os.MkdirTemp("", "feedback-db-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	db, err := sqlite.Open(ctx, filepath.Join(folder, "predictions.db"), sqlite.Options{})
	if err != nil {
		return nil, err
	}
	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{OwnDB: true})
	if err != nil {
		_ = db.Close() // the other error says more
		return nil, err
	}
	defer func() { _ = store.Close() }()
	writer := predictions.NewWriter(store, predictions.WriterOptions{Block: time.Minute})
	defer func() { _ = writer.Close(ctx) }() // all that counts was flushed

	sim := nyckelsim.New(nyckelsim.Config{Seed: o.seed, Rate: -1, Concurrency: -1})
	instance, err := nyckelsim.Start("", sim)
	if err != nil {
		return nil, err
	}
	defer func() { _ = instance.Close() }()
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	demo := &demo{
		options: o, data: d, figures: &figures{Seed: o.seed, Texts: d.source}, out: out,
		sim: sim, id: sim.AddFunction(function), store: store, writer: writer,
		wire:     &wire{RoundTripper: base, puts: map[string]int{}},
		truthful: rand.New(rand.NewPCG(o.seed, 2)), corrected: map[string]bool{},
	}
	demo.client, err = nyckel.New(
		nyckel.WithBaseURL(instance.URL()),
		nyckel.WithCredentials("sim-client", "sim-secret"),
		nyckel.WithHTTPClient(&http.Client{Transport: demo.wire}),
		nyckel.WithLimit(policy.Limit{PerSecond: -1}), // the simulator has none either: a demo should not take minutes
		nyckel.WithFunction(function, nyckel.Function{ID: demo.id}),
		nyckel.WithRecorder(calendar{writer, d.times()}),
	)
	if err != nil {
		return nil, err
	}
	return demo.figures, demo.play(ctx)
}

// calendar records predictions at the times of the demo, not at those of the clock.
type calendar struct {
	writer *predictions.Writer
	at     map[string]time.Time // by external id
}

// RecordPrediction implements [nyckel.Recorder].
func (c calendar) RecordPrediction(ctx context.Context, r nyckel.Record) {
	if r.Prediction == nil {
		return // a promise finds out
	}
	p := predictions.FromRecord(ctx, r)
	p.At = c.at[p.ExternalID]
	_ = c.writer.Put(ctx, p) // what it drops is missing from the record, which a promise finds out
}

// wire counts how often each sample is annotated.
type wire struct {
	http.RoundTripper
	mu   sync.Mutex
	puts map[string]int // by path; guarded by mu
}

// RoundTrip implements [http.RoundTripper].
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPut && strings.HasSuffix(req.URL.Path, "/annotation") {
		w.mu.Lock()
		w.puts[req.URL.Path]++
		w.mu.Unlock()
	}
	return w.RoundTripper.RoundTrip(req)
}

// play trains, asks, learns, submits, trains again and asks on.
func (d *demo) play(ctx context.Context) error {
	if err := d.sim.Import(d.id, d.first); err != nil {
		return err
	}
	before, err := d.train("first", len(d.first))
	if err != nil {
		return err
	}
	if err := d.ask(ctx, before, d.weeks[:weeksBefore]); err != nil {
		return err
	}
	if err := d.submit(ctx); err != nil {
		return err
	}
	after, err := d.train("second", len(d.first)+d.Submitted.Done)
	if err != nil {
		return err
	}
	if err := d.ask(ctx, after, d.weeks[weeksBefore:]); err != nil {
		return err
	}
	if err := d.judge(ctx); err != nil {
		return err
	}
	return d.draw(ctx)
}

// train trains a model on what is annotated by now.
func (d *demo) train(name string, texts int) (id string, err error) {
	fmt.Fprintf(d.out, "training the %s model on %d texts …\n", name, texts)
	if id, err = d.sim.Train(d.id); err != nil {
		return "", err
	}
	d.Models = append(d.Models, model{ID: id, Name: name, Texts: texts})
	return id, nil
}

// ask asks the questions of some weeks, and learns the truth about a share of them.
func (d *demo) ask(ctx context.Context, model string, weeks [][]question) error {
	var questions []question
	for _, w := range weeks {
		questions = append(questions, w...)
	}
	fmt.Fprintf(d.out, "asking it %d texts of %d weeks …\n", len(questions), len(weeks))
	inputs := make([]nyckel.Input, len(questions))
	for i, q := range questions {
		inputs[i] = nyckel.Text(q.text)
	}
	outcomes, err := d.client.InvokeAll(ctx, function, inputs, nyckel.ModelID(model), nyckel.Each(func(i int) []nyckel.InvokeOption {
		return []nyckel.InvokeOption{nyckel.ExternalID(questions[i].externalID)}
	}))
	if err != nil {
		return err
	}
	if err := d.writer.Flush(ctx); err != nil {
		return err
	}
	var truths []predictions.Truth
	for i, o := range outcomes {
		if o.Err != nil {
			return o.Err
		}
		q := questions[i]
		if d.truthful.Float64() >= d.truths {
			continue
		}
		truths = append(truths, predictions.Truth{Function: function, ExternalID: q.externalID, Label: q.label, By: "desk", At: q.at.Add(48 * time.Hour)})
		if o.Prediction.LabelName != q.label {
			d.corrected[q.externalID] = true
		}
	}
	d.Asked += len(questions)
	return d.store.SetTruth(ctx, truths...)
}

// submit tells the service the truth, and again, which must change nothing.
func (d *demo) submit(ctx context.Context) error {
	fmt.Fprintf(d.out, "submitting %d corrections and some confirmations …\n", len(d.corrected))
	submitter := predictions.NewSubmitter(d.store, d.client, predictions.SubmitOptions{Confirmations: d.confirmations})
	var err error
	if d.Submitted, err = submitter.Submit(ctx, function); err != nil {
		return err
	}
	if d.Again, err = submitter.Submit(ctx, function); err != nil {
		return err
	}
	d.Corrections = len(d.corrected)
	for sample := range d.corrected {
		truths, err := d.store.Truths(ctx, function, sample)
		if err != nil {
			return err
		}
		if len(truths) == 1 && truths[0].Submit == predictions.SubmitDone {
			d.Annotated++
		}
	}
	d.wire.mu.Lock()
	defer d.wire.mu.Unlock()
	for _, n := range d.wire.puts {
		d.Puts += n
		d.MostPuts = max(d.MostPuts, n)
	}
	return nil
}

// draw writes the page.
func (d *demo) draw(ctx context.Context) (err error) {
	file, err := os.Create(d.report)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err == nil {
			d.Report = d.report
		}
	}()
	names := map[string]string{}
	for _, m := range d.Models {
		names[m.ID] = m.Name + " model"
	}
	return report.Write(ctx, file, d.store, report.Options{Title: "Ticket routing, before and after feedback", Function: function, Names: names, Step: week})
}
