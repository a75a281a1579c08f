package transport

import (
	"context"
	"time"
)

// An exchange is the context of its request. From the moment that it is asked for
// Done it stands for one of package context, inner, which knows how to tell those
// derived from it, and keeps the cause.

// Deadline implements [context.Context].
func (x *exchange) Deadline() (time.Time, bool) {
	deadline, ok := x.ctx.Deadline() // each time, as it may be put off
	if x.total == nil || x.lifted.Load() {
		return deadline, ok
	}
	own := x.start.Add(x.cfg.Total)
	if ok && deadline.Before(own) {
		return deadline, true
	}
	return own, true
}

// Done implements [context.Context].
func (x *exchange) Done() <-chan struct{} {
	if !x.asked.Load() {
		x.mu.Lock()
		x.askLocked()
		x.mu.Unlock()
	}
	return x.inner.Done()
}

// Err implements [context.Context].
func (x *exchange) Err() error {
	if !x.asked.Load() {
		if err := x.source.Err(); err != nil {
			return err
		}
		x.mu.Lock()
		x.lookLocked()
		x.mu.Unlock()
		if !x.asked.Load() {
			return nil
		}
	}
	err := x.inner.Err()
	if err != nil && x.whole != nil && context.Cause(x.inner) == error(x.whole) { //nolint:errorlint // the very same
		return context.DeadlineExceeded
	}
	return err
}

// Value implements [context.Context]. By its limits, an exchange finds itself.
func (x *exchange) Value(key any) any {
	if key == any(x.limits) {
		return x
	}
	if x.asked.Load() {
		return x.inner.Value(key)
	}
	return x.ctx.Value(key)
}

// String names the context. Without it %v would print what it holds.
func (*exchange) String() string { return "transport.Timeout" }

// GoString returns the same.
func (*exchange) GoString() string { return "transport.Timeout" }

// askLocked makes inner, with the timer that ends it.
func (x *exchange) askLocked() {
	if x.lookLocked(); x.asked.Load() {
		return
	}
	x.deriveLocked()
	due, _ := x.nextLocked()
	x.armLocked(due, time.Since(x.start))
}

// lookLocked makes inner, and ends it, if the exchange is at its end already.
func (x *exchange) lookLocked() {
	if x.asked.Load() {
		return
	}
	if x.over.Load() {
		x.deriveLocked()
		x.cancel(nil)
		return
	}
	if due, limit := x.nextLocked(); limit != nil && due <= time.Since(x.start) {
		x.deriveLocked()
		x.cancel(limit)
	}
}

func (x *exchange) deriveLocked() {
	x.inner, x.cancel = context.WithCancelCause((*above)(x))
	x.asked.Store(true)
}

// above is an exchange as the context from which inner is derived: it has the
// values of the request's, and the end of source.
type above exchange

func (a *above) Deadline() (time.Time, bool) { return a.source.Deadline() }
func (a *above) Done() <-chan struct{}       { return a.source.Done() }
func (a *above) Err() error                  { return a.source.Err() }
func (a *above) Value(key any) any           { return a.ctx.Value(key) }

// AfterFunc is how package context asks a context of another kind to tell those
// derived from it. Without it a goroutine would have to wait.
func (a *above) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(a.source, f) }
