package transport

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"runtime"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// A race is a call of which several requests may be under way. One goroutine, the
// caller's, decides everything; each request has one of its own.
type race struct {
	*hedge
	caller context.Context
	ctx    context.Context // with the lineage
	req    *http.Request   // what each request is a copy of
	body   body.Snapshot   // of its body; the copies have a reader each

	lineage   *lineage
	outermost bool  // the lineage begins here
	shared    bool  // with the other layers of the lineage: the count of requests
	repeats   int64 // requests beyond the first in that count, but for what layers inside added since

	start    time.Time
	delay    time.Duration // before the next request
	timer    *time.Timer   // for that, or for leaveGrace
	runners  []*runner     // those that were started, the first request first
	pending  int
	outcomes chan outcome
	over     chan struct{} // closed when nobody takes an outcome any more
	decided  bool
	barred   bool // no more hedges: somebody said so
	left     bool // the caller has

	kept      chan spare // gets the last answer that was a failure, nil if there was none
	err       error      // the first error
	deposited bool       // into the shared budget
}

// A runner is one request of a race.
type runner struct {
	*hedgeContext
	number int // the first request is 0
	branch *telemetry.Branch
	done   bool // its outcome was taken
	won    bool // the call ended with its answer
}

// An outcome is what a runner came to.
type outcome struct {
	*runner
	resp     *http.Response
	err      error
	verdict  policy.Verdict
	whole    bool // the request's goroutine came to its end by itself
	panicked any  // what ended it else, nil if that was runtime.Goexit
}

// begin prepares a call, whose body is content, for several requests.
func (h *hedge) begin(req *http.Request, content body.Snapshot) *race {
	c := &race{hedge: h, caller: req.Context(), start: time.Now(), body: content}
	if c.lineage = lineageOf(req); c.lineage == nil {
		c.lineage, c.outermost = newLineage(req, h.bucket), true
		c.lineage.hedging.Store(h)
		c.ctx, c.req = c.lineage, &c.lineage.first
	} else {
		c.ctx, c.req = c.caller, req.WithContext(c.caller)
	}
	if h.cfg.IdempotencyKey {
		mintIdempotencyKey(c.req)
	}
	if c.body.Taken() { // its reader is not used: others may hold it, as a GetBody does
		c.req.GetBody = func() (io.ReadCloser, error) { return c.body.Open(), nil }
	}
	c.shared = c.lineage.repeats(c.req)
	c.repeats = c.lineage.extra.Load()
	c.outcomes = make(chan outcome)
	c.over = make(chan struct{})
	return c
}

// leaveGrace is how long a call whose caller has left waits for the outcomes that are
// about to come, so that they are not lost.
const leaveGrace = time.Millisecond

// race runs the call.
func (c *race) race(delay time.Duration) (*http.Response, error) {
	c.delay, c.timer = delay, time.NewTimer(delay)
	defer c.timer.Stop()
	c.run()
	gone := c.caller.Done()
	for {
		select {
		case o := <-c.outcomes:
			if resp, err, ok := c.take(o); ok {
				return resp, err
			}
		case <-c.timer.C:
			if c.left {
				return c.leave()
			}
			if c.reserve() {
				c.run()
			}
		case <-gone:
			gone, c.left = nil, true
			c.timer.Reset(leaveGrace)
		}
	}
}

// reserve takes what a hedge costs, if there may be one.
func (c *race) reserve() bool {
	if c.barred || c.caller.Err() != nil || len(c.runners) > c.cfg.Max || c.repeatedBelow() || !c.allowance.take() {
		return false
	}
	now := time.Now()
	if !c.bucket.Reserve(now) {
		c.allowance.giveBack()
		return false
	}
	if c.lineage.bucket != c.bucket && !c.lineage.bucket.Reserve(now) {
		c.bucket.Refund()
		c.allowance.giveBack()
		return false
	}
	if c.shared {
		c.lineage.extra.Add(1)
		c.repeats++
	}
	return true
}

// run starts the next request.
func (c *race) run() {
	r := &runner{number: len(c.runners)}
	ctx := c.ctx
	if r.number > 0 { // it comes after everybody else's first request
		call := policy.CallOf(ctx)
		call.Priority = math.MinInt
		ctx = policy.WithCall(ctx, call)
	}
	ctx, r.branch = telemetry.NewBranch(ctx, r.number > 0)
	r.hedgeContext = newHedgeContext(c.caller, ctx)
	req := c.req.WithContext(r)
	if c.body.Taken() {
		req.Body = c.body.Open()
	}
	c.runners = append(c.runners, r)
	c.pending++
	c.timer.Reset(c.delay)
	go c.send(r, req)
}

// send sends the request of a runner, and gets rid of the answer if nobody wants
// it any more.
func (c *race) send(r *runner, req *http.Request) {
	o := outcome{runner: r}
	defer func() {
		if o.panicked = recover(); !o.whole {
			o.resp = nil // Classify panicked, and the answer is closed
		}
		select {
		case c.outcomes <- o:
		case <-c.over:
			if o.resp != nil {
				discardLate(r, o.resp, &c.cfg)
			}
			r.end(errLost)
		}
	}()
	o.resp, o.err = body.Send(c.next, req) //nolint:bodyclose // whoever gets the outcome does, or the func above
	o.verdict = telemetry.Judge(req, o.resp, o.err, c.cfg.Classify)
	o.whole = true
}

// discardLate ends an answer that came too late. A panic in its body is nobody's
// any more.
func discardLate(ctx context.Context, resp *http.Response, cfg *policy.Hedge) {
	defer func() { _ = recover() }()
	body.Discard(ctx, resp, cfg.DrainBytes, cfg.DrainTime)
}

// take takes an outcome, and reports whether it is the end of the call.
func (c *race) take(o outcome) (*http.Response, error, bool) {
	o.done = true
	c.pending--
	switch {
	case o.panicked != nil:
		o.end(nil)
		panic(o.panicked)
	case !o.whole: // by runtime.Goexit, which tests like to call
		o.end(nil)
		runtime.Goexit()
	case o.resp != nil && settles(o.verdict):
		c.won(o)
		return o.resp, nil, true
	}
	if strains(o.verdict.Class) && !telemetry.CallerLeft(c.caller) {
		c.allowance.strain()
	}
	c.barred = c.barred || isBusy(o.verdict.Class) || o.verdict.Wait > 0
	hedged := o.verdict.Again == policy.Anywhere && c.reserve()
	if c.err == nil {
		c.err = o.err
	}
	if !hedged && c.pending == 0 {
		resp, err := c.lost(o)
		return resp, err, true
	}
	if o.resp != nil { // it must not hold anything while the others are waited for
		c.drop(o.runner, o.resp)
	} else {
		o.end(nil)
	}
	if hedged {
		c.run()
	}
	return nil, nil, false
}

// drop ends an answer that failed, and keeps it if it comes whole. That may take a
// while, for which nobody waits: not the next request, nor an answer of another.
func (c *race) drop(r *runner, resp *http.Response) {
	earlier, kept := c.kept, make(chan spare, 1)
	c.kept = kept
	go func() {
		var s spare
		defer func() {
			_ = recover() // the body's, which is of no use any more
			if s.resp == nil && earlier != nil {
				s = <-earlier
			}
			kept <- s
			r.end(nil)
		}()
		s.keep(r, resp, &policy.Retry{DrainBytes: c.cfg.DrainBytes, DrainTime: c.cfg.DrainTime})
	}()
}

// spare returns the last answer that was a failure, if there is one. A caller who
// has left, or has no more time, does not wait for it.
func (c *race) spare() spare {
	if c.kept == nil {
		return spare{}
	}
	select {
	case s := <-c.kept:
		return s
	case <-c.caller.Done():
	}
	select {
	case s := <-c.kept:
		return s
	default:
		return spare{}
	}
}

// repeatedBelow reports whether a layer inside has sent the request again: then it
// is no straggler, and that layer knows when to go on and when to stop.
func (c *race) repeatedBelow() bool { return c.lineage.extra.Load() > c.repeats }

// settles reports whether an answer is all there is to be had here.
func settles(v policy.Verdict) bool {
	return v.Class == policy.OK || v.Again != policy.Anywhere && !strains(v.Class)
}

// won ends the race with an answer.
func (c *race) won(o outcome) {
	c.decided, o.won = true, true
	took := time.Since(c.start)
	if first := c.runners[0]; o.number == 0 || !first.done {
		c.times.add(took) // or more, but that is all the same above the delay
	}
	if o.verdict.Class == policy.OK {
		c.allowance.earn()
		c.deposit()
	}
	c.judge(o.number > 0)
	o.hand(c, o.resp)
}

// judge takes note of what the hedges were good for, if there were any.
func (c *race) judge(won bool) {
	if hedges := len(c.runners) - 1; hedges > 0 {
		c.allowance.judge(hedges, won)
	}
}

// deposit pays into the shared budget, unless an outer layer does.
func (c *race) deposit() {
	if c.outermost || c.bucket != c.lineage.bucket {
		c.bucket.Deposit()
		c.deposited = true
	}
}

// hand gives the caller a runner's answer, whose context lasts until the end of its body.
func (r *runner) hand(c *race, resp *http.Response) {
	r.branch.Chosen(c.caller)
	body.Watch(resp, &handed{runner: r, race: c})
}

// handed watches the body of the answer.
type handed struct {
	*runner
	race *race
}

// BodyEnd implements [body.Watcher].
func (h *handed) BodyEnd(err error) error {
	if broken(err) {
		h.race.broke()
	}
	h.end(nil)
	return err
}

// broke takes back what the answer that the caller has got paid for.
func (c *race) broke() {
	if c.deposited {
		c.bucket.Withdraw()
	}
	if !telemetry.CallerLeft(c.caller) {
		c.allowance.strain()
	}
}

// lost ends a race that nobody won: with the last outcome, if that is an answer,
// else with an earlier one, else with the first error. A caller whose context has ended
// meanwhile gets the last error, which says so.
func (c *race) lost(o outcome) (*http.Response, error) {
	c.judge(false)
	if o.resp != nil {
		o.hand(c, o.resp)
		return o.resp, nil
	}
	o.end(nil)
	if c.caller.Err() != nil {
		if c.err = o.err; errors.Is(c.err, context.Canceled) {
			c.err = context.Cause(c.caller) // a layer below may not know that time was up
		}
	}
	return lastAnswer(c.caller, nil, c.err, c.spare())
}

// leave ends a race whose caller waits no longer, though requests are under way.
func (c *race) leave() (*http.Response, error) {
	c.judge(false)
	if !telemetry.CallerLeft(c.caller) {
		c.allowance.strain()
	}
	return lastAnswer(c.caller, nil, context.Cause(c.caller), c.spare())
}

// lose ends a request that lost. One that is in a limiter's queue ends at once: the answer
// that won frees the place for which it waits. Another may be on a connection.
func (r *runner) lose(drainTime time.Duration) {
	r.lost.Store(r.unfollow())
	switch {
	case r.done: // what was dropped ends by itself
	case r.queued.Load() > 0:
		r.cancel(errLost)
	default:
		time.AfterFunc(drainTime, func() { r.cancel(errLost) })
	}
}

// result returns what became of a hedge, as telemetry names it.
func (r *runner) result() string {
	switch {
	case r.won:
		return telemetry.HedgeWon
	case r.done:
		return telemetry.HedgeFailed
	}
	return telemetry.HedgeLost
}

// end lets go of those that are still under way. After an answer they have a while
// to be answered, too; else they are cancelled at once.
func (c *race) end() {
	close(c.over)
	if c.outermost {
		c.lineage.over.Store(true)
	}
	for _, r := range c.runners {
		if r.number > 0 {
			telemetry.FromContext(c.caller).Hedged(c.caller, r.result())
		}
		switch {
		case r.won:
		case c.decided:
			r.lose(c.cfg.DrainTime)
		case !r.done:
			r.end(context.Cause(c.caller))
		}
	}
}
