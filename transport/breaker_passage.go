package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// A passage is one request on its way through the breaker.
type passage struct {
	breaker *Breaker
	ctx     context.Context
	permit  permit
	wait    time.Duration // that the server asked for

	// waiting is since when the caller waits for the server. It is kept only if
	// somebody will ask.
	waiting time.Time
	limited bool         // the caller has a deadline
	class   policy.Class // at the header
	slow    bool
}

// begin starts the clock.
func (p *passage) begin() {
	_, p.limited = p.ctx.Deadline()
	if p.limited || p.breaker.cfg.SlowCall > 0 {
		p.waiting = time.Now()
	}
}

// answered takes the verdict on the response or the error. The passage ends here,
// unless there is a body to wait for.
func (p *passage) answered(resp *http.Response, err error, v policy.Verdict) {
	p.class, p.wait = v.Class, v.Wait
	if slow := p.breaker.cfg.SlowCall; slow > 0 {
		p.slow = time.Since(p.waiting) >= slow
	}
	switch {
	case err != nil:
		p.settle(p.tempered(v))
	case v.Class.IsFault(), resp.StatusCode == http.StatusSwitchingProtocols:
		p.settle(v)
	case p.permit.lease != 0:
		body.Watch(resp, probing{impatient{p}})
	case p.limited:
		body.Watch(resp, impatient{p})
	default:
		body.Watch(resp, p)
	}
}

// BodyEnd implements [body.Watcher].
func (p *passage) BodyEnd(err error) error {
	verdict := policy.Verdict{Class: p.class, Wait: p.wait}
	if broken(err) { // a fault even in the middle of an error page
		verdict = p.tempered(telemetry.JudgeBody(p.ctx, policy.Verdict{Class: policy.OK}, err))
	}
	p.settle(verdict)
	return err
}

// tempered returns v, the verdict on an error, or, if the caller's own deadline
// came too early to tell anything, that of a caller who gave up.
func (p *passage) tempered(v policy.Verdict) policy.Verdict {
	if !p.limited || !v.Class.IsFault() || p.ctx.Err() == nil {
		return v
	}
	if patience := p.breaker.cfg.Patience; patience >= 0 && time.Since(p.waiting) >= patience {
		return v
	}
	return policy.Verdict{Class: policy.Canceled}
}

func (p *passage) settle(v policy.Verdict) {
	p.breaker.announce(p.ctx, p.breaker.machine.settle(p.permit, v, p.slow, time.Now()))
}

// impatient is the passage of a caller with a deadline, who also waits for each
// part of the body.
type impatient struct{ *passage }

// BodyRead implements [body.Pacer].
func (p impatient) BodyRead(now time.Time) { p.waiting = now }

// BodyGot implements [body.Pacer].
func (p impatient) BodyGot() {}

// probing is the passage of a probe, which shows that it does not hang whenever its
// reader comes for more.
type probing struct{ impatient }

// BodyRead implements [body.Pacer].
func (p probing) BodyRead(now time.Time) {
	p.impatient.BodyRead(now)
	p.breaker.announce(p.ctx, p.breaker.machine.probeContinues(p.permit, policy.Verdict{Class: p.class, Wait: p.wait}, p.slow, now))
}
