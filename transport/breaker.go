package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// ErrOpen is matched by every error with which a [Breaker] refuses a request.
// The error is a [*policy.Refusal], which says when to come back. The requests that
// are refused share it, so it must not be changed.
var ErrOpen = errors.New("transport: circuit breaker is open")

// A Breaker refuses requests to a server that is down. While it is closed it
// counts faults and, if wanted, slow calls; when their share reaches the ratio it
// opens and refuses every request at once, without asking the server; after a
// while it lets some probes through, and closes when they end well.
//
// A request's outcome counts at the end of its body: a body that is cut short is
// a fault. A connection that is upgraded with a 101 counts at once. Outcomes of
// requests that began before the last change of state count for nothing.
//
// One Breaker is the state of one server, shared by every transport it wraps. It
// is safe for concurrent use.
type Breaker struct {
	cfg     policy.Breaker
	machine *machine
}

// NewBreaker returns a closed Breaker. It panics if the settings are not valid.
func NewBreaker(cfg policy.Breaker) *Breaker {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	return &Breaker{cfg: cfg, machine: newMachine(cfg)}
}

// With returns a Breaker of other settings for the same server: the two have one
// state, and what was counted is kept, unless the new settings count within another
// window. From now on that state changes by the new settings, also where requests
// go through the earlier Breaker, which must no longer be used. It panics if the
// settings are not valid.
func (b *Breaker) With(cfg policy.Breaker) *Breaker {
	other := NewBreaker(cfg)
	other.machine = b.machine
	other.takeOver()
	return other
}

// takeOver makes the settings those by which the state changes.
func (b *Breaker) takeOver() { b.machine.change(b.cfg, time.Now()) }

// State returns the state. An open or isolated breaker whose time is up counts as
// half open.
func (b *Breaker) State() policy.BreakerState { return b.Snapshot().State }

// Snapshot returns what the breaker looks like now. To look changes nothing: what
// the passing of time brings about is announced by the next request.
func (b *Breaker) Snapshot() policy.BreakerSnapshot { return b.machine.snapshot(time.Now()) }

// Wrap is a [Layer]. Its transport fails with [ErrOpen] while the breaker is
// open.
func (b *Breaker) Wrap(next http.RoundTripper) http.RoundTripper {
	if b.cfg.Off {
		return next
	}
	return &breaker{Breaker: b, next: next}
}

type breaker struct {
	*Breaker
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (b *breaker) CloseIdleConnections() { body.CloseIdle(b.next) }

func (b *breaker) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var news []policy.Transition
	permit, ok := b.machine.pass()
	if !ok {
		var refusal *policy.Refusal
		permit, news, refusal = b.machine.acquire(time.Now())
		if refusal != nil {
			b.turnAway(req, news, refusal)
			return nil, refusal
		}
	}
	pass := &passage{breaker: b.Breaker, ctx: ctx, permit: permit}
	var resp *http.Response
	done := false
	defer func() {
		if done {
			return
		}
		body.CloseRequest(req) // after a panic below, in Classify or in OnTransition
		if resp != nil {
			_ = resp.Body.Close() // nobody gets it
		}
		pass.settle(policy.Verdict{Class: policy.Canceled})
	}()
	b.announce(ctx, news)
	pass.begin()
	resp, err := body.Send(b.next, withUpload(req))
	pass.answered(resp, err, telemetry.Judge(req, resp, err, b.cfg.Classify))
	done = true
	return resp, err
}

// turnAway ends a request that is refused, and tells about it.
func (b *breaker) turnAway(req *http.Request, news []policy.Transition, refusal *policy.Refusal) {
	body.CloseRequest(req)
	ctx := req.Context()
	b.announce(ctx, news)
	telemetry.FromContext(ctx).Refused(ctx, refusal)
}

// announce tells about changes of state, outside the lock.
func (b *Breaker) announce(ctx context.Context, news []policy.Transition) {
	for _, tr := range news {
		telemetry.FromContext(ctx).Changed(ctx, tr)
		if b.cfg.OnTransition != nil {
			b.cfg.OnTransition(ctx, tr)
		}
	}
}
