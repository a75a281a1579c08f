package batch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
)

var (
	// ErrFull is matched by the [policy.Refusal] of a Submit that finds
	// [Config.MaxQueue] requests waiting.
	ErrFull = errors.New("batch: too many requests wait")

	// ErrClosed is what Submit returns after Close, and what requests get that a
	// Close could not wait for.
	ErrClosed = errors.New("batch: closed")
)

// A Batcher makes calls together. It is safe for concurrent use. Close it to wait
// for what is under way; a Batcher without requests holds no goroutine and no
// timer.
type Batcher[In, Out any] struct {
	cfg     Config
	service Service[In, Out]
	slots   chan struct{} // holds one element per call under way
	metrics *metrics

	mu      sync.Mutex // guards what follows, and all batches, items and waiters
	open    map[any]*batch[In, Out]
	running int // batches that were launched and have not ended
	stats   Stats
	closed  bool
	gaveUp  bool          // a Close did
	idle    chan struct{} // closed when closed and nothing runs
	given   chan struct{} // closed with gaveUp
}

// A batch is what was gathered to be sent together.
type batch[In, Out any] struct {
	group    any
	items    []*item[In, Out] // those that somebody waits for
	byKey    map[any]*item[In, Out]
	timer    *time.Timer
	launched bool
	started  bool
	gone     chan struct{} // closed when, before the start, nobody waits any more
}

// An item is one input, with all who asked for it.
type item[In, Out any] struct {
	value   In
	key     any
	ctx     context.Context // the first asker's, for its values
	batch   *batch[In, Out]
	waiters []*waiter[Out]
	flight  *flight // nil while no call is made for it
}

// A waiter is one Submit.
type waiter[Out any] struct {
	ctx     context.Context
	since   time.Time
	place   int              // in its item's waiters
	outcome chan Result[Out] // has room for it
	settled bool             // the outcome is there
}

// New returns a Batcher that calls service. It panics if the service has both All
// and Each or none of them, and if Size, Concurrency or MaxQueue is negative.
func New[In, Out any](service Service[In, Out], cfg Config) *Batcher[In, Out] {
	cfg.check()
	cfg = cfg.withDefaults()
	return &Batcher[In, Out]{
		cfg:     cfg,
		service: service.withDefaults(),
		slots:   make(chan struct{}, cfg.Concurrency),
		metrics: newMetrics(cfg.Name),
		open:    map[any]*batch[In, Out]{},
		idle:    make(chan struct{}),
		given:   make(chan struct{}),
	}
}

// Submit asks about an item and waits for its outcome. It returns the cause of
// ctx as soon as that ends, [ErrFull] if too many wait, and [ErrClosed] after
// Close; any other error is the service's.
func (b *Batcher[In, Out]) Submit(ctx context.Context, value In) (Out, error) {
	it, w, err := b.enter(ctx, value)
	if err != nil {
		b.metrics.refused(ctx)
		var none Out
		return none, err
	}
	select {
	case r := <-w.outcome:
		b.metrics.settled(ctx, r.Err)
		return r.Value, r.Err
	case <-ctx.Done():
		return b.leave(it, w, context.Cause(ctx))
	case <-b.given:
		return b.leave(it, w, ErrClosed)
	}
}

// enter puts a request into the open batch of its group.
func (b *Batcher[In, Out]) enter(ctx context.Context, value In) (*item[In, Out], *waiter[Out], error) {
	group, key := b.service.Group(ctx, value), b.service.Key(value)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Requests++
	switch {
	case ctx.Err() != nil:
		b.stats.Refused++
		return nil, nil, context.Cause(ctx)
	case b.closed:
		b.stats.Refused++
		return nil, nil, ErrClosed
	case b.stats.Waiting >= b.cfg.MaxQueue:
		b.stats.Refused++
		return nil, nil, &policy.Refusal{Layer: "batch", Reason: "queue_full", Err: ErrFull}
	}
	b.stats.Waiting++
	w := &waiter[Out]{ctx: ctx, since: time.Now(), outcome: make(chan Result[Out], 1)}
	to := b.openLocked(group)
	it := to.byKey[key]
	if it == nil {
		it = to.add(ctx, value, key)
	} else {
		b.stats.Merged++
	}
	w.place = len(it.waiters)
	it.waiters = append(it.waiters, w)
	if len(to.items) >= b.cfg.Size {
		delete(b.open, group)
		b.launchLocked(to)
	} else if b.cfg.Delay == 0 {
		b.launchLocked(to)
	}
	return it, w, nil
}

// openLocked returns the open batch of a group, a new one if there is none.
func (b *Batcher[In, Out]) openLocked(group any) *batch[In, Out] {
	if found := b.open[group]; found != nil {
		return found
	}
	made := &batch[In, Out]{group: group, byKey: map[any]*item[In, Out]{}, gone: make(chan struct{})}
	b.open[group] = made
	if b.cfg.Delay > 0 && b.cfg.Size > 1 {
		made.timer = time.AfterFunc(b.cfg.Delay, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(made.items) > 0 { // else all have left just before
				b.launchLocked(made)
			}
		})
	}
	return made
}

// add appends a new item.
func (to *batch[In, Out]) add(ctx context.Context, value In, key any) *item[In, Out] {
	it := &item[In, Out]{value: value, key: key, ctx: ctx, batch: to}
	to.items = append(to.items, it)
	if key != nil {
		to.byKey[key] = it
	}
	return it
}

// leave ends a wait early. An outcome that is there already is not thrown away.
func (b *Batcher[In, Out]) leave(it *item[In, Out], w *waiter[Out], cause error) (Out, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.settled {
		r := <-w.outcome
		b.metrics.settled(w.ctx, r.Err)
		return r.Value, r.Err
	}
	b.metrics.left(w.ctx)
	b.stats.Left++
	if !it.batch.started {
		b.stats.Waiting--
	}
	last := len(it.waiters) - 1
	it.waiters[w.place] = it.waiters[last]
	it.waiters[w.place].place = w.place
	it.waiters[last] = nil
	it.waiters = it.waiters[:last]
	if last == 0 {
		b.abandonLocked(it)
	}
	var none Out
	return none, cause
}

// abandonLocked gives up an item that nobody waits for.
func (b *Batcher[In, Out]) abandonLocked(it *item[In, Out]) {
	from := it.batch
	if from.started {
		it.flight.leave()
		return
	}
	from.remove(it)
	if len(from.items) > 0 {
		return
	}
	if b.open[from.group] == from {
		delete(b.open, from.group)
	}
	if from.timer != nil {
		from.timer.Stop()
	}
	close(from.gone)
}

// Close refuses new requests, sends what waits without further delay, and returns
// nil when all is answered. If ctx ends before, requests still unanswered get
// [ErrClosed], the calls made for them are broken off, and Close returns the
// cause of ctx. Further calls wait in the same way.
func (b *Batcher[In, Out]) Close(ctx context.Context) error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		for _, waiting := range b.open {
			b.launchLocked(waiting)
		}
		b.restLocked()
	}
	b.mu.Unlock()
	select {
	case <-b.idle:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running == 0 {
		return nil
	}
	if !b.gaveUp {
		b.gaveUp = true
		close(b.given)
	}
	return context.Cause(ctx)
}

// restLocked tells Close when nothing is left to wait for.
func (b *Batcher[In, Out]) restLocked() {
	if b.closed && b.running == 0 {
		close(b.idle)
	}
}
