package telemetry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sparekey/sparekey/telemetry"
)

// brokenSampler breaks down over every span.
type brokenSampler struct{ sdktrace.Sampler }

func (brokenSampler) ShouldSample(sdktrace.SamplingParameters) sdktrace.SamplingResult {
	panic("no rate for this")
}

// upload is a request's body that counts how often it is closed.
type upload struct {
	*strings.Reader
	closed int
}

func (u *upload) Close() error {
	u.closed++
	return nil
}

// A program's own sampler that panics ends the call where it began: its request's body is
// closed, and it is under way no more.
func TestSamplerPanics(t *testing.T) {
	sdk := install(t)
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(brokenSampler{})))
	rt := stack(telemetry.Config{}, upstream(200, "x"))
	sent := &upload{Reader: strings.NewReader("question")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, sent)
	require.NoError(t, err)
	assert.PanicsWithValue(t, "no rate for this", func() { _, _ = rt.RoundTrip(req) })
	assert.Equal(t, 1, sent.closed)
	assert.NotContains(t, sdk.measured(t), "sparekey.client.prediction.active")
}

// So does one that panics over an attempt, which may be no call's.
func TestSamplerPanicsOverAttempt(t *testing.T) {
	sdk := install(t)
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(brokenSampler{})))
	probe := telemetry.ObserveAttempt(telemetry.Config{Probe: true})(upstream(200, "x"))
	sent := &upload{Reader: strings.NewReader("question")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, sent)
	require.NoError(t, err)
	assert.PanicsWithValue(t, "no rate for this", func() { _, _ = probe.RoundTrip(req) })
	assert.Equal(t, 1, sent.closed)
	assert.NotContains(t, sdk.measured(t), "sparekey.client.attempt.duration", "there was none")
}
