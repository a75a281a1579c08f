package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// A Failover sends each request to one of several endpoints, and to another one at
// once if that fails in a way that the other may not, as far as the request may be
// repeated (see [policy.Retry]), its body can be replayed and the budget has a
// token. It never waits: that is for a retry layer around it, whose next attempt
// goes to an endpoint that the call has not asked yet, or did not ask last. What is
// asked here counts among that layer's attempts and draws on its budget.
//
// A call asks each endpoint once at most before the retry layer comes in, and
// leaves alone for good those that only another endpoint makes up for: wrong
// credentials, a quota that is used up. An endpoint whose own layers refuse the
// request, such as an open breaker, is passed over without a token. Of what the
// endpoints of an attempt came to it hands on the last; but what may pass comes
// before what only another endpoint makes up for, so that the retry layer goes on.
//
// The request goes as it is to the endpoint that the caller addressed: the one
// whose base its URL begins with. For the others it is rewritten, and what is
// secret by its name, header fields and query parameters (see [policy.IsSecret]),
// is taken out, as is the URL's user; so it is after a redirect to another place
// than the first request's. What stands in the path or in the body is not looked
// at. If the URL belongs to no endpoint, it is taken for one below a base of its
// own, and all are strangers to the caller's credentials; a redirect to such a URL
// is followed to where it says, without them. So is any redirect to another place
// than the first request's if an endpoint has no URL. An answer from an endpoint that
// was not addressed sets no cookies if it is of another host, and its Location is
// absolute.
//
// One Failover is the health of its endpoints, shared by every transport that it
// wraps. It is safe for concurrent use.
type Failover struct {
	cfg       policy.Failover
	endpoints []*endpoint
	rotation  *rotation
	bucket    *policy.Bucket                  // for calls that no retry layer makes
	limits    policy.Retry                    // of replays and of discarding
	astray    Layer                           // around requests to no endpoint; may be nil
	servers   map[string]*server              // of the endpoints that have one each, by name
	common    [longestCommon + 1][]commonName // by their lengths
}

// NewFailover returns a Failover. The layers that newLayer returns for the name of
// an endpoint stand between the choice and the wire: a breaker, a limit, the record
// of an attempt, its timeout. It is asked once for each; nil stands for none, as
// does a nil Layer.
//
// It panics if the settings are not valid.
func NewFailover(cfg policy.Failover, newLayer func(name string) Layer) *Failover {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	f := &Failover{
		cfg: cfg, rotation: newRotation(cfg),
		bucket: policy.NewBucket(cfg.Budget), limits: policy.Retry{}.WithDefaults(),
	}
	for _, name := range commonNames {
		f.common[len(name)] = append(f.common[len(name)], commonName{name, cfg.IsSecret(name)})
	}
	for i, e := range cfg.Endpoints {
		if e.Classify == nil {
			e.Classify = cfg.Classify
		}
		known := newEndpoint(i, e)
		if newLayer != nil {
			known.layer = newLayer(e.Name)
		}
		f.endpoints = append(f.endpoints, known)
	}
	return f
}

// Wrap is a [Layer].
func (f *Failover) Wrap(next http.RoundTripper) http.RoundTripper {
	w := &failover{Failover: f, next: next, astray: Chain(next, f.astray)}
	for _, e := range f.endpoints {
		w.to = append(w.to, Chain(next, e.layer))
	}
	return w
}

type failover struct {
	*Failover
	next   http.RoundTripper
	to     []http.RoundTripper // next, inside the layers of each endpoint
	astray http.RoundTripper   // next, inside those for requests to none
}

// CloseIdleConnections forwards to the transport below.
func (f *failover) CloseIdleConnections() { body.CloseIdle(f.next) }

func (f *failover) RoundTrip(req *http.Request) (*http.Response, error) {
	c := crossing{failover: f, origin: f.originOf(req)}
	if c.origin.astray {
		return body.Send(f.astray, f.stripped(req, new(detour)))
	}
	to, start := c.begin(req)
	defer c.end()
	for attempt := c.req; ; attempt = c.replay.request() {
		resp, verdict, err := c.ask(to, attempt, start)
		if verdict.Class == policy.OK {
			return resp, nil
		}
		if err != nil {
			c.failed(err, verdict)
		}
		if to = c.another(to, verdict); to == nil {
			return c.last(resp, err, verdict)
		}
		if resp != nil {
			c.drop(resp, verdict)
		}
		start = f.rotation.begin(to.index)
	}
}

// A crossing is a pass of a request through the layer.
type crossing struct {
	*failover
	req     *http.Request // of the first attempt
	origin  origin
	key     string
	lineage *lineage // nil if there is one endpoint and nothing to share
	opened  bool     // the lineage, by us: there is no retry layer around
	shared  bool     // with the lineage: the count of attempts
	tried   *tried   // by the call; nil is none
	sent    int      // requests
	held    bool     // a token, for the next one
	err     error    // the one that tells most
	kept    spare    // the last answer that was dropped, or the last of those that may pass
	mayPass struct { // what the same endpoint may do better at
		kept    bool           // the kept answer is of that kind
		err     error          // the last one of that kind, or nil
		verdict policy.Verdict // the last one of that kind, if any
	}
	replay replay
}

// begin prepares the first attempt and returns the endpoint for it, which the
// rotation takes for asked from start on.
func (c *crossing) begin(req *http.Request) (to *endpoint, start time.Time) {
	done := false
	defer func() {
		if !done { // a panic in Key
			body.CloseRequest(req)
		}
	}()
	if c.cfg.Strategy == policy.Sticky {
		c.key = c.cfg.Key(req)
	}
	if c.req = req; len(c.endpoints) > 1 {
		c.prepare()
	}
	index, start := c.rotation.first(c.tried, c.key)
	done = true
	return c.endpoints[index], start
}

// prepare makes it possible to send the request more than once.
func (c *crossing) prepare() {
	if c.lineage = lineageOf(c.req); c.lineage == nil {
		c.lineage, c.opened = newLineage(c.req, c.bucket), true
		c.req = &c.lineage.first
	} else {
		c.tried = c.lineage.triedAt(c.Failover)
		if hasBody(c.req) && c.req.GetBody == nil {
			c.req = c.req.WithContext(c.req.Context()) // its body may be replaced
		}
	}
	c.shared = c.lineage.repeats(c.req)
	c.replay.begin(c.req, &c.limits)
}

// end frees what the crossing holds.
func (c *crossing) end() {
	if c.held {
		c.release()
	}
	if c.opened {
		c.lineage.over.Store(true)
	}
	c.replay.settle()
}

// ask sends req to an endpoint, as the rotation knows since start.
func (c *crossing) ask(to *endpoint, req *http.Request, start time.Time) (*http.Response, policy.Verdict, error) {
	var v *visit
	var d *detour // nil if req goes as it is
	if c.isFor(to) && !to.rewrites {
		v = new(visit)
	} else {
		d = new(detour)
		v = &d.visit
	}
	v.crossed, v.ctx, v.to, v.start = c.Failover, req.Context(), to, start
	var resp *http.Response
	done := false
	defer func() {
		if done {
			return
		}
		body.CloseRequest(req) // after a panic below, or in a func of the endpoint's
		if resp != nil {
			_ = resp.Body.Close() // nobody gets it
		}
		v.end(policy.Verdict{Class: policy.Canceled})
	}()
	resp, err := c.send(to, req, d)
	v.judge(telemetry.Judge(req, resp, err, to.Classify))
	if v.verdict.Class == policy.OK && to.ResponseBody != nil {
		if err = v.translate(resp); err != nil {
			resp = nil
		}
	}
	done = true
	if v.verdict.Class != policy.Refused {
		c.count()
	}
	if err != nil {
		v.end(v.verdict)
		return nil, v.verdict, err
	}
	c.finish(to, resp, v)
	return resp, v.verdict, nil
}

// isFor reports whether the caller's credentials are for that endpoint.
func (c *crossing) isFor(to *endpoint) bool {
	return c.origin.own && to.index == c.origin.index
}

// send sends req to an endpoint, rewritten if it is a detour.
func (c *crossing) send(to *endpoint, req *http.Request, d *detour) (*http.Response, error) {
	if d == nil {
		return body.Send(c.to[to.index], req)
	}
	out, err := c.rewrite(req, to, d)
	if err != nil {
		body.CloseRequest(req)
		if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
			telemetry.FromContext(req.Context()).Refused(req.Context(), refusal)
		}
		return nil, err
	}
	resp, err := body.Send(c.to[to.index], out)
	if err == nil {
		c.adopt(to, out, resp)
	}
	return resp, err
}

// count takes note of a request that was sent.
func (c *crossing) count() {
	c.sent++
	c.held = false
}

// hold takes a token for the next request, which counts from now on: others of the
// call may be under way beside it.
func (c *crossing) hold(now time.Time) bool {
	c.held = c.lineage.bucket.Reserve(now)
	if c.held && c.shared {
		c.lineage.extra.Add(1)
	}
	return c.held
}

// release gives back what hold took.
func (c *crossing) release() {
	c.held = false
	c.lineage.bucket.Refund()
	if c.shared {
		c.lineage.extra.Add(-1)
	}
}

// finish makes resp, which came from an endpoint, the answer to the caller's
// request.
func (c *crossing) finish(to *endpoint, resp *http.Response, v *visit) {
	if v.verdict.Class == policy.OK {
		c.mark(to, resp)
		if c.opened {
			v.paid = true
			c.bucket.Deposit()
		}
	}
	var watcher body.Watcher = v
	if _, limited := v.ctx.Deadline(); limited {
		watcher = limitedVisit{v}
	}
	if c.opened && !c.lineage.roomTaken {
		c.lineage.roomTaken = true
		c.lineage.room.Watch(resp, watcher)
	} else {
		body.Watch(resp, watcher)
	}
}

// mark says where an answer came from, if that is not where it was to come from.
func (c *crossing) mark(to *endpoint, resp *http.Response) {
	standIn := c.tried.askedOthers(to.index) || c.cfg.Strategy == policy.Ordered && to.index > 0
	switch {
	case standIn && to.index > 0:
		if resp.Header == nil {
			resp.Header = http.Header{}
		}
		telemetry.Mark(c.req, resp.Header, telemetry.Answer{Source: telemetry.Source(to.Name), Cause: c.tried.cause()})
	case c.tried != nil:
		// An answer that another endpoint gave to an earlier attempt was no good.
		trail := telemetry.FromContext(c.req.Context())
		if trail.Answer().Source != "" {
			trail.Answered(c.req.Context(), telemetry.Answer{Source: telemetry.Live})
		}
	}
}

// drop ends an answer, since another endpoint is asked, and keeps it.
func (c *crossing) drop(resp *http.Response, v policy.Verdict) {
	mayPass := v.Again == policy.Anywhere
	switch {
	case mayPass:
		c.mayPass.verdict = v
	case c.mayPass.kept:
		body.Discard(c.req.Context(), resp, c.limits.DrainBytes, c.limits.DrainTime)
		return
	}
	var s spare
	if s.keep(c.req.Context(), resp, &c.limits); s.resp != nil {
		c.kept, c.mayPass.kept = s, mayPass
	}
}

// last returns what the crossing comes to, whose last outcome was v: that, or an
// earlier answer if it is an error. But an answer that may pass comes before one that
// only another endpoint makes up for, as a retry layer around goes on after that alone.
// Of what may pass and is not handed on, it is told.
func (c *crossing) last(resp *http.Response, err error, v policy.Verdict) (*http.Response, error) {
	ctx := c.req.Context()
	switch {
	case err != nil:
		resp, err = lastAnswer(ctx, nil, c.err, c.kept)
	case v.Again != policy.Elsewhere:
		return resp, nil
	case c.mayPass.kept:
		body.Discard(ctx, resp, c.limits.DrainBytes, c.limits.DrainTime)
		return c.kept.answer(), nil
	}
	retried := c.lineage != nil && !c.opened && v.Again != policy.Nobody
	switch {
	case !retried || c.mayPass.verdict.Again != policy.Anywhere:
	case err == nil:
		c.lineage.again.Store(&again{resp, c.mayPass.verdict})
	case c.mayPass.err != nil:
		err = c.mayPass.err
	}
	return resp, err
}

// failed keeps the error that says most: one from the wire, else the refusal that
// ends soonest.
func (c *crossing) failed(err error, v policy.Verdict) {
	if v.Again == policy.Anywhere {
		c.mayPass.err, c.mayPass.verdict = err, v
	}
	refusal, refused := err.(*policy.Refusal)  //nolint:errorlint // one further in is part of another error
	earlier, before := c.err.(*policy.Refusal) //nolint:errorlint // likewise
	switch {
	case c.err == nil, !refused:
		c.err = err
	case before && !refusal.RetryAt.IsZero() && (earlier.RetryAt.IsZero() || refusal.RetryAt.Before(earlier.RetryAt)):
		c.err = err
	}
}

// another returns the endpoint to ask after one whose outcome was v, or nil. If
// there is one, it has reserved a token and prepared the body.
func (c *crossing) another(failed *endpoint, v policy.Verdict) *endpoint {
	if len(c.endpoints) == 1 {
		return nil
	}
	c.tried = c.lineage.triesAt(c.Failover)
	c.tried.add(failed.index, v)
	now := time.Now()
	if v.Again == policy.Nobody || c.enough() || c.req.Context().Err() != nil || !c.inTime(now) || !mayRepeat(c.req, v) {
		return nil
	}
	next := c.rotation.another(now, c.tried, c.key)
	if next < 0 || !c.replay.possible() {
		return nil
	}
	if c.sent > 0 && !c.held && !c.hold(now) {
		return nil
	}
	if !c.replay.prepare() {
		return nil
	}
	return c.endpoints[next]
}

// enough reports whether the call was sent as often as may be without a wait.
func (c *crossing) enough() bool {
	if !c.shared {
		return c.sent >= len(c.endpoints)
	}
	made := 1 + int(c.lineage.extra.Load())
	if c.held { // it is not made yet
		made--
	}
	return c.sent > 0 && (c.lineage.repeated || made >= len(c.endpoints))
}

// inTime reports whether the caller's deadline is still to come.
func (c *crossing) inTime(now time.Time) bool {
	deadline, ok := c.req.Context().Deadline()
	return !ok || now.Before(deadline)
}

// A visit is a request to an endpoint, until the body of the answer ends.
type visit struct {
	crossed *Failover
	ctx     context.Context
	to      *endpoint
	start   time.Time
	verdict policy.Verdict
	heard   bool // the verdict
	hasty   bool // the caller's time was up before the endpoint's was
	paid    bool // into the budget

	// waiting is since when a caller with a deadline waits for more of the body.
	waiting time.Time
}

// A detour is a visit with memory for a request of our own, and for its URL.
type detour struct {
	visit
	req http.Request
	url url.URL
}

// judge takes note of the outcome, as far as the header tells.
func (v *visit) judge(verdict policy.Verdict) {
	v.verdict, v.heard = verdict, true
	v.hasty = v.crossed.rotation.answered(v.to.index, v.start, verdict, v.ctx.Err() != nil)
}

// BodyEnd implements [body.Watcher].
func (v *visit) BodyEnd(err error) error {
	verdict := telemetry.JudgeBody(v.ctx, v.verdict, err)
	if v.paid && verdict.Class != policy.OK {
		v.crossed.bucket.Withdraw()
	}
	if broken(err) && verdict.Class == policy.TimedOut && v.ctx.Err() != nil {
		v.hasty = v.crossed.rotation.isHasty(v.to.index, v.waiting)
	}
	v.end(verdict)
	return err
}

// A limitedVisit is that of a caller with a deadline, who also waits for each part
// of the body.
type limitedVisit struct{ *visit }

// BodyRead implements [body.Pacer].
func (v limitedVisit) BodyRead(now time.Time) { v.waiting = now }

// BodyGot implements [body.Pacer].
func (v limitedVisit) BodyGot() {}

func (v *visit) end(verdict policy.Verdict) {
	if !v.heard { // after a panic
		v.judge(verdict)
	}
	if v.hasty {
		verdict = policy.Verdict{Class: policy.Canceled}
	}
	v.crossed.rotation.end(v.to, v.start, verdict)
}
