package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// ErrThrottled is matched by every error with which a [Throttle] refuses a
// request. The error is a [*policy.Refusal] whose Reason is "throttled". It has no
// RetryAt, since the next request may have better luck.
var ErrThrottled = errors.New("transport: throttled")

// A Throttle refuses a growing share of the requests to a server that turns many
// of them away, so that the server can spend on the others what it costs to say
// no. Which of them, chance decides, whatever their priority: see
// [policy.Throttle].
//
// A rejection counts at once, what else a request comes to at the end of its body:
// one that stalls is a rejection, too. A connection that is upgraded with a 101 is
// accepted at once.
//
// One Throttle is the state of one server, shared by every transport it wraps. It
// is safe for concurrent use.
type Throttle struct {
	cfg  policy.Throttle
	load *load
}

// NewThrottle returns a Throttle that refuses nothing yet. It panics if the
// settings are not valid.
func NewThrottle(cfg policy.Throttle) *Throttle {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	return &Throttle{cfg: cfg, load: newLoad(cfg)}
}

// With returns a Throttle of other settings for the same server. What was counted is
// kept, unless another Window counts. From now on the share is that of the new
// settings, also of requests that go through the earlier Throttle, which must no
// longer be used. It panics if the settings are not valid.
func (t *Throttle) With(cfg policy.Throttle) *Throttle {
	other := NewThrottle(cfg)
	other.load = t.load
	other.takeOver()
	return other
}

// takeOver makes the settings those that count.
func (t *Throttle) takeOver() { t.load.change(t.cfg, time.Now()) }

// Refusing returns the share of requests that is refused now, 0 to
// [policy.Throttle.MaxRefused].
func (t *Throttle) Refusing() float64 { return t.load.excess(time.Now()) }

// Wrap is a [Layer]. Its transport fails with [ErrThrottled] if a request is
// refused.
func (t *Throttle) Wrap(next http.RoundTripper) http.RoundTripper {
	if t.cfg.Off {
		return next
	}
	return &throttle{Throttle: t, next: next}
}

type throttle struct {
	*Throttle
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (t *throttle) CloseIdleConnections() { body.CloseIdle(t.next) }

func (t *throttle) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if excess := t.load.excess(time.Now()); excess > 0 && t.cfg.Random() < excess {
		body.CloseRequest(req)
		refusal := t.refusal()
		telemetry.FromContext(ctx).Refused(ctx, refusal)
		return nil, refusal
	}
	resp, err := body.Send(t.next, req)
	sent := &throttled{load: t.load, ctx: ctx, verdict: telemetry.Judge(req, resp, err, t.cfg.Classify)}
	switch {
	case err != nil, isRejection(sent.verdict.Class), resp.StatusCode == http.StatusSwitchingProtocols:
		sent.count(sent.verdict)
	default:
		body.Watch(resp, sent)
	}
	return resp, err
}

func (t *Throttle) refusal() *policy.Refusal {
	refusal := &policy.Refusal{Layer: "throttle", Reason: "throttled", Err: ErrThrottled}
	if t.cfg.Name != "" {
		refusal.Err = fmt.Errorf("%w: %s", ErrThrottled, t.cfg.Name)
	}
	return refusal
}

// throttled is a request that a throttle let through and whose body has not ended.
type throttled struct {
	load    *load
	ctx     context.Context
	verdict policy.Verdict // at the header
}

// BodyEnd implements [body.Watcher].
func (s *throttled) BodyEnd(err error) error {
	s.count(telemetry.JudgeBody(s.ctx, s.verdict, err))
	return err
}

// count takes the outcome. What ended because the caller had no more time says
// nothing of the server.
func (s *throttled) count(v policy.Verdict) {
	if v.Class == policy.TimedOut && s.ctx.Err() != nil {
		return
	}
	s.load.count(v.Class, time.Now())
}
