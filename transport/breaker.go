package transport

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// ErrOpen is matched by every error with which a [Breaker] refuses a request.
// The error is a [*policy.Refusal], which says when to come back.
var ErrOpen = errors.New("transport: circuit breaker is open")

// A Breaker refuses requests to a server that is down. While it is closed it
// counts faults; when their share reaches the ratio it opens and refuses every
// request at once, without asking the server; after a while it lets some probes
// through, and closes when they end well.
//
// A request's outcome counts at the end of its body: a body that is cut short is
// a fault. Outcomes of requests that began before the last change of state count
// for nothing.
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
	return &Breaker{cfg: cfg, machine: newMachine(cfg)}
}

// State returns the state. An open breaker whose time is up counts as half open.
func (b *Breaker) State() policy.BreakerState { return b.machine.current(time.Now()) }

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
func (b *breaker) CloseIdleConnections() { closeIdle(b.next) }

func (b *breaker) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	permit, change, refusal := b.machine.acquire(time.Now())
	if refusal != nil {
		body.CloseRequest(req)
		b.announce(ctx, change)
		telemetry.FromContext(ctx).Refused(ctx, refusal)
		return nil, refusal
	}
	pass := &passage{breaker: b.Breaker, ctx: ctx, permit: permit}
	done := false
	defer func() {
		if !done { // a panic below, or in OnTransition
			pass.settle(policy.Verdict{Class: policy.Canceled})
			body.CloseRequest(req)
		}
	}()
	b.announce(ctx, change)
	resp, err := b.next.RoundTrip(req)
	done = true
	pass.verdict = telemetry.Judge(req, resp, err, b.cfg.Classify)
	if err != nil || pass.verdict.Class.IsFault() {
		pass.settle(pass.verdict)
		return resp, err
	}
	body.Watch(resp, pass)
	return resp, nil
}

// announce tells about a change of state, outside the lock.
func (b *Breaker) announce(ctx context.Context, change *policy.Transition) {
	if change == nil {
		return
	}
	telemetry.FromContext(ctx).Changed(ctx, *change)
	if b.cfg.OnTransition != nil {
		b.cfg.OnTransition(ctx, *change)
	}
}

// A passage is one request on its way through the breaker.
type passage struct {
	breaker *Breaker
	ctx     context.Context
	permit  permit
	verdict policy.Verdict // at the header
}

// BodyEnd implements [body.Watcher].
func (p *passage) BodyEnd(err error) error {
	verdict := p.verdict
	if broken(err) { // a fault even in the middle of an error page
		verdict = telemetry.JudgeBody(p.ctx, policy.Verdict{Class: policy.OK}, err)
	}
	p.settle(verdict)
	return err
}

func (p *passage) settle(v policy.Verdict) {
	p.breaker.announce(p.ctx, p.breaker.machine.settle(p.permit, v, time.Now()))
}
