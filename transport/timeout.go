package transport

import (
	"math"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// Timeout returns a layer that bounds the time of each exchange that passes it:
// to the first byte, between the bytes of the body, and in total. Above [Retry]
// it bounds the call with all its attempts, below it one attempt. An exchange
// that takes too long ends in a [*policy.TimeoutError], before the header as the
// error of the round trip, after it as the error of the body. A [*policy.Refusal]
// of a layer below stays one, as the request was not sent. No limit counts for a
// connection that was upgraded with a 101: it is the caller's, for as long as he likes.
//
// A request whose own deadline comes before any of the limits could passes as it
// is: the deadline ends it, under the caller's name.
//
// It panics if the settings are not valid.
func Timeout(cfg policy.Timeout) Layer { return newLimits(cfg).within(nil) }

// timeouts returns the layers that bound a call and, somewhere below, each of its
// attempts, as the attempt's one clock can serve for both. The layers between
// must hand on the call's context as it is, but for values. A total that is not
// positive is no bound.
func timeouts(total time.Duration, attempt policy.Timeout) (outer, inner Layer) {
	if total <= 0 {
		return nil, Timeout(attempt)
	}
	call := newLimits(policy.Timeout{Scope: "total", Total: total, FirstByte: -1, Idle: -1})
	return call.within(nil), newLimits(attempt).within(call)
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// limits are the settings and the errors of their violation, which hold nothing
// of a single request and are shared by all.
type limits struct {
	cfg                    policy.Timeout
	total, firstByte, idle *policy.TimeoutError // nil for no bound
	shortest               time.Duration        // of the three, or never
}

func newLimits(cfg policy.Timeout) *limits {
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
	l := &limits{cfg: cfg, shortest: never}
	l.total = l.limit("exchange", cfg.Total)
	l.firstByte = l.limit("first byte", cfg.FirstByte)
	l.idle = l.limit("idle", cfg.Idle)
	return l
}

func (l *limits) limit(phase string, limit time.Duration) *policy.TimeoutError {
	if limit <= 0 {
		return nil
	}
	l.shortest = min(l.shortest, limit)
	return &policy.TimeoutError{Scope: l.cfg.Scope, Phase: phase, Limit: limit}
}

// within returns the layer with these limits. Where it finds itself in an
// exchange of call, it keeps that one's total, too.
func (l *limits) within(call *limits) Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		if l.cfg.Off {
			return next
		}
		return &timeout{limits: l, call: call, next: next}
	}
}

type timeout struct {
	*limits
	call *limits // of the layer above whose total this one can keep, or nil
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (t *timeout) CloseIdleConnections() { body.CloseIdle(t.next) }

func (t *timeout) RoundTrip(req *http.Request) (*http.Response, error) {
	x, room := t.begin(req)
	if x == nil {
		return body.Send(t.next, req)
	}
	passed := false
	defer func() {
		if !passed { // a panic below
			x.end()
		}
	}()
	resp, err := body.Send(t.next, &x.req)
	passed = true
	if err != nil {
		err = x.named(err)
		x.end()
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		x.lift()
		room.Watch(resp, (*unpaced)(x))
	case x.idle == nil:
		x.quiet()
		room.Watch(resp, (*unpaced)(x))
	default:
		x.quiet()
		room.Watch(resp, x)
	}
	return resp, nil
}

// begin starts the clock of an exchange and returns it, with the room that there is
// for what comes around the body. The exchange is nil if no limit can come before
// the deadline that the request has anyway.
func (t *timeout) begin(req *http.Request) (*exchange, *body.Room) {
	if t.shortest == never {
		return nil, nil
	}
	ctx, now := req.Context(), time.Now()
	deadline, ok := ctx.Deadline()
	if ok && !deadline.After(now.Add(t.shortest)) && !policy.DeadlineMoves(ctx) {
		return nil, nil
	}
	x, room := t.newExchange()
	x.limits, x.ctx, x.source = t.limits, ctx, ctx
	x.start = now
	x.wholeBy, x.current = never, t.firstByte
	if t.total != nil {
		if !ok || now.Add(t.cfg.Total).Before(deadline) || policy.DeadlineMoves(ctx) {
			x.whole, x.wholeBy = t.total, t.cfg.Total
		}
	}
	if t.call != nil {
		if call, ok := ctx.Value(t.call).(*exchange); ok {
			call.lend(x)
		}
	}
	x.req = *req.WithContext(x) // a copy that is inlined, and so not made twice
	return x, room
}

// newExchange returns memory for an exchange and its body. One that bounds the
// total alone is mostly around others, who have wrapped the body by then: it has
// no room of its own.
func (t *timeout) newExchange() (*exchange, *body.Room) {
	if t.idle == nil {
		return new(exchange), nil
	}
	both := new(struct {
		exchange
		room body.Room
	})
	return &both.exchange, &both.room
}
