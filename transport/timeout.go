package transport

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// Timeout returns a layer that bounds the time of each exchange that passes it:
// to the first byte, between the bytes of the body, and in total. Above [Retry]
// it bounds the call with all its attempts, below it one attempt. An exchange
// that takes too long ends in a [*policy.TimeoutError], before the header as the
// error of the round trip, after it as the error of the body. Silence on a
// connection that was upgraded with a 101 is not bounded.
//
// It panics if the settings are not valid.
func Timeout(cfg policy.Timeout) Layer {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	if cfg.Total > 0 { // a limit that cannot come first only blurs which it was
		if cfg.FirstByte >= cfg.Total {
			cfg.FirstByte = -1
		}
		if cfg.Idle >= cfg.Total {
			cfg.Idle = -1
		}
	}
	limits := &limits{
		cfg:       cfg,
		total:     &policy.TimeoutError{Scope: cfg.Scope, Phase: "exchange", Limit: cfg.Total},
		firstByte: &policy.TimeoutError{Scope: cfg.Scope, Phase: "first byte", Limit: cfg.FirstByte},
		idle:      &policy.TimeoutError{Scope: cfg.Scope, Phase: "idle", Limit: cfg.Idle},
	}
	return func(next http.RoundTripper) http.RoundTripper {
		if cfg.Off {
			return next
		}
		return &timeout{limits: limits, next: next}
	}
}

// limits are the settings and the errors of their violation, which hold nothing
// of a single request and are shared by all.
type limits struct {
	cfg                    policy.Timeout
	total, firstByte, idle *policy.TimeoutError
}

type timeout struct {
	*limits
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (t *timeout) CloseIdleConnections() { closeIdle(t.next) }

func (t *timeout) RoundTrip(req *http.Request) (*http.Response, error) {
	x := t.begin(req)
	passed := false
	defer func() {
		if !passed { // a panic below
			x.end()
		}
	}()
	resp, err := body.Send(t.next, &x.req)
	passed = true
	x.stopTimer()
	if err != nil {
		err = x.named(err)
		x.end()
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The connection is the caller's now, and silence on it is no fault.
		x.room.Watch(resp, body.EndFunc(func(error) { x.end() }))
	} else {
		x.room.Watch(resp, x)
	}
	return resp, nil
}

// begin starts the clocks of an exchange.
func (t *timeout) begin(req *http.Request) *exchange {
	x := &exchange{limits: t.limits}
	ctx := req.Context()
	if t.cfg.Total > 0 {
		ctx, x.stop = context.WithTimeoutCause(ctx, t.cfg.Total, t.total)
	}
	if t.cfg.FirstByte > 0 || t.cfg.Idle > 0 {
		ctx, x.cancel = context.WithCancelCause(ctx)
		x.newTimer()
	}
	x.ctx = ctx
	x.req = *req.WithContext(ctx) // a copy that is inlined, and so not made twice
	return x
}

// An exchange is one request with its response and body.
type exchange struct {
	*limits
	ctx    context.Context
	stop   context.CancelFunc      // of the total limit, or nil
	cancel context.CancelCauseFunc // of the other limits, or nil

	timer *time.Timer                         // of the limit that counts now, or nil without one
	limit atomic.Pointer[policy.TimeoutError] // the one that timer enforces

	req  http.Request // the one that is sent
	room body.Room
}

// newTimer makes the timer here, not where it is first needed, since a body may
// be closed while it is read.
func (x *exchange) newTimer() {
	x.limit.Store(x.firstByte)
	x.timer = time.AfterFunc(cmp.Or(max(0, x.cfg.FirstByte), x.cfg.Idle), func() { x.cancel(x.limit.Load()) })
	if x.cfg.FirstByte <= 0 {
		x.timer.Stop()
	}
}

func (x *exchange) stopTimer() {
	if x.timer != nil {
		x.timer.Stop()
	}
}

// named returns the limit that ended the exchange in place of err, which came of
// it, or err if none did.
func (x *exchange) named(err error) error {
	cause := context.Cause(x.ctx)
	if errors.Is(cause, x.total) || errors.Is(cause, x.firstByte) || errors.Is(cause, x.idle) {
		return cause
	}
	return err
}

// end frees what the exchange holds.
func (x *exchange) end() {
	x.stopTimer()
	if x.cancel != nil {
		x.cancel(nil)
	}
	if x.stop != nil {
		x.stop()
	}
}

// BodyRead implements [body.Pacer]: the idle limit counts while a read waits.
func (x *exchange) BodyRead() {
	if x.cfg.Idle > 0 {
		x.limit.Store(x.idle)
		x.timer.Reset(x.cfg.Idle)
	}
}

// BodyGot implements [body.Pacer].
func (x *exchange) BodyGot() { x.stopTimer() }

// BodyEnd implements [body.Watcher].
func (x *exchange) BodyEnd(err error) error {
	if broken(err) {
		err = x.named(err)
	}
	x.end()
	return err
}
