// Package sqlitejobs is the queue that needs no server: a lease queue in the
// SQLite file of the prediction store. That a job is done and what it predicted
// are one commit.
//
//	db, err := sqlite.Open(ctx, "predictions.db", sqlite.Options{})
//	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{})
//	engine, err := sqlitejobs.New(ctx, store, sqlitejobs.Options{})
//
// A worker that takes a job holds it for the time of a lease, which it renews while
// the handler runs. When the process dies, the lease runs out and another worker
// takes the job. A worker that lost its lease cannot settle the job any more: each
// take has a token of its own, and only its holder may change the job.
//
// Several processes on one host may share the file.
package sqlitejobs

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options configure an [Engine]. The zero Options are ready to use.
type Options struct {
	// Bound is how many jobs of a queue may wait and run. Zero means
	// [jobs.DefaultBound]; negative means no bound.
	Bound int

	// ByteBound is what their payloads may weigh, in bytes. Zero means
	// [jobs.DefaultByteBound]; negative means no bound.
	ByteBound int64

	// Lease is how long a job stays with a worker that gives no sign of life. It is
	// renewed three times in that time. Zero means 30 s; at least 100 ms.
	Lease time.Duration

	// Poll is how often an idle worker looks for jobs that became due or were
	// enqueued by other processes. Zero means 100 ms.
	Poll time.Duration
}

func (o Options) withDefaults() Options {
	o.Bound = cmp.Or(o.Bound, jobs.DefaultBound)
	o.ByteBound = cmp.Or(o.ByteBound, jobs.DefaultByteBound)
	o.Lease = cmp.Or(o.Lease, 30*time.Second)
	o.Poll = cmp.Or(o.Poll, 100*time.Millisecond)
	return o
}

func (o Options) validate() error {
	o = o.withDefaults()
	var errs []error
	if o.Lease < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("sqlitejobs: Lease is %v, want at least 100ms", o.Lease))
	}
	if o.Poll < time.Millisecond {
		errs = append(errs, fmt.Errorf("sqlitejobs: Poll is %v, want at least 1ms", o.Poll))
	}
	if o.ByteBound >= 0 && o.ByteBound < jobs.MaxPayload {
		errs = append(errs, fmt.Errorf("sqlitejobs: ByteBound is %d, want at least %d, one payload", o.ByteBound, jobs.MaxPayload))
	}
	return errors.Join(errs...)
}

// An Engine is a [jobs.Engine] on SQLite. It is safe for concurrent use.
type Engine struct {
	store   *predictions.Store
	options Options
	sql     statements
	closed  atomic.Bool

	mu      sync.Mutex
	runs    map[*run]bool // guarded by mu, as all below; to be woken when a job is enqueued
	ended   []*settlement // to be written
	writing bool          // somebody is at it
}

var _ jobs.Engine = (*Engine)(nil)

// New returns an Engine on the database of the store, and brings its tables up to
// date. It starts nothing.
func New(ctx context.Context, store *predictions.Store, o Options) (*Engine, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if store.Dialect() != predictions.SQLite {
		return nil, errors.New("sqlitejobs: the store is not on SQLite")
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := predictions.Migrate(ctx, store.DB(), store.Dialect(), "jobs", files); err != nil {
		return nil, fmt.Errorf("sqlitejobs: %w", err)
	}
	e := &Engine{store: store, options: o.withDefaults(), runs: map[*run]bool{}}
	if err := e.sql.prepare(ctx, store.DB()); err != nil {
		return nil, fmt.Errorf("sqlitejobs: %w", err)
	}
	return e, nil
}

// Close implements [jobs.Engine].
func (e *Engine) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	return e.sql.close()
}

// ready returns an error if the engine cannot be used.
func (e *Engine) ready() error {
	if e.closed.Load() {
		return jobs.ErrClosed
	}
	return nil
}

// wake tells the workers of this engine that a job may be due. Others find out
// when they poll.
func (e *Engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for r := range e.runs {
		select {
		case r.woken <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
}

func micros(t time.Time) int64 { return t.UnixMicro() }
func at(us int64) time.Time    { return time.UnixMicro(us) }
