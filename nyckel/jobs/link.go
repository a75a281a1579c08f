package jobs

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/telemetry"
)

// From returns a copy of the call that remembers the span in ctx, such as that of the
// request which has the job enqueued: the span of the call itself, made later and
// somewhere else, links to it. Without a span it changes nothing.
func (c Call) From(ctx context.Context) Call {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	if parent := carrier.Get("traceparent"); parent != "" {
		c.Traceparent = parent
	}
	return c
}

// linked returns ctx for the call, whose span links to the one that it is from. What
// is no traceparent links to nothing.
func (c Call) linked(ctx context.Context) context.Context {
	from := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": c.Traceparent})
	return telemetry.LinkTo(ctx, trace.SpanContextFromContext(from))
}
