package telemetry

import (
	"log/slog"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the tracer and the meter.
const scope = "github.com/sparekey/sparekey"

// The attributes. Those without our prefix are OpenTelemetry's semantic
// conventions for HTTP clients.
const (
	keyMethod    = attribute.Key("http.request.method")
	keyOriginal  = attribute.Key("http.request.method_original")
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
	keyTrigger  = attribute.Key("sparekey.breaker.trigger")
	keyEndpoint = attribute.Key("sparekey.endpoint.name")
	keyHedge    = attribute.Key("sparekey.hedge.outcome")
	keySkipped  = attribute.Key("sparekey.retry.skipped.reason")
	keyModel    = attribute.Key("sparekey.model.id")
)

// buckets suit answers that typically take less than 200 ms and may wait in a
// queue for up to a minute; in seconds.
var buckets = metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
	0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60)

// A recorder writes spans, metrics and log records. It works from construction
// on, and starts to be heard when an SDK is installed, be it later. What a trail
// calls works on a nil recorder, which records nothing: that of a trail without a call.
type recorder struct {
	logger *slog.Logger
	tracer trace.Tracer

	callOptions, attemptOptions []trace.SpanStartOption
	noSpans                     atomic.Pointer[noSpans]
	warnings                    warnings // of fallbacks
	alarms                      warnings // of calls whose failure lasts

	callDuration    histogram
	callActive      active
	attemptDuration histogram
	retryDelay      histogram
	queueWait       histogram
	retriesSkipped  counter
	hedges          counter
	rejections      counter
	fallbacks       counter
	comparisons     counter
	rungFailures    counter
	lookups         counter
	transitions     counter
	requests        *httpRequests // nil unless asked for
}

func newRecorder(cfg Config) *recorder {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	r := &recorder{
		logger:         logger,
		tracer:         otel.Tracer(scope),
		callOptions:    []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal)},
		attemptOptions: []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)},
	}
	r.makeInstruments(otel.Meter(scope))
	if cfg.RequestDuration {
		r.requests = newHTTPRequests(otel.Meter(scope))
	}
	return r
}

func (r *recorder) makeInstruments(meter metric.Meter) {
	seconds := func(h *histogram, name, description string) {
		var err error
		h.Float64Histogram, err = meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), buckets)
		handle(err)
	}
	counter := func(c *counter, name, unit, description string) {
		var err error
		c.Int64Counter, err = meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		handle(err)
	}
	var err error
	r.callActive.Int64UpDownCounter, err = meter.Int64UpDownCounter("sparekey.client.prediction.active",
		metric.WithUnit("{prediction}"), metric.WithDescription("Calls under way, to the ends of their answers"))
	handle(err)
	seconds(&r.callDuration, "sparekey.client.prediction.duration", "Time to the end of the answer, all attempts and waits included")
	seconds(&r.attemptDuration, "sparekey.client.attempt.duration", "Time to the end of the answer of one try on the wire")
	seconds(&r.retryDelay, "sparekey.client.retry.delay", "Waits before retries, all of a call together, for calls that waited")
	seconds(&r.queueWait, "sparekey.client.queue.wait.duration", "Time for which requests waited for a limiter that then let them through")
	counter(&r.retriesSkipped, "sparekey.client.retries.skipped", "{retry}", "Retries that were called for and not made")
	counter(&r.hedges, "sparekey.client.hedges", "{hedge}", "Requests sent beside ones that took long")
	counter(&r.rejections, "sparekey.client.rejections", "{rejection}", "Requests that a layer refused")
	counter(&r.fallbacks, "sparekey.client.fallbacks", "{fallback}", "Answers given in the service's place")
	counter(&r.comparisons, "sparekey.client.fidelity.comparisons", "{comparison}", "Live answers compared with those that would have stood in for them")
	counter(&r.rungFailures, "sparekey.client.rung.failures", "{failure}", "Rungs that broke down where they should have answered")
	counter(&r.lookups, "sparekey.client.cache.lookups", "{lookup}", "Cache lookups")
	counter(&r.transitions, "sparekey.client.breaker.transitions", "{transition}", "Changes of a circuit breaker's state")
}

// handle passes the error of an instrument on to OpenTelemetry's own handler.
// The instrument works all the same.
func handle(err error) {
	if err != nil {
		otel.Handle(err)
	}
}
