package jobs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// idle is an engine that nobody asks anything of.
type idle struct{ Engine }

// TestMeasuringCostsNoMemory: what is measured of a job makes no allocation, with an SDK
// or without.
func TestMeasuringCostsNoMemory(t *testing.T) {
	ctx := context.Background()
	defer otel.SetMeterProvider(metricnoop.NewMeterProvider())
	for _, installed := range []bool{false, true} {
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
		if installed {
			otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())))
		}
		e, err := Measured(idle{})
		require.NoError(t, err)
		m := e.(*measured)
		ended := Settled{Delivery: Delivery{Job: Job{Queue: "q"}, Attempt: 3}, Ending: Finished, Took: time.Second, Picked: time.Second}
		gate := &measuredGate{
			closed: m.gateClosed, measures: &m.measures, since: map[string]time.Time{},
			Gate: GateFunc(func(context.Context, string) time.Duration { return time.Second }),
		}
		assert.Zero(t, testing.AllocsPerRun(200, func() { m.count(ctx, ended) }), "settled, SDK: %v", installed)
		assert.Zero(t, testing.AllocsPerRun(200, func() { gate.Ready(ctx, "q") }), "gate, SDK: %v", installed)
	}
}

// TestMeasuresAreBounded: any number of queues is measured, and not all are kept.
func TestMeasuresAreBounded(t *testing.T) {
	var ms measures
	for i := range 2 * maxMeasures {
		assert.NotNil(t, ms.of(fmt.Sprint(i)))
	}
	assert.Len(t, ms.made, maxMeasures)
	assert.Same(t, ms.of("0"), ms.of("0"))
	m := ms.of("0")
	assert.Equal(t, m.settled[GivenBack], m.ending(GivenBack))
	for _, none := range []Ending{GivenBack + 1, 200} {
		assert.Equal(t, m.settled[0], m.ending(none), "what is none of the endings is unknown")
	}
}
