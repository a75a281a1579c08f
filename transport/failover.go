package transport

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// A Failover sends each request to one of several endpoints. If that one fails and
// another may do better, it asks another at once, provided that the request may be
// repeated (see [policy.Retry]), that its body can be replayed, and that the budget
// has a token. It never waits: that is for a retry layer around it, whose next attempt
// goes to an endpoint that the call has not asked yet or, if there is none, did not
// ask last. The requests made here count among that layer's attempts and draw on its
// budget.
//
// Within one attempt of the retry layer, each endpoint is asked once at most. One that
// failed for a reason that stays, such as wrong credentials or a quota that is used up,
// is not asked again in later attempts either, as long as there is another. One whose
// own layers refuse the request, such as an open breaker, is passed over and costs no
// token. If all have failed, the last outcome is handed on; but a failure that may pass
// takes precedence over one that only another endpoint can make up for, so that the
// retry layer goes on.
//
// Only the endpoint that the caller addressed, the one whose base its URL begins with,
// gets the request as it is. For the others it is rewritten, without what is secret by
// its name: header fields and query parameters (see [policy.IsSecret]), and the user in
// the URL. Path and body are not searched for secrets. The same is left out after a
// redirect to another scheme, host or port than the first request's.
//
// A URL that belongs to no endpoint counts as one below a base of its own, so no
// endpoint gets the caller's credentials. A redirect to such a URL, or, if an endpoint
// has no URL, to any other scheme, host or port, is followed to where it says, without
// the credentials.
//
// An answer from an endpoint that was not addressed sets no cookies if it is of another
// host, and its Location is absolute.
//
// One Failover is the health of its endpoints, shared by every transport that it
// wraps. It is safe for concurrent use.
type Failover struct {
	cfg        policy.Failover
	endpoints  []*endpoint
	home       int // the index of the endpoint whose answers are always live
	rotation   *rotation
	bucket     *policy.Bucket                  // for calls that no retry layer makes
	limits     policy.Retry                    // of replays and of discarding
	noEndpoint Layer                           // around requests to no endpoint; may be nil
	servers    map[string]*server              // of the endpoints that have one each, by name
	common     [longestCommon + 1][]commonName // by their lengths
}

// NewFailover returns a Failover. It calls newLayer once for each endpoint, with its
// name: the layer stands between the choice and the wire, for example a breaker, a
// limit, the record of an attempt and its timeout. A nil newLayer, or a nil Layer that
// it returns, stands for none.
//
// It panics if the settings are not valid.
func NewFailover(cfg policy.Failover, newLayer func(name string) Layer) *Failover {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	f := &Failover{
		cfg: cfg, home: homeOf(cfg), rotation: newRotation(cfg),
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

// homeOf returns the index of the first endpoint, of those of our region if there are any.
func homeOf(cfg policy.Failover) int {
	ours := func(e policy.Endpoint) bool { return cfg.Region == "" || e.Region == cfg.Region }
	return max(0, slices.IndexFunc(cfg.Endpoints, ours))
}

// Wrap is a [Layer].
func (f *Failover) Wrap(next http.RoundTripper) http.RoundTripper {
	w := &failover{Failover: f, next: next, noEndpoint: Chain(next, f.noEndpoint)}
	for _, e := range f.endpoints {
		w.to = append(w.to, Chain(next, e.layer))
	}
	return w
}

type failover struct {
	*Failover
	next       http.RoundTripper
	to         []http.RoundTripper // next, inside the layers of each endpoint
	noEndpoint http.RoundTripper   // next, inside those for requests to none
}

// CloseIdleConnections forwards to the transport below.
func (f *failover) CloseIdleConnections() { body.CloseIdle(f.next) }

func (f *failover) RoundTrip(req *http.Request) (*http.Response, error) {
	c := failoverCall{failover: f, addressee: f.addresseeOf(req)}
	if c.addressee.noEndpoint {
		return f.follow(req)
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
		if to = c.anotherAfter(resp, to, verdict); to == nil {
			return c.last(resp, err, verdict)
		}
		if resp != nil {
			c.drop(resp, verdict)
		}
		start = f.rotation.begin(to.index)
	}
}

// follow sends req, which a redirect brought to no endpoint, to where it says.
func (f *failover) follow(req *http.Request) (*http.Response, error) {
	resp, err := body.Send(f.noEndpoint, f.stripped(req, new(rewrittenAttempt)))
	if err == nil {
		resp.Request = req // a further redirect must still tell where the first request went
	}
	return resp, err
}

// A failoverCall is one request on its way through the layer, with all that is asked
// for it here.
type failoverCall struct {
	*failover
	req       *http.Request // of the first attempt
	addressee addressee
	key       string
	lineage   *lineage // nil if there is one endpoint and nothing to share
	opened    bool     // we made the lineage: there is no retry layer around
	shared    bool     // attempts count together with those of the lineage
	tried     *tried   // endpoints; nil is none
	sent      int      // requests so far
	held      bool     // a token is reserved for the next request
	err       error    // of all so far, the one that tells most
	kept      spare    // the last answer that was dropped, or the last of those that may pass
	mayPass   struct { // outcomes after which the same endpoint may do better: Again is Anywhere
		kept    bool           // the kept answer is one of them
		err     error          // the last error among them, or nil
		verdict policy.Verdict // on the last one, zero if there was none
	}
	replay replay
}

// begin prepares the first attempt and returns the endpoint for it, which counts as
// asked from start on.
func (c *failoverCall) begin(req *http.Request) (to *endpoint, start time.Time) {
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
func (c *failoverCall) prepare() {
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

// end frees what the call holds.
func (c *failoverCall) end() {
	if c.held {
		c.release()
	}
	if c.opened {
		c.lineage.over.Store(true)
	}
	c.replay.settle()
}

// count takes note of a request that was sent.
func (c *failoverCall) count() {
	c.sent++
	c.held = false
}

// hold takes a token for the next request, which counts from now on: others of the
// call may be under way beside it.
func (c *failoverCall) hold(now time.Time) bool {
	if !c.lineage.bucket.Reserve(now) {
		return false
	}
	if c.shared && !c.lineage.claim(len(c.endpoints)) {
		c.lineage.bucket.Refund()
		return false
	}
	c.held = true
	return true
}

// release gives back what hold took.
func (c *failoverCall) release() {
	c.held = false
	c.lineage.bucket.Refund()
	if c.shared {
		c.lineage.extra.Add(-1)
	}
}

// drop ends an answer, since another endpoint is asked, and keeps it.
func (c *failoverCall) drop(resp *http.Response, v policy.Verdict) {
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

// last returns what the call comes to, after a last outcome on which the verdict is v:
// that outcome, or an earlier answer if it is an error. But an answer that may pass
// (Again is Anywhere) takes precedence over one that only another endpoint can make up
// for, since a retry layer around goes on after the former alone. If such an outcome
// cannot be handed on, the retry layer is told of it through the lineage.
func (c *failoverCall) last(resp *http.Response, err error, v policy.Verdict) (*http.Response, error) {
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
func (c *failoverCall) failed(err error, v policy.Verdict) {
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

// anotherAfter is another for an endpoint that answered with resp, or nil.
func (c *failoverCall) anotherAfter(resp *http.Response, failed *endpoint, v policy.Verdict) *endpoint {
	done := false
	defer func() {
		if !done && resp != nil { // a panic in GetBody or Random
			_ = resp.Body.Close() // nobody gets it
		}
	}()
	next := c.another(failed, v)
	done = true
	return next
}

// another returns the endpoint to ask after one whose outcome was v, or nil. If
// there is one, it has reserved a token and prepared the body.
func (c *failoverCall) another(failed *endpoint, v policy.Verdict) *endpoint {
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

// enough reports whether the call was sent as often as it may be without a wait: once
// for each endpoint, or once if an SDK above repeats it by itself.
func (c *failoverCall) enough() bool {
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
func (c *failoverCall) inTime(now time.Time) bool {
	deadline, ok := c.req.Context().Deadline()
	return !ok || now.Before(deadline)
}
