package fallback_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/telemetry"
)

// What a comparison came to is counted for each rung, as the figures have it.
func TestFidelityIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := sdkmetric.NewManualReader()
		otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		t.Cleanup(func() { otel.SetMeterProvider(metricnoop.NewMeterProvider()) })
		observed := telemetry.ObserveCall(telemetry.Config{Function: "tickets"})
		ladder := compared(silent("none"), says("right", "x"), says("wrong", "y"))
		rt := observed(ladder.Wrap(answers(200, `{"labelName":"x"}`)))
		for range 2 {
			resp, err := rt.RoundTrip(invoke(t, `{}`))
			require.NoError(t, err)
			readAll(t, resp)
		}
		assert.Equal(t, map[string]int64{"none none": 2, "right agreed": 2, "wrong differed": 2}, comparisons(t, reader))

		var seen telemetry.FunctionSnapshot
		ladder.Wrap(nil).(telemetry.Reporter).Report(&seen)
		assert.Equal(t, []telemetry.FidelitySnapshot{
			{Rung: "none", Asked: 2},
			{Rung: "right", Asked: 2, Answered: 2, Agreed: 2},
			{Rung: "wrong", Asked: 2, Answered: 2},
		}, seen.Fidelity)
	})
}

// comparisons returns how many there were, by rung and result.
func comparisons(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	counts := make(map[string]int64)
	for _, scope := range all.ScopeMetrics {
		for _, metric := range scope.Metrics {
			if metric.Name != "sparekey.client.fidelity.comparisons" {
				continue
			}
			for _, point := range metric.Data.(metricdata.Sum[int64]).DataPoints {
				rung, _ := point.Attributes.Value("sparekey.rung.name")
				result, _ := point.Attributes.Value("sparekey.fidelity.result")
				counts[rung.AsString()+" "+result.AsString()] += point.Value
			}
		}
	}
	return counts
}
