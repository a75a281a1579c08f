package jobs_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// scripted is an engine whose Run settles what it is told to.
type scripted struct {
	stats   []jobs.Stats
	asked   int
	settled []jobs.Settled
	closed  bool
	err     error // of Enqueue
	ailing  error // of Stats
}

func (s *scripted) Enqueue(_ context.Context, js ...jobs.Job) ([]jobs.Receipt, error) {
	if s.err != nil {
		return nil, s.err
	}
	receipts := make([]jobs.Receipt, len(js))
	for i, j := range js {
		receipts[i] = jobs.Receipt{ID: j.ID, New: i == 0}
	}
	return receipts, nil
}

func (s *scripted) Run(ctx context.Context, c jobs.RunConfig, _ jobs.Handler) error {
	for c.Gate.Ready(ctx, "q") > 0 {
		time.Sleep(time.Second)
	}
	time.Sleep(time.Second) // it is open for a while, which is none that it was closed
	c.Gate.Ready(ctx, "q")
	for _, d := range s.settled {
		c.OnSettled(d)
	}
	return nil
}

func (s *scripted) Stats(context.Context) ([]jobs.Stats, error) {
	s.asked++
	return s.stats, s.ailing
}

func (s *scripted) Find(context.Context, string) (jobs.State, *jobs.Delivery, error) {
	return jobs.Unknown, nil, nil
}

func (s *scripted) DeadLetters(context.Context, string) iter.Seq2[jobs.DeadJob, error] {
	return func(func(jobs.DeadJob, error) bool) {}
}
func (s *scripted) Requeue(context.Context, ...string) (int, error) { return 0, nil }
func (s *scripted) Discard(context.Context, ...string) (int, error) { return 0, nil }
func (s *scripted) Close() error                                    { s.closed = true; return nil }

// meter has OpenTelemetry read what is measured, and returns the points by name and
// attributes, a histogram's as its sum.
func meter(t *testing.T) func() map[string]float64 {
	t.Helper()
	before := otel.GetMeterProvider()
	reader := metric.NewManualReader()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	return func() map[string]float64 {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(context.Background(), &all))
		points := map[string]float64{}
		note := func(name string, attributes attribute.Set, value float64) {
			for _, a := range attributes.ToSlice() {
				name += " " + a.Value.String()
			}
			points[name] = value
		}
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				switch data := m.Data.(type) {
				case metricdata.Gauge[int64]:
					for _, p := range data.DataPoints {
						note(m.Name, p.Attributes, float64(p.Value))
					}
				case metricdata.Gauge[float64]:
					for _, p := range data.DataPoints {
						note(m.Name, p.Attributes, p.Value)
					}
				case metricdata.Sum[int64]:
					for _, p := range data.DataPoints {
						note(m.Name, p.Attributes, float64(p.Value))
					}
				case metricdata.Sum[float64]:
					for _, p := range data.DataPoints {
						note(m.Name, p.Attributes, p.Value)
					}
				case metricdata.Histogram[int64]:
					for _, p := range data.DataPoints {
						note(m.Name, p.Attributes, float64(p.Sum))
					}
				case metricdata.Histogram[float64]:
					for _, p := range data.DataPoints {
						note(m.Name, p.Attributes, p.Sum)
					}
				}
			}
		}
		return points
	}
}

func TestMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := meter(t)
		inner := &scripted{
			stats: []jobs.Stats{{
				Queue: "q", Ready: 5, Scheduled: 4, Running: 3, Dead: 2, Bytes: 100, Bound: 9,
				OldestReady: time.Minute, OldestRunning: time.Second,
			}},
			settled: []jobs.Settled{
				{Delivery: jobs.Delivery{Job: jobs.Job{Queue: "q"}, Attempt: 3}, Ending: jobs.Finished, Took: 2 * time.Second, Picked: time.Second},
				{Delivery: jobs.Delivery{Job: jobs.Job{Queue: "q"}, Attempt: 1}, Ending: jobs.Retried, Took: time.Second},
				{Delivery: jobs.Delivery{Job: jobs.Job{Queue: "q"}, Attempt: 8}, Ending: jobs.DeadLettered, Took: time.Second},
				{Delivery: jobs.Delivery{Job: jobs.Job{Queue: "known"}, Attempt: 1}, Ending: jobs.Finished}, // without a call
			},
		}
		e, err := jobs.Measured(inner)
		require.NoError(t, err)
		_, err = e.Enqueue(t.Context(), jobs.Job{ID: "a"}, jobs.Job{ID: "b"}, jobs.Job{ID: "c"})
		require.NoError(t, err)
		inner.err = &jobs.FullError{}
		_, err = e.Enqueue(t.Context(), jobs.Job{ID: "a"}, jobs.Job{ID: "b"})
		require.ErrorIs(t, err, jobs.ErrFull)
		inner.err = errors.New("another")
		_, err = e.Enqueue(t.Context(), jobs.Job{ID: "a"})
		require.Error(t, err)

		told, asked := 0, 0
		err = e.Run(t.Context(), jobs.RunConfig{
			OnSettled: func(jobs.Settled) { told++ },
			Gate: jobs.GateFunc(func(context.Context, string) time.Duration {
				if asked++; asked <= 3 {
					return time.Second
				}
				return 0
			}),
		}, nil)
		require.NoError(t, err)
		assert.Equal(t, 4, told)

		want := map[string]float64{
			"sparekey.jobs.depth ready q":        5,
			"sparekey.jobs.depth scheduled q":    4,
			"sparekey.jobs.depth running q":      3,
			"sparekey.jobs.depth dead q":         2,
			"sparekey.jobs.bytes q":              100,
			"sparekey.jobs.bound q":              9,
			"sparekey.jobs.oldest_ready.age q":   60,
			"sparekey.jobs.oldest_running.age q": 1,
			"sparekey.jobs.enqueued true":        1,
			"sparekey.jobs.enqueued false":       2,
			"sparekey.jobs.rejected":             2,
			"sparekey.jobs.settled finished q":   1,
			"sparekey.jobs.settled retried q":    1,
			"sparekey.jobs.attempts q":           3 + 8,
			"sparekey.jobs.pickup.delay q":       1,
			"sparekey.jobs.handler.duration q":   4,
			"sparekey.jobs.gate.closed q":        3,

			"sparekey.jobs.settled dead_lettered q": 1,
			"sparekey.jobs.settled finished known":  1,
			"sparekey.jobs.attempts known":          1,
			"sparekey.jobs.pickup.delay known":      0,
		}
		assert.Equal(t, want, read())
		read()
		assert.Equal(t, 1, inner.asked, "the database is asked once in a while")
		time.Sleep(5 * time.Second)
		read()
		assert.Equal(t, 2, inner.asked)

		require.NoError(t, e.Close())
		assert.True(t, inner.closed)
		read()
		time.Sleep(5 * time.Second)
		assert.Equal(t, 2, inner.asked)
	})
}

// A database in trouble is asked no more often than one that answers.
func TestMeasuredWhileTheDatabaseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := otel.GetMeterProvider()
		reader := metric.NewManualReader()
		otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
		defer otel.SetMeterProvider(before)
		inner := &scripted{ailing: errors.New("database is locked")}
		e, err := jobs.Measured(inner)
		require.NoError(t, err)
		read := func() error { return reader.Collect(t.Context(), &metricdata.ResourceMetrics{}) }

		require.ErrorIs(t, read(), inner.ailing)
		time.Sleep(5*time.Second - 1)
		require.ErrorIs(t, read(), inner.ailing, "told again")
		assert.Equal(t, 1, inner.asked)
		inner.ailing = nil
		time.Sleep(time.Second)
		require.NoError(t, read())
		assert.Equal(t, 2, inner.asked)
		require.NoError(t, e.Close())
	})
}

// rationed is a gate that lets one job through at a time.
type rationed struct{ jobs.Gate }

func (rationed) Ration(context.Context, string, int) int { return 1 }

// watched keeps the gate that Run was given.
type watched struct {
	scripted
	gate jobs.Gate
}

func (w *watched) Run(_ context.Context, c jobs.RunConfig, _ jobs.Handler) error {
	w.gate = c.Gate
	return nil
}

func TestMeasuredKeepsRations(t *testing.T) {
	inner := &watched{}
	e, err := jobs.Measured(inner)
	require.NoError(t, err)
	open := jobs.GateFunc(func(context.Context, string) time.Duration { return 0 })
	require.NoError(t, e.Run(t.Context(), jobs.RunConfig{Gate: rationed{open}}, nil))
	gate, ok := inner.gate.(jobs.Rationed)
	require.True(t, ok)
	assert.Equal(t, 1, gate.Ration(t.Context(), "q", 16))
	require.NoError(t, e.Run(t.Context(), jobs.RunConfig{Gate: open}, nil))
	_, ok = inner.gate.(jobs.Rationed)
	assert.False(t, ok)
	require.NoError(t, e.Run(t.Context(), jobs.RunConfig{}, nil))
	assert.Zero(t, inner.gate.Ready(t.Context(), "q"), "none is an open one")
	require.NoError(t, e.Close())
}
