package telemetry_test

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sparekey/sparekey/telemetry"
)

// placeholder is a tracer provider that makes no spans and counts how many it was
// asked for, as OpenTelemetry's own does before there is an SDK.
type placeholder struct {
	trace.TracerProvider
	asked   int
	foreign bool // its spans come from another provider
}

func (p *placeholder) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return &placeholderTracer{Tracer: tracenoop.Tracer{}, provider: p}
}

type placeholderTracer struct {
	trace.Tracer
	provider *placeholder
}

func (t *placeholderTracer) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.provider.asked++
	var span trace.Span = placeholderSpan{context: trace.SpanContextFromContext(ctx), provider: t.provider}
	if t.provider.foreign {
		span = tracenoop.Span{}
	}
	return trace.ContextWithSpan(ctx, span), span
}

type placeholderSpan struct {
	tracenoop.Span
	context  trace.SpanContext
	provider *placeholder
}

func (s placeholderSpan) SpanContext() trace.SpanContext       { return s.context }
func (s placeholderSpan) TracerProvider() trace.TracerProvider { return s.provider }

// provide makes p the global provider for the time of the test.
func provide(t *testing.T, p trace.TracerProvider) {
	t.Helper()
	otel.SetTracerProvider(p)
	t.Cleanup(func() { otel.SetTracerProvider(tracenoop.NewTracerProvider()) })
}

// TestSilence: a provider that makes no spans is asked for one a second, and by
// every call that has somebody else's span to keep out.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nobody := &placeholder{}
		provide(t, nobody)
		rt := telemetry.ObserveCall(routing)(upstream(200, ""))
		call := func(ctx context.Context) {
			t.Helper()
			_, err := send(t, rt, ctx)
			require.NoError(t, err)
		}
		call(t.Context())
		assert.Equal(t, 1, nobody.asked)
		time.Sleep(time.Second - 1)
		call(t.Context())
		assert.Equal(t, 1, nobody.asked, "it was asked just now")

		parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, Remote: true})
		call(trace.ContextWithRemoteSpanContext(t.Context(), parent))
		assert.Equal(t, 2, nobody.asked)
		time.Sleep(time.Nanosecond)
		call(t.Context())
		assert.Equal(t, 3, nobody.asked, "the second is over")

		provide(t, &placeholder{})
		call(t.Context())
		call(t.Context())
		assert.Equal(t, 5, nobody.asked, "it is not the global one any more: who knows what it does")
	})
}

// TestSilenceOfOneCall: no span for one call says nothing about the next if it is
// not the provider's own.
func TestSilenceOfOneCall(t *testing.T) {
	choosy := &placeholder{foreign: true}
	provide(t, choosy)
	rt := telemetry.ObserveCall(routing)(upstream(200, ""))
	for range 3 {
		_, err := send(t, rt, t.Context())
		require.NoError(t, err)
	}
	assert.Equal(t, 3, choosy.asked)
}

// TestSilenceKeepsForeignSpansOut: without an SDK a span of another one reaches the
// layers below as a mere parent, not to be written to.
func TestSilenceKeepsForeignSpansOut(t *testing.T) {
	foreign := install(t)
	ctx, span := otel.Tracer("foreign").Start(t.Context(), "foreign")
	provide(t, &placeholder{})
	var below trace.Span
	rt := telemetry.ObserveCall(routing)(roundTrip(func(req *http.Request) (*http.Response, error) {
		below = trace.SpanFromContext(req.Context())
		return answer(200, ""), nil
	}))
	for range 2 {
		_, err := send(t, rt, t.Context()) // nobody listens, it finds
		require.NoError(t, err)
		_, err = send(t, rt, ctx)
		require.NoError(t, err)
		assert.Equal(t, span.SpanContext(), below.SpanContext())
		assert.False(t, below.IsRecording())
	}
	assert.Empty(t, foreign.ended())
}

// TestObserveAllocations: with metrics and without spans, both layers together
// make two allocations: one for the trail and one for the call.
func TestObserveAllocations(t *testing.T) {
	provide(t, tracenoop.NewTracerProvider())
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())))
	t.Cleanup(func() { otel.SetMeterProvider(metricnoop.NewMeterProvider()) })
	resp := answer(200, "")
	bare := roundTrip(func(*http.Request) (*http.Response, error) {
		resp.Body, resp.Request = http.NoBody, nil
		return resp, nil
	})
	synctest.Test(t, func(t *testing.T) { // where no second passes
		rt, req := stack(routing, bare), newRequest(t, t.Context())
		allocs := testing.AllocsPerRun(100, func() {
			_, err := rt.RoundTrip(req)
			require.NoError(t, err)
		})
		assert.EqualValues(t, 2, allocs)
	})
}

// TestTrailOutlivesItsCall: who keeps a trail keeps neither the request nor the
// response with it.
func TestTrailOutlivesItsCall(t *testing.T) {
	resp, err := send(t, stack(routing, upstream(200, "abc")), t.Context())
	require.NoError(t, err)
	trail := telemetry.TrailOf(resp)
	request, response := weak.Make(resp.Request), weak.Make(resp)
	runtime.GC()
	assert.Nil(t, request.Value())
	assert.Nil(t, response.Value())
	assert.Equal(t, 1, trail.AttemptCount())
}
