package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/policy"
)

// scope is the name of the tracer and the meter.
const scope = "github.com/sparekey/sparekey"

// The attributes. Those without our prefix are OpenTelemetry's semantic
// conventions for HTTP clients.
const (
	keyMethod    = attribute.Key("http.request.method")
	keyURL       = attribute.Key("url.full")
	keyServer    = attribute.Key("server.address")
	keyPort      = attribute.Key("server.port")
	keyStatus    = attribute.Key("http.response.status_code")
	keyResend    = attribute.Key("http.request.resend_count")
	keyErrorType = attribute.Key("error.type")

	keyFunction = attribute.Key("sparekey.function.name")
	keySource   = attribute.Key("sparekey.answer.source")
	keyCause    = attribute.Key("sparekey.fallback.cause")

	keyAge        = attribute.Key("sparekey.answer.age") // seconds
	keySimilarity = attribute.Key("sparekey.answer.similarity")
	keyAccuracy   = attribute.Key("sparekey.answer.accuracy")
	keySamples    = attribute.Key("sparekey.answer.samples")
	keyConfidence = attribute.Key("sparekey.answer.confidence")

	keyRule     = attribute.Key("sparekey.rule.name")
	keyRung     = attribute.Key("sparekey.rung.name")
	keyFidelity = attribute.Key("sparekey.fidelity.result")
	keyAttempts = attribute.Key("sparekey.attempt.count")
	keyKind     = attribute.Key("sparekey.attempt.kind")
	keyReason   = attribute.Key("sparekey.rejection.reason")
	keyResult   = attribute.Key("sparekey.cache.result")
	keyState    = attribute.Key("sparekey.breaker.state")
)

// buckets suit answers that typically take less than 200 ms and may wait in a
// queue for up to a minute; in seconds.
var buckets = metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
	0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60)

// A recorder writes spans, metrics and log records. It works from construction
// on, and starts to be heard when an SDK is installed, be it later. All methods
// work on a nil recorder, which records nothing.
type recorder struct {
	logger *slog.Logger
	tracer trace.Tracer

	callOptions, attemptOptions []trace.SpanStartOption
	silence                     atomic.Pointer[silence]
	sets                        sets

	callDuration    metric.Float64Histogram
	attemptDuration metric.Float64Histogram
	retryDelay      metric.Float64Histogram
	rejections      metric.Int64Counter
	fallbacks       metric.Int64Counter
	comparisons     metric.Int64Counter
	rungFailures    metric.Int64Counter
	lookups         metric.Int64Counter
	transitions     metric.Int64Counter
}

func newRecorder(cfg Config) *recorder {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	meter := otel.Meter(scope)
	seconds := func(name, description string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), buckets)
		handle(err)
		return h
	}
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		handle(err)
		return c
	}
	return &recorder{
		logger:          logger,
		tracer:          otel.Tracer(scope),
		callOptions:     []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal)},
		attemptOptions:  []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)},
		callDuration:    seconds("sparekey.client.prediction.duration", "Time to the end of the answer, all attempts and waits included"),
		attemptDuration: seconds("sparekey.client.attempt.duration", "Time to the end of the answer of one try on the wire"),
		retryDelay:      seconds("sparekey.client.retry.delay", "Waits before retries"),
		rejections:      counter("sparekey.client.rejections", "{rejection}", "Calls that a layer refused"),
		fallbacks:       counter("sparekey.client.fallbacks", "{fallback}", "Answers given in the service's place"),
		comparisons:     counter("sparekey.client.fidelity.comparisons", "{comparison}", "Live answers compared with those that would have stood in for them"),
		rungFailures:    counter("sparekey.client.rung.failures", "{failure}", "Rungs that broke down where they should have answered"),
		lookups:         counter("sparekey.client.cache.lookups", "{lookup}", "Cache lookups"),
		transitions:     counter("sparekey.client.breaker.transitions", "{transition}", "Changes of a circuit breaker's state"),
	}
}

// handle passes the error of an instrument on to OpenTelemetry's own handler.
// The instrument works all the same.
func handle(err error) {
	if err != nil {
		otel.Handle(err)
	}
}

func (r *recorder) called(ctx context.Context, function string, d time.Duration, a Answer, v policy.Verdict, failed bool) {
	if r == nil {
		return
	}
	if r.callDuration.Enabled(ctx) {
		labels := labels{function: function, source: a.Source}
		if failed {
			labels.errorType = v.Class.String()
		}
		r.callDuration.Record(ctx, d.Seconds(), r.sets.of(labels)...)
	}
	if failed && (v.Class == policy.QuotaExceeded || v.Class == policy.Unauthenticated) {
		r.logger.LogAttrs(ctx, slog.LevelError, "call failed",
			slog.String("event.name", "sparekey.call.failed"),
			slog.String("function", function), slog.String("class", v.Class.String()))
	}
}

func (r *recorder) attempted(ctx context.Context, function, kind string, status int, d time.Duration, v policy.Verdict) {
	if r == nil || !r.attemptDuration.Enabled(ctx) {
		return
	}
	labels := labels{function: function, kind: kind, status: status}
	if v.Class != policy.OK && v.Class != policy.Canceled {
		labels.errorType = errorType(status, v)
	}
	r.attemptDuration.Record(ctx, d.Seconds(), r.sets.of(labels)...)
}

func (r *recorder) retrying(ctx context.Context, wait time.Duration, class policy.Class) {
	if r == nil {
		return
	}
	if r.retryDelay.Enabled(ctx) {
		r.retryDelay.Record(ctx, wait.Seconds())
	}
	r.logger.LogAttrs(ctx, slog.LevelDebug, "retrying",
		slog.String("event.name", "sparekey.retry"),
		slog.Duration("wait", wait), slog.String("class", class.String()))
}

func (r *recorder) refused(ctx context.Context, refusal *policy.Refusal) {
	if r == nil {
		return
	}
	if r.rejections.Enabled(ctx) {
		r.rejections.Add(ctx, 1, metric.WithAttributes(keyReason.String(refusal.Reason)))
	}
	r.logger.LogAttrs(ctx, slog.LevelDebug, "refused",
		slog.String("event.name", "sparekey.refused"),
		slog.String("layer", refusal.Layer), slog.String("reason", refusal.Reason))
}

func (r *recorder) fallback(ctx context.Context, function string, a Answer) {
	if r == nil {
		return
	}
	if r.fallbacks.Enabled(ctx) {
		attributes := append(functionAttributes(function),
			keySource.String(string(a.Source)), keyCause.String(a.Cause.String()))
		r.fallbacks.Add(ctx, 1, metric.WithAttributes(attributes...))
	}
	r.logger.LogAttrs(ctx, slog.LevelDebug, "answered in the service's place",
		slog.String("event.name", "sparekey.fallback"), slog.String("function", function),
		slog.String("source", string(a.Source)), slog.String("cause", a.Cause.String()),
		slog.String("rule", a.Rule))
}

func (r *recorder) compared(ctx context.Context, function, rung, result string) {
	if r != nil && r.comparisons.Enabled(ctx) {
		attributes := append(functionAttributes(function), keyRung.String(rung), keyFidelity.String(result))
		r.comparisons.Add(ctx, 1, metric.WithAttributes(attributes...))
	}
}

func (r *recorder) rungFailed(ctx context.Context, function, rung string, err error) {
	if r == nil {
		return
	}
	if r.rungFailures.Enabled(ctx) {
		r.rungFailures.Add(ctx, 1, metric.WithAttributes(append(functionAttributes(function), keyRung.String(rung))...))
	}
	r.logger.LogAttrs(ctx, slog.LevelError, "rung failed",
		slog.String("event.name", "sparekey.rung.failed"), slog.String("function", function),
		slog.String("rung", rung), slog.String("error", err.Error()))
}

func (r *recorder) lookedUp(ctx context.Context, result string) {
	if r != nil && r.lookups.Enabled(ctx) {
		r.lookups.Add(ctx, 1, metric.WithAttributes(keyResult.String(result)))
	}
}

func (r *recorder) changed(ctx context.Context, tr policy.Transition) {
	if r == nil {
		return
	}
	if r.transitions.Enabled(ctx) {
		r.transitions.Add(ctx, 1, metric.WithAttributes(keyState.String(tr.To.String())))
	}
	level := slog.LevelInfo
	if tr.To == policy.Open {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{
		slog.String("event.name", "sparekey.breaker."+tr.To.String()),
		slog.String("breaker", tr.Name), slog.String("from", tr.From.String()),
	}
	if tr.Trigger != "" {
		attributes = append(attributes, slog.String("trigger", string(tr.Trigger)))
	}
	if tr.Reason != "" {
		attributes = append(attributes, slog.String("reason", tr.Reason))
	}
	if tr.MetricsOnly {
		attributes = append(attributes, slog.Bool("metrics_only", true))
	}
	if !tr.Until.IsZero() {
		attributes = append(attributes, slog.Time("until", tr.Until))
	}
	r.logger.LogAttrs(ctx, level, "breaker "+tr.To.String(), attributes...)
}

func functionAttributes(function string) []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 4)
	if function != "" {
		attributes = append(attributes, keyFunction.String(function))
	}
	return attributes
}
