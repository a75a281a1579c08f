package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/policy"
)

// Behind returns a context for what is done behind the caller of the call in ctx, such
// as the refresh of an answer: with a trail of its own, and a span that is the root of
// a trace and links to the call's. What happens there is counted and logged as for the
// call itself. The func must be called once it is over, with what it came to; err is
// what ended it, nil if that was its answer.
func Behind(ctx context.Context) (behind context.Context, over func(v policy.Verdict, err error)) {
	caller, trigger := FromContext(ctx), trace.SpanContextFromContext(ctx)
	behind, trail := NewContext(ctx)
	if caller == nil {
		return behind, func(policy.Verdict, error) {}
	}
	recorder := caller.recorder.Load()
	if recorder == nil { // the trail is no call's
		return behind, func(policy.Verdict, error) {}
	}
	trail.recorder.Store(recorder)
	trail.function, trail.start = caller.Function(), time.Now()
	trail.claimed.Store(true)
	behind, span := recorder.startBehind(behind, trigger, trail.function)
	return behind, func(v policy.Verdict, err error) {
		end := trail.finish()
		if span.IsRecording() {
			span.SetAttributes(keyAttempts.Int(trail.AttemptCount()))
			if end.function != "" {
				span.SetAttributes(keyFunction.String(end.function))
			}
			if failure := errorType(behind, 0, v.Class, err, end.reason); failure != "" {
				span.SetAttributes(keyErrorType.String(failure))
				span.SetStatus(codes.Error, "")
			}
		}
		span.End()
	}
}

func (r *recorder) startBehind(ctx context.Context, trigger trace.SpanContext, function string) (context.Context, trace.Span) {
	options := append([]trace.SpanStartOption{trace.WithNewRoot()}, r.callOptions...)
	if trigger.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: trigger}))
	}
	name := "refresh"
	if function != "" {
		name += " " + function
	}
	return r.tracer.Start(ctx, name, options...)
}
