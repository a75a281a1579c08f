package telemetry

import (
	"context"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// LinkTo returns a context in which the span of the next call links to another span,
// such as that of who asked for the call long before, as a job. It links the first call
// only; an invalid span changes nothing.
func LinkTo(ctx context.Context, to trace.SpanContext) context.Context {
	if !to.IsValid() {
		return ctx
	}
	return context.WithValue(ctx, linkKey{}, &link{to: to})
}

type linkKey struct{}

// A link is for the one call that takes it.
type link struct {
	to    trace.SpanContext
	taken atomic.Bool
}

// linked returns options with the link in ctx, if there is one that nobody took.
func linked(ctx context.Context, options []trace.SpanStartOption) []trace.SpanStartOption {
	l, _ := ctx.Value(linkKey{}).(*link)
	if l == nil || !l.taken.CompareAndSwap(false, true) {
		return options
	}
	return append(slices.Clip(options), trace.WithLinks(trace.Link{SpanContext: l.to}))
}

// NotAlone is the reason in the [Note] of a cache that sent no request, since an equal
// one is under way.
const NotAlone = "joined"

// Joined says that the call in ctx got what came of another one's attempts, which
// asked the same at the same time. They are in the other's trail, and under its span,
// to which this one's links; leader is a context of it.
func (t *Trail) Joined(ctx, leader context.Context) {
	if t == nil {
		return
	}
	t.mu.Lock()
	if met := t.makeTroubleLocked(); !t.ended && len(met.notes) < maxKept {
		met.notes = append(met.notes, Note{Layer: "cache", Reason: NotAlone})
	}
	t.mu.Unlock()
	to := trace.SpanContextFromContext(leader)
	if span := trace.SpanFromContext(ctx); span.IsRecording() && to.IsValid() {
		span.AddLink(trace.Link{SpanContext: to})
	}
}
