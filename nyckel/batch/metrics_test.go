package batch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/nyckel/batch"
)

// figures reads the metrics of batchers made after collect.
type figures struct{ *sdkmetric.ManualReader }

func collect(t *testing.T) *figures {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	t.Cleanup(func() { otel.SetMeterProvider(metricnoop.NewMeterProvider()) })
	return &figures{reader}
}

// metrics returns the data of all instruments by name.
func (f *figures) metrics(t *testing.T) map[string]metricdata.Aggregation {
	t.Helper()
	var got metricdata.ResourceMetrics
	require.NoError(t, f.Collect(t.Context(), &got))
	byName := map[string]metricdata.Aggregation{}
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m.Data
		}
	}
	return byName
}

// requests returns sparekey.batch.requests by result.
func (f *figures) requests(t *testing.T, name string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, p := range f.metrics(t)["sparekey.batch.requests"].(metricdata.Sum[int64]).DataPoints {
		got, _ := p.Attributes.Value("sparekey.batch.name")
		require.Equal(t, name, got.AsString())
		result, _ := p.Attributes.Value("sparekey.batch.result")
		counts[result.AsString()] = int(p.Value)
	}
	return counts
}

// total returns the sums of the counters and histograms in whole numbers: calls,
// batches, their items, and the requests whose wait ended in a call.
func (f *figures) total(t *testing.T) (calls, batches, items, sent int) {
	t.Helper()
	got := f.metrics(t)
	size := got["sparekey.batch.size"].(metricdata.Histogram[int64]).DataPoints[0]
	return int(got["sparekey.batch.calls"].(metricdata.Sum[int64]).DataPoints[0].Value), int(size.Count), int(size.Sum),
		int(got["sparekey.batch.wait"].(metricdata.Histogram[float64]).DataPoints[0].Count)
}

func TestMetrics(t *testing.T) {
	figures := collect(t)
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Name: "numbers", Delay: 20 * time.Millisecond, MaxQueue: 4, Size: 4})
		submit(t, b, 1, 2, 2, 13, 5)
		require.Equal(t, map[string]int{"answered": 3, "failed": 1, "refused": 1}, figures.requests(t, "numbers"))
		calls, batches, items, sent := figures.total(t)
		require.Equal(t, []int{len(s.calls), 1, 3, 4}, []int{calls, batches, items, sent})
		wait := figures.metrics(t)["sparekey.batch.wait"].(metricdata.Histogram[float64]).DataPoints[0]
		require.InDelta(t, 4*0.02, wait.Sum, 1e-9)
		name, _ := wait.Attributes.Value("sparekey.batch.name")
		require.Equal(t, attribute.StringValue("numbers"), name)
	})
}

func TestMetricsCostNoAllocation(t *testing.T) {
	b := batch.New(batch.Service[int, int]{Each: echo}, batch.Config{Size: 1, Name: "echo"})
	plain := testing.AllocsPerRun(100, func() { _, _ = b.Submit(t.Context(), 1) })
	collect(t)
	b = batch.New(batch.Service[int, int]{Each: echo}, batch.Config{Size: 1, Name: "echo"})
	measured := testing.AllocsPerRun(100, func() { _, _ = b.Submit(t.Context(), 1) })
	require.InDelta(t, plain, measured, 0.5)
}
