package transport

import (
	"errors"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// ErrLimited is matched by every error with which a [Limiter] refuses a request.
// The error is a [*policy.Refusal]. Its Reason is one of
//
//	concurrency_limit  too many are in flight, and there is no queue
//	rate_limit         the rate is used up for longer than a request may wait
//	deadline           the wait cannot end before the request's deadline, or did not
//	queue_full         too many wait already
//	queue_timeout      it has waited for as long as it may
//
// and its RetryAt is set if the rate tells when to come back.
var ErrLimited = errors.New("transport: limit reached")

// A Limiter bounds the requests in flight and their rate. What exceeds the
// bounds waits its turn in a queue, first come first served within a priority,
// and is refused when the queue is full, when the wait cannot end before the
// request's deadline, or when it has lasted too long.
//
// A request is in flight until its body ends. A server that says 429 makes the
// limiter slower: see [policy.Limit].
//
// Where answers tell what is left of the server's own rate limit ([policy.Quotas]),
// the limiter keeps to that, too, with or without a rate of its own: it spreads what
// is left the thinner the less it is, and when nothing is left it lets nobody
// through until some is back, for a minute at most before it tries again. Requests wait
// for that in the queue. Limits on something other than requests, such as tokens, count
// only once they are used up.
//
// One Limiter is one set of bounds, shared by every transport it wraps. It is
// safe for concurrent use.
type Limiter struct {
	cfg  policy.Limit
	gate *gate
}

// NewLimiter returns a Limiter. It panics if the settings are not valid.
func NewLimiter(cfg policy.Limit) *Limiter {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	return &Limiter{cfg: cfg, gate: newGate(cfg)}
}

// With returns a Limiter of other settings with the same requests in flight and in
// its queue. What was learnt of the server is kept, and the tokens of the rate, as
// many as the new burst allows. From now on these bounds hold, also for requests
// that go through the earlier Limiter, which must no longer be used. It panics if the
// settings are not valid.
func (l *Limiter) With(cfg policy.Limit) *Limiter {
	other := NewLimiter(cfg)
	other.gate = l.gate
	other.takeOver()
	return other
}

// takeOver makes the settings those that hold.
func (l *Limiter) takeOver() { l.gate.change(l.cfg, time.Now()) }

// A LimiterState is what a [Limiter] looks like at one moment.
type LimiterState struct {
	// InFlight is how many requests are in flight, Queued how many wait.
	InFlight, Queued int

	// Bound is how many may be in flight now, zero if there is no bound. It may
	// be less than InFlight when it has just fallen.
	Bound int

	// PerSecond is the rate that is let through now, zero if there is no bound. It
	// is less than was set after the server said 429, and says nothing of a pause
	// that it asked for.
	PerSecond float64
}

// State returns what the limiter looks like now.
func (l *Limiter) State() LimiterState { return l.gate.state(time.Now()) }

// Wrap is a [Layer]. Its transport fails with [ErrLimited] if a request cannot
// be let through, or with the cause of the request's context if the caller gave
// up waiting.
func (l *Limiter) Wrap(next http.RoundTripper) http.RoundTripper {
	if l.cfg.Off {
		return next
	}
	return &limiter{Limiter: l, next: next}
}

type limiter struct {
	*Limiter
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (l *limiter) CloseIdleConnections() { body.CloseIdle(l.next) }

func (l *limiter) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	in, err := l.gate.enter(ctx, policy.CallOf(ctx).Priority)
	if err != nil {
		body.CloseRequest(req)
		if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
			telemetry.FromContext(ctx).Refused(ctx, refusal)
		}
		return nil, err
	}
	if in.waited > 0 {
		telemetry.FromContext(ctx).Queued(ctx, in.waited)
	}
	inside := true
	defer func() {
		if inside { // it failed, or there was a panic
			l.gate.leave()
		}
	}()
	resp, err := body.Send(l.next, req)
	now := time.Now()
	usedUp := err == nil && l.gate.observe(resp.Header, in, now)
	if adapts := l.cfg.InFlight == 0; adapts || l.cfg.PerSecond > 0 {
		v := telemetry.Judge(req, resp, err, l.cfg.Classify)
		if adapts || v.Class == policy.RateLimited {
			l.gate.learn(v, in, usedUp, now)
		}
	}
	if err != nil {
		return nil, err
	}
	inside = false
	body.Watch(resp, l.gate)
	return resp, nil
}
