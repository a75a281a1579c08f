package telemetry_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/telemetry"
)

// What a program has is observed each time metrics are collected. The snapshot is
// that of transport.Snapshot, or of a client of package nyckel.
func ExampleMeasure() {
	reader := sdkmetric.NewManualReader() // in a program, one that exports
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	defer otel.SetMeterProvider(metricnoop.NewMeterProvider())

	stop := telemetry.Measure(func() telemetry.Snapshot {
		return telemetry.Snapshot{Functions: []telemetry.FunctionSnapshot{
			{Name: "ticket_routing", Limiters: []telemetry.LimiterSnapshot{{Name: "api.test:443", InFlight: 3, Bound: 20, MaxQueue: 1000}}},
		}}
	})
	defer stop()

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
			fmt.Println(m.Name, point.Value)
		}
	}
	// Unordered output:
	// sparekey.client.limiter.limit 20
	// sparekey.client.limiter.usage 3
	// sparekey.client.queue.limit 1000
	// sparekey.client.queue.usage 0
}
