package transport

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// gate is what a limiter's requests pass: it counts those inside, spends the
// tokens of the rate and keeps the queue.
type gate struct {
	mu       sync.Mutex
	cfg      policy.Limit // guarded by mu, as all below
	bound    *adaptive    // nil until the bound adapts; see adaptsLocked
	pace     *pace        // nil until the rate is bounded; see isPacedLocked
	quota    quota        // what the server tells of its own
	inFlight int
	queue    waitlist    // who waits, in the order in which they are let in
	wake     *time.Timer // for the next token, if somebody waits for it
}

// An admission is a request's way in.
type admission struct {
	at       time.Time
	waited   time.Duration // in the queue
	inFlight int           // with it
	nth      uint64
}

func newGate(cfg policy.Limit) *gate {
	g := &gate{}
	g.adjustLocked(cfg, time.Time{})
	return g
}

// change gives the gate other bounds from now on. The requests in flight and those
// that wait stay, and so does what was learnt, as far as it is within the bounds.
func (g *gate) change(to policy.Limit, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.adjustLocked(to, now)
	g.dispatchLocked(now)
}

// adjustLocked sets the bounds. What was learnt for one that is not in force is kept in
// mind.
func (g *gate) adjustLocked(to policy.Limit, now time.Time) {
	g.cfg = to
	switch {
	case !g.adaptsLocked():
	case g.bound == nil:
		g.bound = newAdaptive(to.Adaptive)
	default:
		g.bound.change(to.Adaptive)
	}
	switch {
	case !g.isPacedLocked():
	case g.pace == nil:
		g.pace = newPace(to.PerSecond, to.Burst)
	default:
		g.pace.change(to.PerSecond, to.Burst, now)
	}
}

func (g *gate) adaptsLocked() bool  { return !g.cfg.Off && g.cfg.InFlight == 0 }
func (g *gate) isPacedLocked() bool { return !g.cfg.Off && g.cfg.PerSecond > 0 }

// enter waits until a request may go on. One that was let in must leave.
func (g *gate) enter(ctx context.Context, priority int) (admission, error) {
	if ctx.Err() != nil {
		return admission{}, context.Cause(ctx)
	}
	now := time.Now()
	g.mu.Lock()
	if g.queue.len() == 0 && g.admitsLocked(now) {
		in := g.admitLocked(now)
		g.mu.Unlock()
		return in, nil
	}
	w, refusal := g.queueUpLocked(ctx, priority, now)
	g.mu.Unlock()
	if refusal != nil {
		return admission{}, refusal
	}
	in, err := g.await(ctx, w)
	in.waited = in.at.Sub(now)
	return in, err
}

// admitsLocked reports whether one more request may go on.
func (g *gate) admitsLocked(now time.Time) bool {
	return !g.fullLocked() && g.afterLocked(now, 0) == 0
}

// afterLocked returns how long the rates make a request wait that has n others before
// it; zero means not at all.
func (g *gate) afterLocked(now time.Time, n int) time.Duration {
	wait := g.quota.after(now, n)
	if g.isPacedLocked() {
		wait = max(wait, g.pace.after(now, n))
	}
	return wait
}

// refundLocked takes back the admission of a request that is not sent.
func (g *gate) refundLocked(in admission) {
	g.inFlight--
	g.quota.refund(in.nth)
	if g.isPacedLocked() {
		g.pace.refund()
	}
}

// fullLocked reports whether the bound on the requests in flight is reached.
func (g *gate) fullLocked() bool {
	bound := g.boundLocked()
	return bound > 0 && g.inFlight >= bound
}

func (g *gate) boundLocked() int {
	if g.adaptsLocked() {
		return g.bound.allowed()
	}
	return max(0, g.cfg.InFlight)
}

func (g *gate) admitLocked(now time.Time) admission {
	g.inFlight++
	if g.isPacedLocked() {
		g.pace.take()
	}
	return admission{at: now, inFlight: g.inFlight, nth: g.quota.admit()}
}

// queueUpLocked puts a request into the queue, or says why not.
func (g *gate) queueUpLocked(ctx context.Context, priority int, now time.Time) (*waiter, *policy.Refusal) {
	g.dispatchLocked(now) // a token may be due by now
	wait := g.waitLocked(priority, now)
	deadline, hasDeadline := ctx.Deadline()
	switch {
	case g.cfg.MaxQueue < 0 || g.cfg.MaxWait < 0:
		if g.fullLocked() {
			return nil, g.refuseLocked("concurrency_limit", now, wait)
		}
		return nil, g.refuseLocked("rate_limit", now, wait)
	case hasDeadline && !now.Add(wait).Before(deadline):
		return nil, g.refuseLocked("deadline", now, wait)
	case wait > g.cfg.MaxWait:
		return nil, g.refuseLocked("rate_limit", now, wait)
	}
	if g.queue.len() >= g.cfg.MaxQueue {
		last := g.queue.last()
		if last.priority >= priority {
			return nil, g.refuseLocked("queue_full", now, wait)
		}
		g.queue.remove(last)
		last.ready <- g.refuseLocked("queue_full", now, g.waitLocked(last.priority, now))
	}
	w := &waiter{priority: priority, patience: g.cfg.MaxWait, ready: make(chan error, 1)}
	g.queue.add(w)
	g.dispatchLocked(now)
	return w, nil
}

// waitLocked returns how long a request of that priority waits at best: until
// the rate has tokens for those before it and for itself.
func (g *gate) waitLocked(priority int, now time.Time) time.Duration {
	return g.afterLocked(now, g.queue.before(priority))
}

// await waits for a place in the queue to come up.
func (g *gate) await(ctx context.Context, w *waiter) (admission, error) {
	if c, ok := ctx.Value(hedgeKey{}).(*hedgeContext); ok {
		c.queued.Add(1)
		defer c.queued.Add(-1)
	}
	timer := time.NewTimer(w.patience)
	defer timer.Stop()
	select {
	case err := <-w.ready:
		return w.admission, err
	case <-ctx.Done():
	case <-timer.C:
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() == nil {
		g.dispatchLocked(now) // a token may be due by now
	}
	if g.queue.remove(w) {
		return admission{}, g.leftLocked(ctx, w, now)
	}
	// It came up, or had to make room, at the same moment.
	if refusal := <-w.ready; refusal != nil {
		return admission{}, refusal
	}
	if ctx.Err() == nil {
		return w.admission, nil
	}
	g.refundLocked(w.admission)
	g.dispatchLocked(now)
	return admission{}, g.leftLocked(ctx, w, now)
}

// leftLocked returns the error of a request that left the queue. A caller who
// gave up is told his own cause. For want of time it is refused: it was not sent,
// and must not look like a server that does not answer.
func (g *gate) leftLocked(ctx context.Context, w *waiter, now time.Time) error {
	cause := context.Cause(ctx)
	switch wait := g.waitLocked(w.priority, now); {
	case cause == nil:
		return g.refuseLocked("queue_timeout", now, wait)
	case !telemetry.CallerLeft(ctx):
		refusal := g.refuseLocked("deadline", now, wait)
		refusal.Err = fmt.Errorf("%w: %w", refusal.Err, cause)
		return refusal
	}
	return cause
}

// leave ends a request that entered.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if g.queue.len() > 0 {
		g.dispatchLocked(time.Now())
	}
}

// BodyEnd implements [body.Watcher]: a request is inside until its body ends.
func (g *gate) BodyEnd(err error) error {
	g.leave()
	return err
}

// dispatchLocked lets in who may go on, and sees to it that it is asked again
// when the next token is due.
func (g *gate) dispatchLocked(now time.Time) {
	for g.queue.len() > 0 && g.admitsLocked(now) {
		w := g.queue.pop()
		w.admission = g.admitLocked(now)
		w.ready <- nil
	}
	if g.wake != nil {
		g.wake.Stop()
	}
	if g.queue.len() == 0 || g.fullLocked() {
		return
	}
	wait := g.afterLocked(now, 0)
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

// observe takes over what an answer tells of the server's rate limits. It reports
// whether one of them is used up.
func (g *gate) observe(h http.Header, in admission, now time.Time) (usedUp bool) {
	quotas := policy.Quotas(h, now)
	if len(quotas) == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	least := -1 // of those that count requests, the one with least left
	for i, q := range quotas {
		usedUp = usedUp || q.Remaining == 0
		switch {
		case !q.CountsRequests():
			if q.Remaining == 0 {
				g.quota.pause(q.Reset, now)
			}
		case least < 0 || hasLess(q, quotas[least]):
			least = i
		}
	}
	if least >= 0 {
		g.quota.observe(quotas[least], in.nth, now)
	}
	if wait, ok := policy.WaitHint(h, now); ok && usedUp {
		g.quota.pause(wait, now)
	}
	if g.queue.len() > 0 {
		g.dispatchLocked(now)
	}
	return usedUp
}

// hasLess reports whether less is left of a than of b, or as little for longer.
func hasLess(a, b policy.Quota) bool {
	return a.Remaining < b.Remaining || a.Remaining == b.Remaining && a.Reset > b.Reset
}

// learn adjusts the bounds to the outcome of a request. But a 429 that came with
// figures which say that a limit is used up counts for nothing here: the server has said
// how fast it may be asked, so no rate need be guessed.
func (g *gate) learn(v policy.Verdict, in admission, usedUp bool, now time.Time) {
	if usedUp && v.Class == policy.RateLimited {
		return
	}
	throttled := v.Class == policy.RateLimited
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case throttled && g.isPacedLocked():
		g.pace.slowDown(in.at, now, v.Wait)
	case !g.adaptsLocked():
		return
	case throttled:
		g.bound.throttled(in.at, now)
	case v.Class == policy.OK:
		g.bound.answered(in.at, now, in.inFlight)
	case v.Class == policy.TimedOut:
		g.bound.timedOut(in.at, now)
	default: // a quick failure says nothing of how much the server can take
		return
	}
	if g.queue.len() > 0 {
		g.dispatchLocked(now)
	}
}

func (g *gate) state(now time.Time) LimiterState {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := LimiterState{InFlight: g.inFlight, Queued: g.queue.len(), Bound: g.boundLocked()}
	if g.isPacedLocked() {
		s.PerSecond = g.pace.rate(now)
	}
	return s
}

// refuseLocked returns a refusal that tells when to come back if the rate does.
func (g *gate) refuseLocked(reason string, now time.Time, wait time.Duration) *policy.Refusal {
	refusal := &policy.Refusal{Layer: "limiter", Reason: reason, Err: ErrLimited}
	if g.cfg.Name != "" {
		refusal.Err = fmt.Errorf("%w: %s", ErrLimited, g.cfg.Name)
	}
	if wait > 0 {
		refusal.RetryAt = now.Add(wait)
	}
	return refusal
}
