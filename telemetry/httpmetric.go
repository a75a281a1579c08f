package telemetry

import (
	"context"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sparekey/sparekey/policy"
)

// httpRequests is the instrument that OpenTelemetry's conventions have for HTTP
// clients. All methods work on a nil one, which records nothing. It is safe for
// concurrent use.
type httpRequests struct {
	metric.Float64Histogram
	made memo[httpLabels, []metric.RecordOption]
}

type httpLabels struct {
	httpTarget
	status  int
	failure string
}

// An httpTarget is where a request goes to.
type httpTarget struct {
	method, host, scheme, port string // the port as the URL has it
}

func newHTTPRequests(meter metric.Meter) *httpRequests {
	h := new(httpRequests)
	var err error
	h.Float64Histogram, err = meter.Float64Histogram("http.client.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of HTTP client requests."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	handle(err)
	return h
}

// targetOf returns where req is about to go. It is not read from the URL when the attempt
// ends: one that lost to a hedge may end long after its caller has gone on to use that
// for something else.
func (h *httpRequests) targetOf(req *http.Request) (t httpTarget) {
	if h == nil {
		return t
	}
	u := req.URL
	return httpTarget{knownMethod(method(req)), u.Hostname(), u.Scheme, u.Port()}
}

// record records an attempt that has ended: its duration is that of its span, as the
// conventions have it.
func (h *httpRequests) record(ctx context.Context, t httpTarget, status int, d time.Duration, failure string) {
	if h != nil && h.Enabled(ctx) {
		h.Record(ctx, d.Seconds(), h.made.of(httpLabels{t, status, failure}, newHTTPOptions)...)
	}
}

func newHTTPOptions(l httpLabels) []metric.RecordOption {
	attributes := []attribute.KeyValue{
		keyMethod.String(l.method), keyServer.String(l.host), keyPort.Int(port(l.scheme, l.port)),
	}
	if l.status != 0 {
		attributes = append(attributes, keyStatus.Int(l.status))
	}
	if l.failure != "" {
		attributes = append(attributes, keyErrorType.String(l.failure))
	}
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attributes...))} //nolint:forbidigo // made once
}

// knownMethod returns a method as the conventions want it: from a set that is bounded.
func knownMethod(method string) string {
	if slices.Contains(knownMethods, method) {
		return method
	}
	return otherError
}

var knownMethods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodHead, http.MethodOptions, http.MethodConnect, http.MethodTrace, "QUERY",
}

// A countedRequest is an attempt that is recorded as an HTTP request, too, when its
// body ends.
type countedRequest struct {
	*attempt
	target httpTarget
}

// BodyEnd implements [body.Watcher].
func (c *countedRequest) BodyEnd(err error) error {
	c.layer.over(c.attempt, c.target, JudgeBody(c.ctx, c.header(), err), err)
	return err
}

// over ends an attempt, and records it as an HTTP request if that was asked for.
func (l *attemptLayer) over(a *attempt, target httpTarget, v policy.Verdict, err error) {
	duration, failure := a.end(v, err)
	l.recorder.requests.record(a.ctx, target, a.status, duration, failure)
}
