package transport

import (
	"context"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// gate is what a limiter's requests pass: it counts those inside, spends the
// tokens of the rate and keeps the queue.
type gate struct {
	cfg policy.Limit

	mu       sync.Mutex
	inFlight int         // guarded by mu, as all below
	bound    *adaptive   // nil unless the bound adapts
	pace     *pace       // nil unless the rate is bounded
	queue    waitlist    // who waits, in the order in which they are let in
	wake     *time.Timer // for the next token, if somebody waits for it
}

func newGate(cfg policy.Limit) *gate {
	g := &gate{cfg: cfg}
	if cfg.InFlight == 0 {
		g.bound = newAdaptive(cfg.Adaptive)
	}
	if cfg.PerSecond > 0 {
		g.pace = newPace(cfg.PerSecond, cfg.Burst)
	}
	return g
}

// enter waits until a request may go on and returns how many are in flight with
// it. Who entered must leave.
func (g *gate) enter(ctx context.Context, priority int) (int, error) {
	now := time.Now()
	g.mu.Lock()
	if g.queue.len() == 0 && g.openLocked(now) {
		inFlight := g.admitLocked()
		g.mu.Unlock()
		return inFlight, nil
	}
	w, refusal := g.queueUpLocked(ctx, priority, now)
	g.mu.Unlock()
	if refusal != nil {
		return 0, refusal
	}
	return g.await(ctx, w)
}

// openLocked reports whether one more request may go on.
func (g *gate) openLocked(now time.Time) bool {
	return !g.fullLocked() && (g.pace == nil || g.pace.next(now) <= 0)
}

// fullLocked reports whether the bound on the requests in flight is reached.
func (g *gate) fullLocked() bool {
	bound := g.boundLocked()
	return bound > 0 && g.inFlight >= bound
}

func (g *gate) boundLocked() int {
	if g.bound != nil {
		return g.bound.allowed()
	}
	return max(0, g.cfg.InFlight)
}

func (g *gate) admitLocked() int {
	g.inFlight++
	if g.pace != nil {
		g.pace.take()
	}
	return g.inFlight
}

// queueUpLocked puts a request into the queue, or says why not.
func (g *gate) queueUpLocked(ctx context.Context, priority int, now time.Time) (*waiter, *policy.Refusal) {
	at := g.earliestLocked(priority, now)
	if g.cfg.MaxQueue < 0 || g.cfg.MaxWait < 0 {
		if g.fullLocked() {
			return nil, g.refuse("concurrency_limit", time.Time{})
		}
		return nil, g.refuse("rate_limit", at)
	}
	if deadline, ok := ctx.Deadline(); ok && !at.Before(deadline) {
		return nil, g.refuse("deadline", at)
	}
	if at.After(now.Add(g.cfg.MaxWait)) {
		return nil, g.refuse("rate_limit", at)
	}
	if g.queue.len() >= g.cfg.MaxQueue {
		last := g.queue.last()
		if last == nil || last.priority >= priority {
			return nil, g.refuse("queue_full", at)
		}
		g.queue.remove(last)
		last.ready <- g.refuse("queue_full", at)
	}
	w := &waiter{priority: priority, ready: make(chan error, 1)}
	g.queue.add(w)
	g.dispatchLocked(now)
	return w, nil
}

// earliestLocked returns when a request of that priority could go on at best:
// when the rate has tokens for those before it and for itself. It is now if the
// rate is not bounded.
func (g *gate) earliestLocked(priority int, now time.Time) time.Time {
	if g.pace == nil {
		return now
	}
	return now.Add(g.pace.after(now, g.queue.before(priority)))
}

// await waits for a place in the queue to come up.
func (g *gate) await(ctx context.Context, w *waiter) (int, error) {
	timer := time.NewTimer(g.cfg.MaxWait)
	defer timer.Stop()
	var err error
	select {
	case err := <-w.ready:
		return w.inFlight, err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = g.refuse("queue_timeout", time.Time{})
	}
	g.mu.Lock()
	left := g.queue.remove(w)
	g.dispatchLocked(time.Now())
	g.mu.Unlock()
	if left {
		return 0, err
	}
	// It came up, or had to make room, at the same moment.
	if refusal := <-w.ready; refusal != nil {
		return 0, refusal
	}
	if ctx.Err() == nil {
		return w.inFlight, nil
	}
	g.giveBack()
	return 0, err
}

// leave ends a request that entered.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	g.dispatchLocked(time.Now())
}

// giveBack ends a request that entered and was not sent.
func (g *gate) giveBack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if g.pace != nil {
		g.pace.refund()
	}
	g.dispatchLocked(time.Now())
}

// dispatchLocked lets in who may go on, and sees to it that it is asked again
// when the next token is due.
func (g *gate) dispatchLocked(now time.Time) {
	for g.queue.len() > 0 && g.openLocked(now) {
		w := g.queue.pop()
		w.inFlight = g.admitLocked()
		w.ready <- nil
	}
	if g.wake != nil {
		g.wake.Stop()
	}
	if g.queue.len() == 0 || g.pace == nil || g.fullLocked() {
		return
	}
	wait := g.pace.next(now)
	if g.wake == nil {
		g.wake = time.AfterFunc(wait, g.woken)
	} else {
		g.wake.Reset(wait)
	}
}

func (g *gate) woken() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dispatchLocked(time.Now())
}

// learn adjusts the bounds to what a request came to.
func (g *gate) learn(v policy.Verdict, began, now time.Time, inFlight int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch v.Class {
	case policy.OK:
		if g.bound != nil {
			g.bound.answered(began, now, inFlight)
		}
	case policy.TimedOut:
		if g.bound != nil {
			g.bound.timedOut(began, now)
		}
	case policy.RateLimited:
		if g.pace != nil {
			g.pace.slowDown(began, now, v.Wait)
		} else if g.bound != nil {
			g.bound.throttled(began, now)
		}
	default: // a quick failure says nothing of how much the server can take
		return
	}
	g.dispatchLocked(now)
}

func (g *gate) state(now time.Time) LimiterState {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := LimiterState{InFlight: g.inFlight, Queued: g.queue.len(), Bound: g.boundLocked()}
	if g.pace != nil {
		s.PerSecond = g.pace.rate(now)
	}
	return s
}

func (g *gate) refuse(reason string, retryAt time.Time) *policy.Refusal {
	return &policy.Refusal{Layer: "limiter", Reason: reason, RetryAt: retryAt, Err: ErrLimited}
}
