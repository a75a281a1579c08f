package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/telemetry"
)

// brokenHandler is a handler of log records that breaks down.
type brokenHandler struct{ slog.Handler }

func (brokenHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (brokenHandler) Handle(context.Context, slog.Record) error { panic("no space left") }

// A logger that panics is its owner's to mend. The call has ended all the same, once: it
// is no longer under way, and its span is closed.
func TestLoggerPanics(t *testing.T) {
	sdk := install(t)
	cfg := telemetry.Config{Logger: slog.New(brokenHandler{}), Activity: new(telemetry.Activity)}
	rt := telemetry.ObserveCall(cfg)(failing(errors.New("down")))
	assert.PanicsWithValue(t, "no space left", func() { _, _ = rt.RoundTrip(newRequest(t, t.Context())) })

	var seen telemetry.FunctionSnapshot
	rt.(telemetry.Reporter).Report(&seen)
	assert.Equal(t, map[string]uint64{"failed": 1}, seen.Calls)
	assert.Len(t, sdk.spans.GetSpans(), 1)
	measured := sdk.measured(t)
	assert.NotContains(t, measured, "sparekey.client.prediction.active")
	assert.Contains(t, measured, "sparekey.client.prediction.duration s error.type=_OTHER 1 in ")
}
