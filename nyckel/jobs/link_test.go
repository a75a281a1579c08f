package jobs_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// TestCallLinksToItsEnqueuer: the call of a job is a trace of its own, and its span
// links to the one in which the job was enqueued, each time that it is tried.
func TestCallLinksToItsEnqueuer(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(tracenoop.NewTracerProvider()) })
	client, _ := newClient(t, once, noLimit, answer(200, `{"labelName":"refund","labelId":"l1","confidence":0.75}`))

	ctx, request := provider.Tracer("test").Start(t.Context(), "POST /tickets")
	call := jobs.Text("tickets", "hello").From(ctx)
	request.End()
	bad := jobs.Text("tickets", "hello")
	bad.Traceparent = "made up"
	for _, tt := range []struct {
		name string
		call jobs.Call
		want []trace.TraceID
	}{
		{"from a request", call, []trace.TraceID{request.SpanContext().TraceID()}},
		{"tried again", call, []trace.TraceID{request.SpanContext().TraceID()}},
		{"from nowhere", jobs.Text("tickets", "hello").From(context.Background()), nil},
		{"from what is no span", bad, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spans.Reset()
			require.Equal(t, jobs.Finished, deliver(t, client, tt.call).Ending)
			roots := 0
			for _, span := range spans.GetSpans() {
				if span.Name != "predict tickets" {
					assert.Empty(t, span.Links, span.Name)
					continue
				}
				roots++
				assert.False(t, span.Parent.IsValid())
				assert.NotEqual(t, request.SpanContext().TraceID(), span.SpanContext.TraceID())
				var links []trace.TraceID
				for _, l := range span.Links {
					links = append(links, l.SpanContext.TraceID())
				}
				assert.Equal(t, tt.want, links)
			}
			assert.Equal(t, 1, roots)
		})
	}
	payload, err := json.Marshal(jobs.Text("tickets", "hello").From(context.Background()))
	require.NoError(t, err)
	assert.NotContains(t, string(payload), "traceparent")
}
