package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// Config configures [ObserveCall] and [ObserveAttempt]. Its zero value is ready to use.
type Config struct {
	// Function names the function in spans, metrics and errors, for requests
	// that carry no [policy.Call]. May be "".
	Function string

	// Logger gets the records. Nil means none.
	Logger *slog.Logger

	// Classify decides what an outcome means. Nil means [policy.Classify].
	Classify policy.Classifier

	// Endpoint names the endpoint that an attempt goes to, for [ObserveAttempt]. May
	// be "", and should be where there is only one.
	Endpoint string

	// Probe says that the requests ask whether an endpoint is back, and are part of no
	// call.
	Probe bool

	// Traceparent says that attempts carry traceparent and tracestate, by which the
	// service can tell what trace they are part of. Baggage is never sent.
	Traceparent bool

	// RequestDuration has attempts recorded as http.client.request.duration, too, by
	// OpenTelemetry's conventions for HTTP clients. It is for programs in which nothing
	// else records that, such as otelhttp: requests would be counted twice.
	RequestDuration bool

	// Activity counts the calls of all layers that share it. Nil means one of its own.
	Activity *Activity

	// Events gets what an operator should know of. Nil means that nobody does.
	Events *Events
}

// ObserveCall returns the outermost layer of a stack. It makes the trail, or takes the
// one that the caller made with [NewContext]; it starts a span and records the
// duration, both of which last until the body of the response ends. An error
// leaves it as a [*policy.Error] with the original inside. A response's request
// carries the trail, so that [TrailOf] finds it.
func ObserveCall(cfg Config) func(http.RoundTripper) http.RoundTripper {
	recorder := newRecorder(cfg)
	if cfg.Activity == nil {
		cfg.Activity = new(Activity)
	}
	return func(next http.RoundTripper) http.RoundTripper {
		return &callLayer{cfg: cfg, recorder: recorder, activity: cfg.Activity, next: next}
	}
}

type callLayer struct {
	cfg      Config
	recorder *recorder
	activity *Activity
	next     http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (l *callLayer) CloseIdleConnections() { body.CloseIdle(l.next) }

func (l *callLayer) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, trail := l.claim(req.Context())
	call := &call{layer: l, trail: trail}
	done := false
	defer func() {
		switch {
		case done:
		case call.span == nil: // a panic in a sampler, say: nobody below has the request
			body.CloseRequest(req)
			l.recorder.over(ctx, call.counted)
		default: // a panic below, or in Classify
			trail.unanswered()
			call.end(policy.Unknown, nil)
		}
	}()
	call.counted = l.recorder.began(ctx, trail.function)
	ctx, call.span = l.recorder.startCall(ctx, trail.start, trail.function)
	call.req = *req.WithContext(ctx) // is inlined, so that the only copy is the one in call
	resp, err := body.Send(l.next, &call.req)
	if err != nil {
		err = call.fail(err)
		done = true
		return nil, err
	}
	call.answered(resp)
	done = true
	return resp, nil
}

// claim returns the trail in ctx if no other call has it, else a new one.
func (l *callLayer) claim(ctx context.Context) (context.Context, *Trail) {
	trail := FromContext(ctx)
	if trail == nil || !trail.claimed.CompareAndSwap(false, true) {
		ctx, trail = NewContext(ctx)
		trail.claimed.Store(true)
	}
	trail.mu.Lock()
	defer trail.mu.Unlock()
	trail.recorder.Store(l.recorder)
	trail.attempts, trail.judged = trail.attemptRoom[:0], trail.judgedRoom[:0]
	trail.start = time.Now()
	trail.function = policy.CallOf(ctx).Function
	if trail.function == "" {
		trail.function = l.cfg.Function
	}
	return ctx, trail
}

// A call is one pass through the layer. Its trail does not point to it, so that whoever
// keeps the trail does not keep the request with it.
type call struct {
	layer   *callLayer
	trail   *Trail
	req     http.Request // the one that is sent, with the trail and the span
	span    trace.Span
	counted *set         // what it counts under among those under way; nil if it does not
	class   policy.Class // at the header
	ended   bool
}

// fail ends the call with an error.
func (c *call) fail(err error) error {
	v := Judge(&c.req, nil, err, c.layer.cfg.Classify)
	c.trail.unanswered()
	c.end(v.Class, err)
	if _, ok := err.(*policy.Error); ok { //nolint:errorlint // one further in is part of another error
		return err
	}
	retryAt := c.trail.RetryAt()
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok && !refusal.RetryAt.IsZero() {
		retryAt = refusal.RetryAt
	}
	return &policy.Error{
		Function: c.trail.Function(),
		Verdict:  v,
		Attempts: c.trail.AttemptCount(),
		RetryAt:  retryAt,
		Err:      err,
	}
}

// unanswered says that the call failed, whatever was said of an answer below.
func (t *Trail) unanswered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unansweredLocked(nil)
}

// answered takes note of a response. The call lasts until its body ends.
func (c *call) answered(resp *http.Response) {
	inner := TrailOf(resp)
	if inner != c.trail {
		resp.Request = &c.req
	}
	c.class = Judge(&c.req, resp, nil, c.layer.cfg.Classify).Class
	if c.trail.Answer().Source == "" {
		c.settleAnswer(resp, inner)
	}
	c.trail.settle()
	body.Watch(resp, c)
}

// settle says that the caller gets the answer as it was told. The request may go on
// behind him, as when he got an old answer for want of patience.
func (t *Trail) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled = true
}

// settleAnswer says where an answer came from about which no layer of this stack
// said anything: from the stack below, if there is one, else from the service.
func (c *call) settleAnswer(resp *http.Response, inner *Trail) {
	if below := inner.Answer(); below.Source != "" && below.Source != Live {
		c.trail.Answered(c.req.Context(), below)
		return
	}
	delete(resp.Header, HeaderName)
	if c.class == policy.OK {
		c.trail.Answered(c.req.Context(), Answer{Source: Live})
	}
}

// BodyEnd implements [body.Watcher].
func (c *call) BodyEnd(err error) error {
	c.end(JudgeBody(c.req.Context(), policy.Verdict{Class: c.class}, err).Class, err)
	return err
}

// end closes the span and records the duration. Err is what ended the call, nil if that
// was its answer. A call whose end makes a logger panic has ended all the same.
func (c *call) end(class policy.Class, err error) {
	if c.ended {
		return
	}
	c.ended = true
	ctx := c.req.Context()
	defer c.span.End()
	defer c.layer.recorder.over(ctx, c.counted)
	end := c.trail.finish()
	function, source, duration := end.function, end.answer.Source, end.duration
	failure := errorType(ctx, 0, class, err, end.reason)
	failed := failure != ""
	c.layer.activity.ended(end.at, outcomeOf(source, failed, class == policy.Canceled), duration)
	if lasts(class) {
		c.layer.cfg.Events.Failed(function, class)
	}
	if end.answer.Degraded() && !failed { // now it is known that this was the last word, and came whole
		c.layer.recorder.fallback(ctx, function, end.answer)
	}
	c.layer.recorder.called(ctx, function, duration, end.waited, source, failure, class)
	if c.span.IsRecording() {
		c.describe(end.answer, failure)
	}
}

func (c *call) describe(answer Answer, failure string) {
	attributes := []attribute.KeyValue{keyAttempts.Int(c.trail.AttemptCount())}
	set := func(key attribute.Key, value string) {
		if value != "" {
			attributes = append(attributes, key.String(value))
		}
	}
	set(keyFunction, c.trail.Function())
	set(keyModel, policy.CallOf(c.req.Context()).Model)
	set(keySource, string(answer.Source))
	attributes = append(attributes, answer.attributes()...)
	set(keyResult, c.trail.lookup())
	set(keyReason, c.trail.lastReason())
	if answer.Degraded() {
		set(keyCause, classText(answer.Cause))
	}
	if failure != "" {
		set(keyErrorType, failure)
		c.span.SetStatus(codes.Error, "")
	}
	c.span.SetAttributes(attributes...)
}

// An ending is what the records of a call that has ended are about.
type ending struct {
	at               time.Time // as the clock is then, which may have been set since the call began
	function         string
	answer           Answer
	duration, waited time.Duration
	reason           string // of the last refusal
}

// finish ends the call and returns what is to be recorded of it. Its duration is set
// the first time.
func (t *Trail) finish() ending {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.duration == 0 {
		t.duration = now.Sub(t.start)
	}
	t.ended = true
	t.judged = nil // they hold responses and their requests
	t.judgedRoom = [1]judgement{}
	t.stopWaitsLocked(now)
	met := t.troubleLocked()
	return ending{now, t.function, t.answer, t.duration, met.waited, met.reason}
}
