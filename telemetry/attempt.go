package telemetry

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// ObserveAttempt returns the layer around each try on the wire. It adds the attempt to
// the trail in the request's context, starts a span by the conventions for HTTP
// clients and records the duration; all three last until the body of the
// response ends, and a body that breaks changes the attempt's verdict. Without
// a trail it records nothing.
func ObserveAttempt(cfg Config) func(http.RoundTripper) http.RoundTripper {
	recorder := newRecorder(cfg)
	return func(next http.RoundTripper) http.RoundTripper {
		return &attemptLayer{cfg: cfg, recorder: recorder, next: next}
	}
}

type attemptLayer struct {
	cfg      Config
	recorder *recorder
	next     http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (l *attemptLayer) CloseIdleConnections() { body.CloseIdle(l.next) }

func (l *attemptLayer) RoundTrip(req *http.Request) (*http.Response, error) {
	trail := FromContext(req.Context())
	if l.cfg.Probe {
		var ctx context.Context
		ctx, trail = NewContext(req.Context())
		req = req.WithContext(ctx)
	}
	if trail == nil {
		return body.Send(l.next, req)
	}
	a := trail.begin(l, trail.branchOf(req.Context()))
	var target httpTarget
	done := false
	defer func() {
		switch {
		case done:
		case a.span == nil: // a panic in a sampler, say: nobody below has the request
			body.CloseRequest(req)
		default: // a panic below, or in Classify
			l.over(a, target, policy.Verdict{Class: policy.Unknown}, nil)
		}
	}()
	req = a.startSpan(req)
	target = l.recorder.requests.targetOf(req)
	resp, err := body.Send(l.next, req)
	v := Judge(req, resp, err, l.cfg.Classify)
	done = true
	if err != nil {
		l.over(a, target, v, err)
		return nil, err
	}
	trail.mu.Lock()
	a.status, a.class = resp.StatusCode, v.Class
	trail.keepFailureLocked(errorType(a.ctx, a.status, v.Class, nil, ""))
	if !trail.ended {
		a.Status, a.Verdict, a.Duration = resp.StatusCode, v, time.Since(a.Start)
	}
	trail.mu.Unlock()
	if l.recorder.requests == nil {
		body.Watch(resp, a)
	} else {
		body.Watch(resp, &countedRequest{a, target})
	}
	return resp, nil
}

// startSpan starts the attempt's span, and returns the request with it. If the
// call's span is none, for want of an SDK, so would this one be.
func (a *attempt) startSpan(req *http.Request) *http.Request {
	a.ctx = req.Context()
	parent, ofCall := trace.SpanFromContext(a.ctx), a.trail.claimed.Load()
	if ofCall && !parent.SpanContext().IsValid() {
		a.span = parent
		return req
	}
	options, told := a.layer.recorder.attemptOptions, !ofCall || parent.IsRecording()
	if told { // it will be recorded, most likely; its sampler is to see what it is about
		options = append(slices.Clip(options), trace.WithAttributes(a.requestAttributes(req)...))
	}
	a.ctx, a.span = a.layer.recorder.tracer.Start(a.ctx, attemptSpanName(method(req)), options...)
	if !a.span.SpanContext().IsValid() {
		return req
	}
	if !told && a.span.IsRecording() {
		a.span.SetAttributes(a.requestAttributes(req)...)
	}
	if !a.layer.cfg.Traceparent {
		return req.WithContext(a.ctx)
	}
	if req = req.WithContext(a.ctx); req.Header == nil {
		req.Header = http.Header{}
	} else {
		req.Header = maps.Clone(req.Header) // and not the trailer, which is set as the body is read
	}
	maps.DeleteFunc(req.Header, isTraceField) // of another trace, unless Inject sets them anew
	propagation.TraceContext{}.Inject(a.ctx, propagation.HeaderCarrier(req.Header))
	return req
}

// isTraceField reports whether a field of a request, whose name may be spelled in any way,
// is one of those that Inject sets.
func isTraceField(name string, _ []string) bool {
	return strings.EqualFold(name, "traceparent") || strings.EqualFold(name, "tracestate")
}

// attempt is an Attempt that is under way. The Attempt in it is guarded by the
// trail's lock.
type attempt struct {
	Attempt
	trail *Trail
	layer *attemptLayer
	kind  string          // what the metrics call it
	ctx   context.Context // with the span
	span  trace.Span

	status int          // as the attempt itself has it, whether or not the trail still takes it
	class  policy.Class // likewise, at the header
}

// begin adds an attempt to the trail.
func (t *Trail) begin(l *attemptLayer, b *Branch) *attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.first
	if a.trail != nil { // taken
		a = &attempt{}
	}
	a.trail, a.layer = t, l
	a.Number = len(t.attempts) + t.dropped + t.late + 1
	a.Start = time.Now()
	a.Hedge, a.Endpoint = b.isHedge(), l.cfg.Endpoint
	a.kind = l.kindLocked(t, a)
	if !a.Hedge {
		t.begun, t.endpoint = true, a.Endpoint
	}
	if t.ended {
		t.late++
		return a
	}
	if t.troubles != nil {
		a.Waited = t.troubles.takeWaitLocked(b)
	}
	if len(t.attempts) < maxKept {
		t.attempts = append(t.attempts, a)
	} else {
		t.dropped++
	}
	return a
}

// BodyEnd implements [body.Watcher].
func (a *attempt) BodyEnd(err error) error {
	a.end(JudgeBody(a.ctx, a.header(), err), err)
	return err
}

// header returns the verdict at the header, of which only the class is kept.
func (a *attempt) header() policy.Verdict { return policy.Verdict{Class: a.class} }

// end closes the span and records the duration. Err is what ended the attempt, nil if
// that was its answer.
func (a *attempt) end(v policy.Verdict, err error) (duration time.Duration, failure string) {
	failure = errorType(a.ctx, a.status, v.Class, err, "")
	a.trail.mu.Lock()
	a.trail.keepFailureLocked(failure)
	duration = time.Since(a.Start)
	if !a.trail.ended {
		a.Duration = duration
		if v != a.header() { // else it is as it was
			a.Verdict = v
		}
	}
	function, status := a.trail.function, a.status
	a.trail.mu.Unlock()
	function = cmp.Or(function, a.layer.cfg.Function)

	a.layer.recorder.attempted(a.ctx, function, a.kind, a.Endpoint, status, duration, failure)
	if a.span.IsRecording() {
		if status != 0 {
			a.span.SetAttributes(keyStatus.Int(status))
		}
		if failure != "" {
			a.span.SetAttributes(keyErrorType.String(failure))
			a.span.SetStatus(codes.Error, "")
		}
	}
	a.span.End()
	return duration, failure
}

// The kinds of attempts.
const (
	kindFirst    = "first"
	kindRetry    = "retry"
	kindHedge    = "hedge"
	kindFailover = "failover" // at another endpoint than the one before it that was no hedge
	kindProbe    = "probe"    // whether an endpoint is back
)

// kindLocked returns what the metrics call an attempt of t.
func (l *attemptLayer) kindLocked(t *Trail, a *attempt) string {
	switch {
	case l.cfg.Probe:
		return kindProbe
	case a.Hedge:
		return kindHedge
	case !t.begun: // a hedge may have gone out before it
		return kindFirst
	case a.Endpoint != t.endpoint:
		return kindFailover
	}
	return kindRetry
}

// requestAttributes are those that the conventions for HTTP client spans ask
// for. The URL goes without its user, query and fragment, which may hold what
// is nobody's business.
func (a *attempt) requestAttributes(req *http.Request) []attribute.KeyValue {
	url := *req.URL
	url.User, url.RawQuery, url.Fragment, url.RawFragment, url.ForceQuery = nil, "", "", "", false
	url.Opaque = "" // may hold any of them, as text
	attributes := []attribute.KeyValue{
		keyMethod.String(knownMethod(method(req))),
		keyURL.String(url.String()),
		keyServer.String(url.Hostname()),
		keyPort.Int(port(url.Scheme, url.Port())),
	}
	if name := method(req); knownMethod(name) != name {
		attributes = append(attributes, keyOriginal.String(name))
	}
	if a.Number > 1 {
		attributes = append(attributes, keyResend.Int(a.Number-1))
	}
	if a.kind != kindFirst {
		attributes = append(attributes, keyKind.String(a.kind))
	}
	if a.Endpoint != "" {
		attributes = append(attributes, keyEndpoint.String(a.Endpoint))
	}
	return attributes
}

// attemptSpanName is the method, or HTTP if that is none of the known.
func attemptSpanName(method string) string {
	if knownMethod(method) != method {
		return "HTTP"
	}
	return method
}

// method returns the method of a request, which may leave GET out.
func method(req *http.Request) string { return cmp.Or(req.Method, http.MethodGet) }

func port(scheme, explicit string) int {
	if n, err := strconv.Atoi(explicit); err == nil {
		return n
	}
	if scheme == "https" {
		return 443
	}
	return 80
}
