package transport

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// Retry returns a layer that repeats attempts which failed in a way that may
// pass, as far as the request may be repeated (see [policy.Retry]), its body can
// be replayed, the time allows it and the budget has a token. Otherwise the caller
// gets the last real answer, at once.
//
// A request's body goes to the transport as it is read, and is replayed from
// memory if it is there, through [http.Request.GetBody], or from a recording of
// what was sent.
//
// All transports that the layer wraps share its budget. Retry layers one below
// the other do not multiply: those that repeat the same request count their
// attempts together, and all draw on the outermost one's budget, besides their
// own. A request that an SDK above repeats (X-Stainless-Retry-Count) is an extra
// one of that budget already, and sent once.
//
// It panics if the settings are not valid.
func Retry(cfg policy.Retry) Layer {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	if cfg.Bucket == nil {
		cfg.Bucket = policy.NewBucket(cfg.Budget)
	}
	return func(next http.RoundTripper) http.RoundTripper {
		if cfg.Off {
			return next
		}
		return &retry{cfg: cfg, most: cfg.MaxAttempts(), next: next}
	}
}

type retry struct {
	cfg  policy.Retry
	most int // attempts
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (r *retry) CloseIdleConnections() { body.CloseIdle(r.next) }

func (r *retry) RoundTrip(req *http.Request) (*http.Response, error) {
	c := retried{retry: r}
	c.begin(req)
	defer c.end()
	ctx := c.req.Context()
	var kept spare
	for attempt := c.req; ; attempt = c.replay.request() {
		resp, err := body.Send(r.next, attempt)
		verdict := c.judge(attempt, resp, err)
		if verdict.Class == policy.OK {
			c.succeeded(resp)
			return resp, nil
		}
		wait, ok := c.planAfter(resp, verdict)
		if !ok {
			return lastAnswer(ctx, resp, err, kept)
		}
		if resp != nil {
			kept.keep(ctx, resp, &r.cfg)
		}
		telemetry.FromContext(ctx).Waits(ctx, wait, verdict.Class)
		if wait > 0 {
			wait = time.Until(c.due)
		}
		if err := sleep(ctx, wait); err != nil {
			c.refund()
			return nil, err
		}
	}
}

// retried is a call that is under way.
type retried struct {
	*retry
	req       *http.Request // of the first attempt, and ours
	lineage   *lineage
	outermost bool // the lineage begins here
	shared    bool // with the other layers of the lineage: the count of attempts
	extra     int  // attempts that this layer made beyond the first
	previous  time.Duration
	due       time.Time // when the next attempt begins: what is done before it is part of the wait
	replay    replay
}

// begin prepares the first attempt.
func (c *retried) begin(req *http.Request) {
	if c.lineage = lineageOf(req); c.lineage == nil {
		c.lineage, c.outermost = newLineage(req, c.cfg.Bucket), true
		if c.lineage.repeated {
			c.cfg.Bucket.Reserve(time.Now()) // if there is a token: it is sent all the same
		}
		c.req = &c.lineage.first
	} else {
		c.req = req.WithContext(req.Context())
	}
	c.shared = c.lineage.repeats(req)
	if c.cfg.IdempotencyKey {
		mintIdempotencyKey(c.req)
	}
	if !c.single() {
		c.replay.begin(c.req, &c.cfg)
	}
}

// single reports whether there is one attempt in any case.
func (c *retried) single() bool { return c.most == 1 || c.shared && c.lineage.repeated }

// end frees what the call holds, whether or not the transport still sends its
// body.
func (c *retried) end() {
	if c.outermost {
		c.lineage.over.Store(true)
	}
	c.replay.settle()
}

// attempts returns how many attempts were made.
func (c *retried) attempts() int {
	if c.shared {
		return 1 + int(c.lineage.extra.Load())
	}
	return 1 + c.extra
}

// judge returns the verdict on an attempt. A small answer is read to its end
// first, so that one that was cut short counts as such.
func (c *retried) judge(req *http.Request, resp *http.Response, err error) policy.Verdict {
	verdict := c.lineage.verdictOn(resp, telemetry.Judge(req, resp, err, c.cfg.Classify))
	if verdict.Class != policy.OK || !c.buffers(req, resp) {
		return verdict
	}
	if c.buffer(resp) != nil {
		return telemetry.Judge(req, resp, nil, c.cfg.Classify)
	}
	return verdict
}

// buffer reads the body of resp.
func (c *retried) buffer(resp *http.Response) error {
	if room := c.takeRoom(); room != nil {
		return room.Buffer(resp, c.cfg.BufferBytes)
	}
	return body.Buffer(resp, c.cfg.BufferBytes)
}

// takeRoom returns the room for an answer, or nil if there is none any more: an
// answer that was dropped may still be in it.
func (c *retried) takeRoom() *body.BufferRoom {
	if !c.outermost || c.lineage.roomTaken {
		return nil
	}
	c.lineage.roomTaken = true
	return &c.lineage.room
}

// buffers reports whether the body of resp is read before it is handed on.
func (r *retry) buffers(req *http.Request, resp *http.Response) bool {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.ContentLength > r.cfg.BufferBytes || r.cfg.BufferBytes <= 0 {
		return false
	}
	if isEventStream(resp.Header) {
		return false
	}
	return resp.ContentLength >= 0 || policy.CallOf(req.Context()).Replayable && !comesInParts(resp.Header)
}

// succeeded pays into the budget, and takes it back if the body breaks. What the
// layer that the lineage began with pays in anyway is not paid twice.
func (c *retried) succeeded(resp *http.Response) {
	bucket := c.cfg.Bucket
	if !c.outermost && bucket == c.lineage.bucket {
		return
	}
	bucket.Deposit()
	if room := c.takeRoom(); room != nil {
		room.Watch(resp, deposit{bucket})
	} else {
		body.Watch(resp, deposit{bucket})
	}
}

// deposit watches the body of a success.
type deposit struct{ bucket *policy.Bucket }

// BodyEnd implements [body.Watcher].
func (d deposit) BodyEnd(err error) error {
	if broken(err) {
		d.bucket.Withdraw()
	}
	return err
}

// planAfter is plan for an attempt that was answered with resp, or nil.
func (c *retried) planAfter(resp *http.Response, v policy.Verdict) (wait time.Duration, ok bool) {
	done := false
	defer func() {
		if !done && resp != nil { // a panic in Random, GetBody or a Backoff's Func
			_ = resp.Body.Close() // nobody gets it
		}
	}()
	wait, ok = c.plan(v)
	done = true
	return wait, ok
}

// plan decides whether an attempt that ended in v is followed by another, and
// after what wait. If so, it has reserved the tokens for it and prepared the
// body.
func (c *retried) plan(v policy.Verdict) (time.Duration, bool) {
	ctx := c.req.Context()
	if v.Again != policy.Anywhere || ctx.Err() != nil || c.lineage.over.Load() {
		return 0, false
	}
	now := time.Now()
	made := c.attempts()
	wait, acceptable := c.cfg.DelayAfter(c.previous, v, made, c.cfg.Random())
	deadline, hasDeadline := ctx.Deadline()
	var reason string
	switch {
	case made >= c.cfg.AttemptsFor(v.Class), c.single():
		reason = telemetry.NoneLeft
	case !mayRepeat(c.req, v):
		reason = telemetry.NotSafe
	case !c.replay.possible():
		reason = telemetry.NoReplay
	case !acceptable:
		reason = telemetry.NoPatience
	case hasDeadline && !now.Add(wait).Before(deadline):
		reason = telemetry.NoTime
	case !c.reserve(now):
		reason = telemetry.NoBudget
	case !c.replay.prepare():
		c.refund()
		reason = telemetry.NoReplay
	case c.shared && !c.lineage.claim(c.cfg.AttemptsFor(v.Class)):
		c.refund()
		reason = telemetry.NoneLeft
	default:
		c.extra++
		c.previous, c.due = wait, now.Add(wait)
		return wait, true
	}
	var retryAt time.Time
	if v.Wait > 0 {
		retryAt = now.Add(v.Wait)
	}
	telemetry.FromContext(ctx).Stopped(reason, retryAt)
	return 0, false
}

// reserve takes a token for an extra attempt out of the layer's bucket, and out of
// the outermost layer's.
func (c *retried) reserve(now time.Time) bool {
	if !c.cfg.Bucket.Reserve(now) {
		return false
	}
	if c.lineage.bucket != c.cfg.Bucket && !c.lineage.bucket.Reserve(now) {
		c.cfg.Bucket.Refund()
		return false
	}
	return true
}

// refund gives back what reserve took.
func (c *retried) refund() {
	c.cfg.Bucket.Refund()
	if c.lineage.bucket != c.cfg.Bucket {
		c.lineage.bucket.Refund()
	}
}

// A spare is the last answer that was dropped, should no other come.
type spare struct {
	resp *http.Response // nil if there is none
	body []byte         // of resp
}

// keep ends a response, so that its connection can be used again, and keeps it if
// it came whole.
func (s *spare) keep(ctx context.Context, resp *http.Response, cfg *policy.Retry) {
	if whole, ok := body.Drain(ctx, resp, cfg.DrainBytes, cfg.DrainTime); ok {
		s.resp, s.body = resp, whole
	}
}

// answer returns the response that is kept, to be read from its start.
func (s *spare) answer() *http.Response {
	s.resp.Body = body.Bytes(s.body)
	return s.resp
}

// lastAnswer returns what the caller gets in the end: the outcome of the last
// attempt, or, if that was an error, an earlier real answer. A caller who has left gets
// the error.
func lastAnswer(ctx context.Context, resp *http.Response, err error, kept spare) (*http.Response, error) {
	if err != nil && kept.resp != nil && !telemetry.CallerLeft(ctx) {
		return kept.answer(), nil
	}
	return resp, err
}

// sleep waits, and returns early with the cause if ctx ends.
func sleep(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
