package telemetry

import (
	"context"
	"reflect"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// A silence says that no SDK was there to make spans. Without one, each span would
// cost three allocations for nothing.
type silence struct {
	provider trace.TracerProvider // the global one; another ends the silence
	until    time.Time
}

// silenceLasts is when Start is asked again in any case: what instruments a running
// program from the outside takes Start's place, and tells nobody.
const silenceLasts = time.Second

// noSpan is what a context without a span gives.
var noSpan = trace.SpanFromContext(context.Background())

// startCall starts the span of a call, unless none would come of it. A context that
// has a span is always left to Start, which without an SDK puts a mere copy of the
// parent's ids in its place.
func (r *recorder) startCall(ctx context.Context, now time.Time, function string) (context.Context, trace.Span) {
	provider := otel.GetTracerProvider()
	bare := trace.SpanFromContext(ctx) == noSpan
	if s := r.silence.Load(); s != nil && bare && s.provider == provider && now.Before(s.until) {
		return ctx, noSpan
	}
	ctx, span := r.tracer.Start(ctx, spanName(function), linked(ctx, r.callOptions)...)
	if bare && isPlaceholder(provider, span) {
		r.silence.Store(&silence{provider: provider, until: now.Add(silenceLasts)})
	}
	return ctx, span
}

// isPlaceholder reports whether provider makes no spans: span, which it made, is
// none. A span of a provider that turns some calls away, or of one that is no
// longer the global one, proves nothing.
func isPlaceholder(provider trace.TracerProvider, span trace.Span) bool {
	return !span.SpanContext().IsValid() &&
		reflect.ValueOf(provider).Comparable() && span.TracerProvider() == provider
}

func spanName(function string) string {
	if function == "" {
		return "call"
	}
	return "predict " + function
}
