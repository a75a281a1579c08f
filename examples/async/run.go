package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

// A work is what the parts of the program share.
type work struct {
	options
	*figures
	texts  []text
	store  *predictions.Store
	engine *sqlitejobs.Engine
	stdout io.Writer
}

// run has the texts asked that are not recorded yet, and returns what was found.
// When ctx ends it stops: the rest is for the next run.
func run(ctx context.Context, o options, texts []text, labelled []nyckelsim.Sample, stdout, progress io.Writer) (*figures, error) {
	start := time.Now()
	setup := context.WithoutCancel(ctx) // it takes a moment only
	db, err := sqlite.Open(setup, o.db, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	store, err := predictions.Open(setup, db, predictions.SQLite, predictions.Options{OwnDB: true})
	if err != nil {
		_ = db.Close() // the other error says more
		return nil, err
	}
	defer func() { _ = store.Close() }() // all that was acknowledged is durable already
	engine, err := sqlitejobs.New(setup, store, engineOptions(o.plan))
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()

	w := &work{
		options: o, texts: texts, store: store, engine: engine, stdout: stdout,
		figures: &figures{Texts: len(texts), Database: o.db},
	}
	s, err := startService(o, labelled)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := w.play(ctx, s, progress); err != nil {
		return nil, fmt.Errorf("%w\nwhat was recorded stays; run the same command again with -db %s to go on", err, o.db)
	}
	w.Seconds = time.Since(start).Seconds()
	return w.figures, nil
}

// play does the work and judges it.
func (w *work) play(ctx context.Context, s *service, progress io.Writer) error {
	alone := context.WithoutCancel(ctx) // before and after, it takes a moment only
	if err := w.prepare(alone); err != nil {
		return err
	}
	if err := w.work(ctx, s, progress); err != nil {
		return err
	}
	w.Stopped = ctx.Err() != nil
	return w.judge(alone)
}

// prepare finds out what earlier runs did, and has tried again what they gave up.
func (w *work) prepare(ctx context.Context) error {
	ids := make([]string, len(w.texts))
	for i, t := range w.texts {
		ids[i] = t.id
	}
	known, err := w.store.Has(ctx, ids...)
	if err != nil {
		return err
	}
	w.Before = len(known)
	var dead []string
	for d, err := range w.engine.DeadLetters(ctx, function) {
		if err != nil {
			return err
		}
		dead = append(dead, d.ID)
	}
	_, err = w.engine.Requeue(ctx, dead...)
	return err
}

// work enqueues and asks at the same time, until nothing is left or ctx ends.
func (w *work) work(ctx context.Context, s *service, output io.Writer) error {
	settings := jobs.FromPlan(w.plan)
	list, err := jobsOf(w.texts, settings)
	if err != nil {
		return err
	}
	ours := make(map[string]bool, len(list))
	for _, j := range list {
		ours[j.ID] = true
	}
	left := len(w.texts) - w.Before
	progress := jobs.NewProgress(jobs.ProgressConfig{Total: left, Output: output})
	progress.Note(fmt.Sprintf("%d texts, %d of them recorded already; database: %s", len(w.texts), w.Before, w.db))
	down := &outage{service: s, options: w.options, progress: progress, after: int64(max(1, left/3))}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var others sync.WaitGroup
	var refused error     // by the queue
	var account sync.Once // to tell of its trouble
	others.Go(func() { progress.Show(ctx) })
	others.Go(func() {
		defer cancel()
		if _, err := jobs.EnqueueWait(ctx, w.engine, list...); err == nil {
			w.wait(ctx)
		} else if ctx.Err() == nil {
			refused = err
		}
	})
	err = settings.Run(ctx, w.engine, jobs.RunConfig{
		Queues:  []string{function},
		Workers: w.workers,
		Gate:    progress.Gate(jobs.GateOf(s.client)),
		OnSettled: func(settled jobs.Settled) {
			if ours[settled.ID] { // earlier runs may have left others
				progress.Settled(settled)
			}
			switch {
			case settled.Ending == jobs.Finished:
				down.settled(ctx)
			case settled.Ending == jobs.Snoozed && settled.Wait >= time.Minute: // it takes somebody to mend it
				account.Do(func() { progress.Note(fmt.Sprintf("texts wait for %v: %v", settled.Wait, settled.Err)) })
			}
		},
		OnError: func(err error) { progress.Note("trouble with the database, tried again: " + err.Error()) },
	}, down.watch(jobs.Invoke(s.client)))
	cancel()
	others.Wait()
	down.ended.Wait()
	w.take(progress.Figures(), s, down)
	return errors.Join(err, refused)
}

// wait returns when the queue is empty, whoever did the work, or ctx ends.
func (w *work) wait(ctx context.Context) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		all, err := w.engine.Stats(ctx)
		if err == nil && isEmpty(all) { // Run tells of trouble, and goes on as well
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func isEmpty(all []jobs.Stats) bool {
	for _, s := range all {
		if s.Queue == function && s.Ready+s.Scheduled+s.Running > 0 {
			return false
		}
	}
	return true
}
