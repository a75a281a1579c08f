package predictions_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// The trace of a prediction is that of its caller, if he has one.
func TestFromRecordInATrace(t *testing.T) {
	call := nyckel.Record{Function: "f", Prediction: &nyckel.Prediction{LabelName: "x"}}
	assert.Empty(t, predictions.FromRecord(t.Context(), call).TraceID)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 15: 255}, SpanID: trace.SpanID{1}})
	inside := predictions.FromRecord(trace.ContextWithSpanContext(t.Context(), span), call)
	assert.Equal(t, "010200000000000000000000000000ff", inside.TraceID)
}
