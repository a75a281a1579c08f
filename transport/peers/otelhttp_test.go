package peers_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// twice fails at first, and then answers.
func twice() http.RoundTripper {
	n := 0
	return transport.Func(func(*http.Request) (*http.Response, error) {
		status := http.StatusOK
		if n++; n == 1 {
			status = http.StatusServiceUnavailable
		}
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	})
}

// TestBesideOtelhttp: otelhttp outside of the stack or below it makes spans of its
// own, and each attempt on the wire still has one of ours, with what it was.
func TestBesideOtelhttp(t *testing.T) {
	stack := func(next http.RoundTripper) http.RoundTripper { // made when its SDK is there
		return transport.Standard(policy.Stack{Function: "f", Retry: policy.Retry{Throttled: policy.Backoff{Base: -1}}})(next)
	}
	other := func(next http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(next) }
	for name, layers := range map[string][]transport.Layer{
		"otelhttp outside": {other, stack},
		"otelhttp below":   {stack, other},
	} {
		t.Run(name, func(t *testing.T) {
			spans := tracetest.NewInMemoryExporter()
			otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
			defer otel.SetTracerProvider(tracenoop.NewTracerProvider())
			rt := transport.Chain(twice(), layers...)
			ctx := policy.WithCall(t.Context(), policy.Call{Function: "f", Replayable: true})
			resp, err := rt.RoundTrip(newRequest(ctx, http.MethodPost))
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())

			count, resends := map[string]int{}, 0
			traces := map[trace.TraceID]bool{}
			for _, span := range spans.GetSpans() {
				count[span.InstrumentationScope.Name+" "+span.Name]++
				traces[span.SpanContext.TraceID()] = true
				for _, a := range span.Attributes {
					if a.Key == "http.request.resend_count" {
						resends++
						assert.EqualValues(t, 1, a.Value.AsInt64())
					}
				}
			}
			const ours, theirs = "github.com/sparekey/sparekey ", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp "
			want := map[string]int{ours + "predict f": 1, ours + "POST": 2, theirs + "HTTP POST": 1}
			if name == "otelhttp below" {
				want[theirs+"HTTP POST"] = 2 // one for each of ours, which is its parent
			}
			assert.Equal(t, want, count)
			assert.Equal(t, 1, resends)
			assert.Len(t, traces, 1)
		})
	}
}

// inCall returns the transport of a call with a layer around its one attempt.
func inCall(attempt transport.Layer) http.RoundTripper {
	return transport.Chain(wire, telemetry.ObserveCall(telemetry.Config{Function: "f"}), attempt)
}

func attempts(next http.RoundTripper) http.RoundTripper {
	return telemetry.ObserveAttempt(telemetry.Config{Function: "f"})(next)
}

// wire answers without a body of its own, so that what layers add is all there is.
var wire = transport.Func(func(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
})

func exchange(tb testing.TB, rt http.RoundTripper, req *http.Request) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// TestAttemptAllocations: without an SDK a layer of attempts adds a fifth at most of
// the allocations that otelhttp adds, and with one three quarters.
func TestAttemptAllocations(t *testing.T) {
	for _, tt := range []struct {
		name     string
		provider trace.TracerProvider
		share    float64
	}{
		{"no SDK", tracenoop.NewTracerProvider(), 0.2},
		{"SDK", sdktrace.NewTracerProvider(), 0.75},
	} {
		t.Run(tt.name, func(t *testing.T) {
			meters := otel.GetMeterProvider()
			otel.SetTracerProvider(tt.provider)
			if tt.name == "no SDK" {
				otel.SetMeterProvider(metricnoop.NewMeterProvider())
			}
			defer otel.SetTracerProvider(tracenoop.NewTracerProvider())
			defer otel.SetMeterProvider(meters)
			allocs := func(attempt transport.Layer) float64 {
				rt, req := inCall(attempt), newRequest(t.Context(), http.MethodPost)
				return testing.AllocsPerRun(200, func() { exchange(t, rt, req) })
			}
			call := allocs(nil)
			ours, theirs := allocs(attempts)-call, allocs(measured)-call
			t.Logf("an attempt adds %v allocations, otelhttp %v", ours, theirs)
			assert.LessOrEqual(t, ours, tt.share*theirs)
		})
	}
}

// BenchmarkAttempt measures the layer of attempts beside otelhttp, each in a call of
// ours, without spans.
func BenchmarkAttempt(b *testing.B) {
	otel.SetTracerProvider(tracenoop.NewTracerProvider())
	for _, bm := range []struct {
		name  string
		layer transport.Layer
	}{{"call alone", nil}, {"sparekey", attempts}, {"otelhttp", measured}} {
		rt, req := inCall(bm.layer), newRequest(b.Context(), http.MethodPost)
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, rt, req)
			}
		})
	}
}
