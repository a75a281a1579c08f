package telemetry_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sparekey/sparekey/telemetry"
)

// serverSampler leaves out the spans of requests to one server.
type serverSampler struct{ not string }

func (s serverSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	set := attribute.NewSet(p.Attributes...)
	if server, _ := set.Value("server.address"); server.AsString() == s.not {
		return sdktrace.SamplingResult{Decision: sdktrace.Drop}
	}
	return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
}

func (serverSampler) Description() string { return "by server" }

// A program's own sampler sees what an attempt is about, as the conventions for HTTP
// clients want it.
func TestSamplerSeesTheRequest(t *testing.T) {
	for not, want := range map[string]int{"api.test": 1, "other.test": 2} {
		sdk := install(t)
		otel.SetTracerProvider(sdktrace.NewTracerProvider(
			sdktrace.WithSyncer(sdk.spans), sdktrace.WithSampler(serverSampler{not})))
		_, err := send(t, stack(telemetry.Config{}, upstream(200, "")), t.Context())
		require.NoError(t, err)
		assert.Len(t, sdk.spans.GetSpans(), want, "without those to %s", not)
	}
}

// An attempt that is part of no call, such as a probe, is a root, whose sampler sees as much.
func TestSamplerSeesProbes(t *testing.T) {
	for not, want := range map[string]int{"api.test": 0, "other.test": 1} {
		sdk := install(t)
		otel.SetTracerProvider(sdktrace.NewTracerProvider(
			sdktrace.WithSyncer(sdk.spans), sdktrace.WithSampler(serverSampler{not})))
		_, err := send(t, telemetry.ObserveAttempt(telemetry.Config{Probe: true})(upstream(200, "")), t.Context())
		require.NoError(t, err)
		assert.Len(t, sdk.spans.GetSpans(), want, "without those to %s", not)
	}
}

// callSampler leaves out the spans of calls.
type callSampler struct{ sdktrace.Sampler }

func (callSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Name == "call" {
		return sdktrace.SamplingResult{Decision: sdktrace.Drop}
	}
	return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
}

// An attempt that is recorded though its call is not has its attributes, too.
func TestSamplerOfAttemptsAlone(t *testing.T) {
	sdk := install(t)
	otel.SetTracerProvider(sdktrace.NewTracerProvider(
		sdktrace.WithSyncer(sdk.spans), sdktrace.WithSampler(callSampler{})))
	_, err := send(t, stack(telemetry.Config{}, upstream(200, "")), t.Context())
	require.NoError(t, err)
	assert.Contains(t, sdk.ended(), "http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.response")
}
