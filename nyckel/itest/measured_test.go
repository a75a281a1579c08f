package itest_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// A dial is what OpenTelemetry says of the one queue of an engine.
type dial struct {
	depth                      map[string]int64 // by state
	oldestReady, oldestRunning float64          // seconds
}

// openMeasured opens an engine that OpenTelemetry meters, alone, and returns the
// func that reads it.
func openMeasured(t *testing.T, name string) (*opened, func() dial) {
	t.Helper()
	o, err := openSQLiteBackend(t.Context(), name, 0)
	require.NoError(t, err)
	reader := metric.NewManualReader()
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	o.Engine, err = jobs.Measured(o.Engine)
	otel.SetMeterProvider(before)
	require.NoError(t, err)
	return o, func() dial {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(context.Background(), &all))
		d := dial{depth: map[string]int64{}}
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				switch data := m.Data.(type) {
				case metricdata.Gauge[int64]:
					for _, p := range data.DataPoints {
						if state, ok := p.Attributes.Value("sparekey.job.state"); ok && m.Name == "sparekey.jobs.depth" {
							d.depth[state.AsString()] = p.Value
						}
					}
				case metricdata.Gauge[float64]:
					for _, p := range data.DataPoints {
						switch m.Name {
						case "sparekey.jobs.oldest_ready.age":
							d.oldestReady = p.Value
						case "sparekey.jobs.oldest_running.age":
							d.oldestRunning = p.Value
						}
					}
				}
			}
		}
		return d
	}
}

// countedDepth returns what the table itself says.
func countedDepth(t *testing.T, db *sql.DB) map[string]int64 {
	t.Helper()
	now := time.Now().UnixMicro()
	return map[string]int64{
		"ready":     scalar[int64](t, db, "SELECT count(*) FROM sparekey_jobs WHERE state = 1 AND run_at <= ?", now),
		"scheduled": scalar[int64](t, db, "SELECT count(*) FROM sparekey_jobs WHERE state = 1 AND run_at > ?", now),
		"running":   scalar[int64](t, db, "SELECT count(*) FROM sparekey_jobs WHERE state = 2"),
		"dead":      scalar[int64](t, db, "SELECT count(*) FROM sparekey_jobs WHERE state = 3"),
	}
}

// TestMeasuredIsTrue kills processes at work: what OpenTelemetry says of a queue is
// what its table holds, at once for who asks for the first time and after 5 s for
// who asked before.
func TestMeasuredIsTrue(t *testing.T) {
	const kills, dead, scheduled = 3, 3, 7
	name := filepath.Join(t.TempDir(), "jobs.db")
	all, read := openMeasured(t, name)
	defer func() { assert.NoError(t, all.close()) }()
	bury(t, all, dead)
	for i := range scheduled {
		_, err := all.Enqueue(t.Context(), jobs.Job{ID: "later-" + jobID(i), RunAt: time.Now().Add(time.Hour)})
		require.NoError(t, err)
	}
	assert.Equal(t, map[string]int64{"ready": 0, "scheduled": scheduled, "running": 0, "dead": dead}, read().depth)

	const n = 20_000
	l := newLedger(n)
	spec := victimSpec{
		Backend: "sqlite", Name: name, Jobs: n, Producers: 8, Workers: 4, Lease: time.Second,
		Work: 20 * time.Millisecond, Fatal: -1, Stay: true,
	}
	for i := range kills {
		spec.First = l.firstUnacked()
		v := startVictim(t, spec, l)
		begin, _ := l.progress()
		require.Eventually(t, func() bool { done, _ := l.progress(); return done > begin+500 }, time.Minute, time.Millisecond)
		v.kill()

		fresh, readFresh := openMeasured(t, name)
		db := fresh.store.DB()
		before := time.Now()
		got := readFresh()
		after := time.Now()
		want := countedDepth(t, db)
		assert.Equal(t, want, got.depth, "after kill %d", i+1)
		assert.Positive(t, got.depth["ready"], "the test sees nothing wait")
		assert.Positive(t, got.depth["running"], "the test sees nothing run")
		assertAge(t, got.oldestReady, before, after, scalar[int64](t, db, "SELECT min(run_at) FROM sparekey_jobs WHERE state = 1"))
		assertAge(t, got.oldestRunning, before, after, scalar[int64](t, db, "SELECT min(changed_at) FROM sparekey_jobs WHERE state = 2"))
		require.NoError(t, fresh.close())
		t.Logf("kill %d: %v", i+1, got)
	}
	want, still := countedDepth(t, all.store.DB()), time.Now()
	require.Eventually(t, func() bool { return assert.ObjectsAreEqual(want, read().depth) }, 6*time.Second, 50*time.Millisecond)
	t.Logf("who had asked before knew after %v", time.Since(still).Round(time.Millisecond))
}

// assertAge checks an age that was read between two moments.
func assertAge(t *testing.T, seconds float64, before, after time.Time, since int64) {
	t.Helper()
	begin := time.UnixMicro(since)
	assert.GreaterOrEqual(t, seconds, before.Sub(begin).Seconds()-1e-6)
	assert.LessOrEqual(t, seconds, after.Sub(begin).Seconds()+1e-6)
}

// bury leaves n dead jobs.
func bury(t *testing.T, e jobs.Engine, n int) {
	t.Helper()
	for i := range n {
		_, err := e.Enqueue(t.Context(), jobs.Job{ID: "dead-" + jobID(i)})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	settled := make(chan struct{}, n)
	go func() {
		for range n {
			<-settled
		}
		cancel()
	}()
	require.NoError(t, e.Run(ctx, jobs.RunConfig{OnSettled: func(jobs.Settled) { settled <- struct{}{} }},
		func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.DeadLetter(nil) }))
}
