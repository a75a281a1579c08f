package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// launchLocked sends a batch as soon as there is a slot. Where there is no array
// call, each of its items goes by itself.
func (b *Batcher[In, Out]) launchLocked(whole *batch[In, Out]) {
	if whole.launched {
		return
	}
	whole.launched = true
	if whole.timer != nil {
		whole.timer.Stop()
	}
	if b.service.All != nil {
		b.running++
		go b.run(whole)
		return
	}
	if b.open[whole.group] == whole {
		delete(b.open, whole.group)
	}
	b.countLocked(len(whole.items))
	for _, it := range whole.items {
		alone := &batch[In, Out]{items: []*item[In, Out]{it}, gone: make(chan struct{})}
		it.batch = alone
		b.running++
		go b.run(alone)
	}
}

// countLocked counts a batch.
func (b *Batcher[In, Out]) countLocked(size int) {
	b.stats.Batches++
	b.stats.Items += size
	b.metrics.batched(size)
}

// run waits for a slot, makes the calls of a batch and delivers the outcomes.
func (b *Batcher[In, Out]) run(todo *batch[In, Out]) {
	defer b.end()
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-todo.gone:
		return
	}
	b.mu.Lock()
	items := b.startLocked(todo)
	b.mu.Unlock()
	defer b.settleRest(items)
	b.answer(items)
}

// errEnded is the outcome of items whose call ended its goroutine, as
// [runtime.Goexit] does.
var errEnded = errors.New("batch: the call ended its goroutine")

// settleRest delivers to those who would wait for ever otherwise, such as after a panic
// of Copy or Suspect, and to those whom a Close that gave up left without a call but who
// have not noticed yet. It must be deferred.
func (b *Batcher[In, Out]) settleRest(items []*item[In, Out]) {
	why := errEnded
	if value := recover(); value != nil {
		why = panicError(value)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gaveUp {
		why = ErrClosed
	}
	for _, it := range items {
		if it.flight != nil {
			it.flight.end()
			it.flight = nil
		}
		if len(it.waiters) > 0 {
			b.settleLocked(it, Result[Out]{Err: why})
		}
	}
}

func (b *Batcher[In, Out]) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	b.restLocked()
}

// startLocked closes a batch and returns its items, none if nobody waits.
func (b *Batcher[In, Out]) startLocked(todo *batch[In, Out]) []*item[In, Out] {
	if b.gaveUp { // all are about to leave
		return nil
	}
	todo.started = true
	if b.open[todo.group] == todo {
		delete(b.open, todo.group)
	}
	if len(todo.items) > 0 && b.service.All != nil {
		b.countLocked(len(todo.items))
	}
	now := time.Now()
	for _, it := range todo.items {
		b.stats.Waiting -= len(it.waiters)
		for _, w := range it.waiters {
			b.metrics.waited(w.ctx, now.Sub(w.since))
		}
	}
	return todo.items
}

// answer makes a call for items and delivers what comes of it. One that fails for
// all, perhaps by the fault of one, is made again for each half.
func (b *Batcher[In, Out]) answer(items []*item[In, Out]) {
	ctx, items := b.takeOff(items)
	if len(items) == 0 {
		return
	}
	results, err := b.call(ctx, items)
	b.land(items)
	if err != nil && len(items) > 1 && b.service.Suspect(err) {
		b.answer(items[:len(items)/2])
		b.answer(items[len(items)/2:])
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, it := range items {
		r := Result[Out]{Err: err}
		if err == nil {
			r = results[i]
		}
		b.settleLocked(it, r)
	}
}

// settleLocked delivers an outcome to all who wait for the item. The last gets the
// value itself: until then it is copied, and nobody may change it. Those whose time is
// up when a call fails are left to leave: most likely it failed since their time was up.
func (b *Batcher[In, Out]) settleLocked(it *item[In, Out], r Result[Out]) {
	now := time.Now()
	late := it.waiters[:0]
	for i, w := range it.waiters {
		own := r
		switch {
		case w.settled: // before Copy panicked for another
			continue
		case r.Err == nil && i < len(it.waiters)-1:
			own.Value = b.service.Copy(r.Value)
			fallthrough
		case r.Err == nil:
			b.stats.Answered++
		case w.late(now):
			w.place = len(late)
			late = append(late, w)
			continue
		default:
			b.stats.Failed++
		}
		w.settled = true
		w.outcome <- own
	}
	clear(it.waiters[len(late):])
	it.waiters = late
}

// late reports whether the waiter's time is up, though its context may not say so
// yet.
func (w *waiter[Out]) late(now time.Time) bool {
	deadline, ok := w.ctx.Deadline()
	return w.ctx.Err() != nil || ok && !now.Before(deadline)
}

// call makes one call. A panic in it is the outcome of its items: those who wait
// have no part in it, and the program goes on.
func (b *Batcher[In, Out]) call(ctx context.Context, items []*item[In, Out]) (results []Result[Out], err error) {
	defer func() {
		if value := recover(); value != nil {
			results, err = nil, panicError(value)
		}
	}()
	b.metrics.called(ctx)
	if b.service.Each != nil {
		value, err := b.service.Each(ctx, items[0].value)
		return []Result[Out]{{value, err}}, nil
	}
	values := make([]In, len(items))
	for i, it := range items {
		values[i] = it.value
	}
	results, err = b.service.All(ctx, values)
	if err == nil && len(results) != len(items) {
		err = fmt.Errorf("batch: the call gave %d results for %d items", len(results), len(items))
	}
	return results, err
}

func panicError(value any) error {
	return fmt.Errorf("batch: the call panicked: %v\n%s", value, debug.Stack())
}

// A flight is one call under way. It is guarded by its batcher's lock.
type flight struct {
	awaited int // items that somebody waits for
	cancel  context.CancelCauseFunc
	stop    context.CancelFunc // of its deadline; nil if it has none
}

func (f *flight) end() {
	f.cancel(nil)
	if f.stop != nil {
		f.stop()
	}
}

// errNobody is why a call is broken off.
var errNobody = errors.New("batch: nobody waits for the answer any more")

// leave says that nobody waits for one of the items. It works on nil: then the
// item is between two calls, and the next will do without it.
func (f *flight) leave() {
	if f == nil {
		return
	}
	if f.awaited--; f.awaited == 0 {
		f.cancel(errNobody)
	}
}

// takeOff begins a call for those of the items that somebody waits for.
func (b *Batcher[In, Out]) takeOff(items []*item[In, Out]) (context.Context, []*item[In, Out]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items = slices.DeleteFunc(slices.Clone(items), func(it *item[In, Out]) bool { return len(it.waiters) == 0 })
	if len(items) == 0 || b.gaveUp {
		return nil, nil
	}
	b.stats.Calls++
	ctx := context.Background()
	if b.service.Each != nil {
		ctx = context.WithoutCancel(items[0].ctx)
	}
	f := &flight{awaited: len(items)}
	ctx, f.cancel = context.WithCancelCause(ctx)
	for _, it := range items {
		it.flight = f
	}
	if deadline, ok := latest(items); ok {
		ctx, f.stop = context.WithDeadline(ctx, deadline)
	}
	return ctx, items
}

// land ends the call that was made for the items.
func (b *Batcher[In, Out]) land(items []*item[In, Out]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items[0].flight.end()
	for _, it := range items {
		it.flight = nil
	}
}

// latest returns the last deadline of those who wait; false if one has none.
func latest[In, Out any](items []*item[In, Out]) (last time.Time, ok bool) {
	for _, it := range items {
		for _, w := range it.waiters {
			deadline, ok := w.ctx.Deadline()
			if !ok {
				return time.Time{}, false
			}
			if deadline.After(last) {
				last = deadline
			}
		}
	}
	return last, true
}

// remove takes an item out that nobody waits for.
func (from *batch[In, Out]) remove(it *item[In, Out]) {
	if it.key != nil {
		delete(from.byKey, it.key)
	}
	i := slices.Index(from.items, it)
	from.items = slices.Delete(from.items, i, i+1)
}
