package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// A Hedge sends a request that takes long once more beside itself, and hands on
// the first good answer: see [policy.Hedge] for when, and how it is kept from
// doing harm.
//
// A request that a [Retry] inside repeats is not hedged from then on: it takes long
// for a reason.
//
// A failure never wins while another request of the call may still be answered. It
// starts the next hedge at once, unless the server is busy or asked for a wait, or
// one of our own layers said no. An answer that asking again would not change, such as
// a 404, ends the call at once, too.
//
// A request that lost may go on for [policy.Hedge.DrainTime], so that its
// connection can be used again if it is answered by then, and is cancelled after
// that, which is nobody's failure. So long it may read the request's body, whose memory
// must not be used for another meanwhile. A panic below is passed on, and so is
// [runtime.Goexit], but for one in a request that has lost.
//
// It belongs around [Retry], whose attempts then count together and draw on
// [policy.Hedge.Bucket].
//
// One Hedge knows how long the requests of one kind take, and is shared by every
// transport it wraps. It is safe for concurrent use.
type Hedge struct {
	cfg       policy.Hedge
	times     *latencies
	allowance *hedgeAllowance
	bucket    *policy.Bucket // shared with other layers, or one that is never empty
}

// NewHedge returns a Hedge that knows nothing yet. It panics if the settings are
// not valid.
func NewHedge(cfg policy.Hedge) *Hedge {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	h := &Hedge{cfg: cfg, times: newLatencies(cfg.Quantile), allowance: &hedgeAllowance{ratio: cfg.Ratio}, bucket: cfg.Bucket}
	if h.bucket == nil {
		h.bucket = policy.NewBucket(policy.Budget{Off: true})
	}
	return h
}

// With returns a Hedge of other settings that knows what this one does: how long
// requests take, and what hedges were paid for. From now on what both count counts
// by the new settings; the earlier Hedge must no longer be used. It panics if the
// settings are not valid.
func (h *Hedge) With(cfg policy.Hedge) *Hedge {
	other := NewHedge(cfg)
	other.times, other.allowance = h.times, h.allowance
	other.times.change(other.cfg.Quantile)
	other.allowance.change(other.cfg.Ratio)
	return other
}

// Delay returns how long a request is given now before it is hedged, zero if that
// is not known yet.
func (h *Hedge) Delay() time.Duration {
	if h.cfg.Delay > 0 {
		return h.cfg.Delay
	}
	return h.times.delay()
}

// Wrap is a [Layer].
func (h *Hedge) Wrap(next http.RoundTripper) http.RoundTripper {
	if h.cfg.Off {
		return next
	}
	return &hedge{Hedge: h, next: next}
}

type hedge struct {
	*Hedge
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (h *hedge) CloseIdleConnections() { body.CloseIdle(h.next) }

func (h *hedge) RoundTrip(req *http.Request) (*http.Response, error) {
	var content body.Snapshot
	if !h.mayHedge(req) || hasBody(req) && !content.Take(req.Body) {
		return body.Send(h.next, h.withIdempotencyKey(req))
	}
	delay := h.Delay()
	if delay == 0 || !h.allowance.affordable() || hedgedAbove(h, req) {
		return h.alone(h.withIdempotencyKey(req))
	}
	c := h.begin(req, content)
	defer c.end()
	return c.race(delay)
}

// withIdempotencyKey returns req, or a copy with a key if the settings want one and it has
// none.
func (h *hedge) withIdempotencyKey(req *http.Request) *http.Request {
	if !h.cfg.IdempotencyKey || isIdempotent(req.Method) || hasIdempotencyKey(req) {
		return req
	}
	req = req.WithContext(req.Context())
	mintIdempotencyKey(req)
	return req
}

// hedgedAbove reports whether another layer above may send the same request beside
// itself, so that it would multiply here.
func hedgedAbove(h *hedge, req *http.Request) bool {
	l := lineageOf(req)
	return l != nil && l.repeats(req) && !l.hedging.CompareAndSwap(nil, h) && l.hedging.Load() != h
}

// mayHedge reports whether it does no harm to send req twice.
func (h *hedge) mayHedge(req *http.Request) bool {
	_, upgrade := req.Header["Upgrade"]
	return (h.cfg.IdempotencyKey || mayRepeat(req, policy.Verdict{})) &&
		!upgrade && len(req.Trailer) == 0 && !isSDKRetry(req)
}

// alone sends a request that will have no hedge, and learns from it.
func (h *hedge) alone(req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := body.Send(h.next, req)
	h.learn(req, resp, telemetry.Judge(req, resp, err, h.cfg.Classify), time.Since(start))
	return resp, err
}

// learn takes the outcome of a call that was not hedged.
func (h *hedge) learn(req *http.Request, resp *http.Response, v policy.Verdict, took time.Duration) {
	if v.Class == policy.OK {
		h.times.add(took)
		h.allowance.earn()
		body.Watch(resp, answered{h.allowance, req.Context()})
	} else if strains(v.Class) && !telemetry.CallerLeft(req.Context()) {
		h.allowance.strain()
	}
}

// answered watches the body of a good answer.
type answered struct {
	allowance *hedgeAllowance
	ctx       context.Context
}

// BodyEnd implements [body.Watcher].
func (a answered) BodyEnd(err error) error {
	if broken(err) && !telemetry.CallerLeft(a.ctx) {
		a.allowance.strain()
	}
	return err
}

// strains reports whether an outcome is a reason to send less: a breaker or a
// limit counts it, or it is their refusal.
func strains(c policy.Class) bool { return isBusy(c) || c.IsFault() }

// isBusy reports whether an outcome says not to ask again now.
func isBusy(c policy.Class) bool {
	switch c {
	case policy.RateLimited, policy.QuotaExceeded, policy.Overloaded, policy.Refused, policy.TimedOut:
		return true
	}
	return false
}
