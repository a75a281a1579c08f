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

// ErrLimited is matched by every error with which a [Limiter] refuses a request.
// The error is a [*policy.Refusal], which says why and, if that can be known,
// when to come back.
var ErrLimited = errors.New("transport: limit reached")

// A Limiter bounds the requests in flight and their rate. What exceeds the
// bounds waits its turn in a queue, first come first served within a priority,
// and is refused when the queue is full, when the wait cannot end before the
// request's deadline, or when it has lasted too long.
//
// A request is in flight until its body ends. A server that says 429 makes the
// limiter slower: see [policy.Limit].
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

// A LimiterState is what a [Limiter] looks like at one moment.
type LimiterState struct {
	// InFlight is how many requests are in flight, Queued how many wait.
	InFlight, Queued int

	// Bound is how many may be in flight, zero if there is no bound.
	Bound int

	// PerSecond is the rate that is let through, zero if there is no bound.
	PerSecond float64
}

// State returns what the limiter looks like now.
func (l *Limiter) State() LimiterState { return l.gate.state(time.Now()) }

// Wrap is a [Layer]. Its transport fails with [ErrLimited] if a request cannot
// be let through, or with the cause of the request's context.
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
func (l *limiter) CloseIdleConnections() { closeIdle(l.next) }

func (l *limiter) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	inFlight, err := l.gate.enter(ctx, policy.CallOf(ctx).Priority)
	if err != nil {
		body.CloseRequest(req)
		if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
			telemetry.FromContext(ctx).Refused(ctx, refusal)
		}
		return nil, err
	}
	stay := &stay{limiter: l.Limiter, ctx: ctx, began: time.Now(), inFlight: inFlight}
	done := false
	defer func() {
		if !done { // a panic below
			l.gate.leave()
			body.CloseRequest(req)
		}
	}()
	resp, err := l.next.RoundTrip(req)
	done = true
	verdict := telemetry.Judge(req, resp, err, l.cfg.Classify)
	stay.learn(verdict)
	if err != nil {
		l.gate.leave()
		return nil, err
	}
	stay.answered = verdict.Class == policy.OK
	body.Watch(resp, stay)
	return resp, nil
}

// A stay is one request between entering and leaving the gate.
type stay struct {
	limiter  *Limiter
	ctx      context.Context
	began    time.Time
	inFlight int  // when it entered
	answered bool // the header came and was good
}

// learn tells the gate what the header, or the error, came to.
func (s *stay) learn(v policy.Verdict) {
	s.limiter.gate.learn(v, s.began, time.Now(), s.inFlight)
}

// BodyEnd implements [body.Watcher].
func (s *stay) BodyEnd(err error) error {
	if s.answered && broken(err) {
		if v := telemetry.JudgeBody(s.ctx, policy.Verdict{Class: policy.OK}, err); v.Class == policy.TimedOut {
			s.learn(v)
		}
	}
	s.limiter.gate.leave()
	return err
}
