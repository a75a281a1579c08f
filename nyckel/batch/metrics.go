package batch

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// scope is the name of the meter.
const scope = "github.com/sparekey/sparekey"

const (
	keyName   = attribute.Key("sparekey.batch.name")
	keyResult = attribute.Key("sparekey.batch.result")
)

// metrics are a batcher's instruments. What they are recorded with is made once.
type metrics struct {
	requests metric.Int64Counter
	calls    metric.Int64Counter
	size     metric.Int64Histogram
	wait     metric.Float64Histogram

	name                   []attribute.KeyValue
	answered, failed       []metric.AddOption
	gone, refusal, perCall []metric.AddOption
	recorded               []metric.RecordOption // of size and wait
}

func newMetrics(name string) *metrics {
	meter := otel.Meter(scope)
	m := &metrics{}
	if name != "" {
		m.name = []attribute.KeyValue{keyName.String(name)}
	}
	var errs [4]error
	m.requests, errs[0] = meter.Int64Counter("sparekey.batch.requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests to a batcher by what came of them"))
	m.calls, errs[1] = meter.Int64Counter("sparekey.batch.calls", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that were made for batches"))
	m.size, errs[2] = meter.Int64Histogram("sparekey.batch.size", metric.WithUnit("{item}"),
		metric.WithDescription("Different items of each batch"), metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
	m.wait, errs[3] = meter.Float64Histogram("sparekey.batch.wait", metric.WithUnit("s"),
		metric.WithDescription("Time from a request to its call"),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60))
	for _, err := range errs {
		if err != nil {
			otel.Handle(err) // the instrument works all the same
		}
	}
	m.answered, m.failed = m.result("answered"), m.result("failed")
	m.gone, m.refusal = m.result("left"), m.result("refused")
	plain := metric.WithAttributeSet(attribute.NewSet(m.name...)) //nolint:forbidigo // made once
	m.perCall = []metric.AddOption{plain}
	m.recorded = []metric.RecordOption{plain}
	return m
}

func (m *metrics) result(result string) []metric.AddOption {
	attributes := append([]attribute.KeyValue{keyResult.String(result)}, m.name...)
	return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attributes...))} //nolint:forbidigo // made once
}

func (m *metrics) refused(ctx context.Context) { m.requests.Add(ctx, 1, m.refusal...) }
func (m *metrics) left(ctx context.Context)    { m.requests.Add(ctx, 1, m.gone...) }
func (m *metrics) called(ctx context.Context)  { m.calls.Add(ctx, 1, m.perCall...) }

func (m *metrics) settled(ctx context.Context, err error) {
	if err != nil {
		m.requests.Add(ctx, 1, m.failed...)
	} else {
		m.requests.Add(ctx, 1, m.answered...)
	}
}

func (m *metrics) batched(size int) {
	m.size.Record(context.Background(), int64(size), m.recorded...)
}

func (m *metrics) waited(ctx context.Context, d time.Duration) {
	m.wait.Record(ctx, d.Seconds(), m.recorded...)
}
