package transport

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// An exchange is one request with its response and body, and the request's
// context. All that waits for the end of a context asks it for Done first: only
// then is there a timer and a channel. Until then the time is looked at when
// somebody wants to know.
type exchange struct {
	*limits
	ctx     context.Context // the request's
	source  context.Context // whose end is the exchange's, too: ctx, or what is above the call that lent its limit
	start   time.Time
	whole   *policy.TimeoutError // the total that is kept, or nil
	wholeBy time.Duration        // when it is up, as all times here since start; never without one; guarded by mu once it is sent

	over   atomic.Bool // all that the exchange held is free
	asked  atomic.Bool // for Done: inner and cancel are there for good
	lifted atomic.Bool // all limits, as the connection is the caller's

	mu      sync.Mutex
	current *policy.TimeoutError    // the limit that counts now besides whole, or nil; guarded by mu
	since   time.Duration           // from when on; guarded by mu
	timer   *time.Timer             // nil until one is needed; guarded by mu
	rings   time.Duration           // when timer does; guarded by mu
	attempt *exchange               // which keeps our total, or did; guarded by mu
	inner   context.Context         // set before asked
	cancel  context.CancelCauseFunc // of inner

	req http.Request // the one that is sent
}

// lend makes attempt keep the total of x, so that x needs no timer. Both must have
// the same end, so not if somebody has asked x for its own, to derive another
// from it; and one attempt at a time, which ends with x.
func (x *exchange) lend(attempt *exchange) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.asked.Load() || x.over.Load() || x.attempt != nil && !x.attempt.over.Load() {
		return
	}
	x.attempt = attempt
	attempt.source = x.source
	if left := x.wholeBy - attempt.start.Sub(x.start); x.whole != nil && left < attempt.wholeBy {
		attempt.whole, attempt.wholeBy = x.whole, left
	}
}

// nextLocked returns the limit that comes first, as things stand, and when. It is
// nil if none does.
func (x *exchange) nextLocked() (time.Duration, *policy.TimeoutError) {
	if x.current != nil && x.current.Limit < x.wholeBy-x.since {
		return x.since + x.current.Limit, x.current
	}
	return x.wholeBy, x.whole
}

// quiet lets the total alone count.
func (x *exchange) quiet() {
	x.mu.Lock()
	x.current = nil // the timer may run on: it looks before it strikes
	x.mu.Unlock()
}

// lift lets no limit count any more.
func (x *exchange) lift() {
	x.mu.Lock()
	x.current, x.wholeBy = nil, never
	x.mu.Unlock()
	x.lifted.Store(true)
}

// armLocked has the timer ring at due at the latest.
func (x *exchange) armLocked(due, now time.Duration) {
	switch {
	case due == never:
	case x.timer == nil:
		x.rings = due
		x.timer = time.AfterFunc(due-now, x.ring)
	case due < x.rings:
		x.rings = due
		x.timer.Reset(due - now)
	}
}

// ring ends the exchange if a limit is reached. A timer is not moved with each
// read of a body, so there may be time left.
func (x *exchange) ring() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over.Load() {
		return
	}
	due, limit := x.nextLocked()
	now := time.Since(x.start)
	if limit != nil && due <= now {
		x.cancel(limit)
		return
	}
	x.rings = never
	x.armLocked(due, now)
}

// named returns the limit that ended the exchange in place of err, which came of
// it, or err if none did. A refusal stays: it says that nothing was sent, which a
// limit would not.
func (x *exchange) named(err error) error {
	if _, ok := err.(*policy.Refusal); ok { //nolint:errorlint // one further in is part of another error
		return err
	}
	limit, ok := context.Cause(x).(*policy.TimeoutError) //nolint:errorlint // ours are not wrapped
	if ok && (limit == x.whole || limit == x.firstByte || limit == x.idle) {
		return limit
	}
	return err
}

// end frees what the exchange holds. It may be called more than once.
func (x *exchange) end() {
	x.mu.Lock()
	if x.over.Swap(true) {
		x.mu.Unlock()
		return
	}
	if x.timer != nil {
		x.timer.Stop()
	}
	cancel, attempt := x.cancel, x.attempt
	x.mu.Unlock()
	if cancel != nil {
		cancel(nil)
	}
	if attempt != nil {
		attempt.end() // a panic between the two may have left it
	}
}

// BodyRead implements [body.Pacer]: the idle limit counts while a read waits.
func (x *exchange) BodyRead(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.current, x.since = x.idle, now.Sub(x.start)
	if x.asked.Load() && !x.over.Load() {
		due, _ := x.nextLocked()
		x.armLocked(due, x.since)
	}
}

// BodyGot implements [body.Pacer].
func (x *exchange) BodyGot() { x.quiet() }

// BodyEnd implements [body.Watcher].
func (x *exchange) BodyEnd(err error) error {
	if broken(err) {
		err = x.named(err)
	}
	x.end()
	return err
}

// unpaced is an exchange for which no time passes while a body is silent.
type unpaced exchange

// BodyEnd implements [body.Watcher].
func (u *unpaced) BodyEnd(err error) error { return (*exchange)(u).BodyEnd(err) }
