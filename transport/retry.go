package transport

import (
	"context"
	"math/rand/v2"
	"mime"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// Retry returns a layer that repeats attempts which failed in a way that may
// pass, as far as the request may be repeated (see [policy.Retry]), its body can
// be replayed through [http.Request.GetBody], the time allows it and the budget
// has a token. Otherwise the caller gets the last real answer, at once.
//
// A request body without GetBody is sent once, straight from the caller.
//
// All transports that the layer wraps share its budget. It panics if the
// settings are not valid.
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
		return &retry{cfg: cfg, next: next}
	}
}

type retry struct {
	cfg  policy.Retry
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (r *retry) CloseIdleConnections() { closeIdle(r.next) }

func (r *retry) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var kept *http.Response // the last real answer, should no other come
	attempt := req
	for n := 1; ; n++ {
		resp, err := r.try(attempt)
		verdict := r.judge(req, resp, err)
		if verdict.Class == policy.OK {
			r.succeeded(resp)
			return resp, nil
		}
		wait, ok := r.plan(req, verdict, n)
		if ok {
			attempt, ok = r.replay(req)
		}
		if !ok {
			return lastAnswer(resp, err, kept, verdict)
		}
		due := time.Now().Add(wait) // the discarding is part of the wait
		if resp != nil && r.discard(ctx, resp) {
			kept = resp
		}
		telemetry.FromContext(ctx).Waits(ctx, wait, verdict.Class)
		if err := sleep(ctx, time.Until(due)); err != nil {
			r.cfg.Bucket.Refund()
			body.CloseRequest(attempt)
			return nil, err
		}
	}
}

// try makes one attempt. If there is a panic below, it closes the body that
// nobody else may have closed.
func (r *retry) try(req *http.Request) (*http.Response, error) {
	done := false
	defer func() {
		if !done {
			body.CloseRequest(req)
		}
	}()
	resp, err := r.next.RoundTrip(req)
	done = true
	return resp, err
}

// judge returns the verdict on an attempt. A small answer is read to its end
// first, so that one that was cut short counts as such.
func (r *retry) judge(req *http.Request, resp *http.Response, err error) policy.Verdict {
	verdict := telemetry.Judge(req, resp, err, r.cfg.Classify)
	if verdict.Class != policy.OK || !r.buffers(req, resp) {
		return verdict
	}
	if body.Buffer(resp, r.cfg.BufferBytes) != nil {
		return telemetry.Judge(req, resp, nil, r.cfg.Classify)
	}
	return verdict
}

// buffers reports whether the body of resp is read before it is handed on.
func (r *retry) buffers(req *http.Request, resp *http.Response) bool {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.ContentLength > r.cfg.BufferBytes || r.cfg.BufferBytes <= 0 {
		return false
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType == "text/event-stream" {
		return false
	}
	return resp.ContentLength >= 0 || policy.CallOf(req.Context()).Replayable
}

// succeeded pays into the budget, and takes it back if the body breaks.
func (r *retry) succeeded(resp *http.Response) {
	r.cfg.Bucket.Deposit()
	body.Watch(resp, deposit{r.cfg.Bucket})
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

// plan decides whether attempt n, which ended in v, is followed by another, and
// after what wait. If so, it has reserved a token of the budget.
func (r *retry) plan(req *http.Request, v policy.Verdict, n int) (time.Duration, bool) {
	ctx := req.Context()
	if v.Again != policy.Anywhere || ctx.Err() != nil {
		return 0, false
	}
	now := time.Now()
	wait, acceptable := r.cfg.Delay(v, n, r.cfg.Random())
	deadline, hasDeadline := ctx.Deadline()
	var reason string
	switch {
	case n >= r.cfg.Attempts:
		reason = telemetry.NoneLeft
	case !mayRepeat(req, v):
		reason = telemetry.NotSafe
	case !replayable(req):
		reason = telemetry.NoReplay
	case !acceptable:
		reason = telemetry.NoPatience
	case hasDeadline && !now.Add(wait).Before(deadline):
		reason = telemetry.NoTime
	case !r.cfg.Bucket.Reserve(now):
		reason = telemetry.NoBudget
	default:
		return wait, true
	}
	var retryAt time.Time
	if v.Wait > 0 {
		retryAt = now.Add(v.Wait)
	}
	telemetry.FromContext(ctx).Stopped(reason, retryAt)
	return 0, false
}

// mayRepeat reports whether a request that ended in v may be sent again: it was
// not processed, or processing it twice does no harm.
func mayRepeat(req *http.Request, v policy.Verdict) bool {
	if v.Executed == policy.NotExecuted || policy.CallOf(req.Context()).Replayable {
		return true
	}
	switch req.Method { // RFC 9110 section 9.2.2
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	// net/http knows these two names, with or without a value.
	_, key := req.Header["Idempotency-Key"]
	_, xKey := req.Header["X-Idempotency-Key"]
	return key || xKey
}

// discard ends a response, so that its connection can be used again, and reports
// whether it came whole: then it holds its body itself and can still be handed on.
func (r *retry) discard(ctx context.Context, resp *http.Response) bool {
	whole, ok := body.Drain(ctx, resp, r.cfg.DrainBytes, r.cfg.DrainTime)
	if ok {
		resp.Body = body.Bytes(whole)
	}
	return ok
}

// lastAnswer returns what the caller gets in the end: the outcome of the last
// attempt, or an earlier real answer if that was none.
func lastAnswer(resp *http.Response, err error, kept *http.Response, v policy.Verdict) (*http.Response, error) {
	if err != nil && kept != nil && v.Class != policy.Canceled {
		return kept, nil
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
