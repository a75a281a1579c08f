package itest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
)

func openRiver(tb testing.TB) *opened {
	tb.Helper()
	o, err := openRiverBackend(context.Background(), pgtest.New(tb), 0)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, o.close()) })
	return o
}

func BenchmarkRiverEnqueue(b *testing.B) {
	payload := make([]byte, 100)
	for _, producers := range []int{1, 8} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			o := openRiver(b)
			var next atomic.Int64
			b.ResetTimer()
			var group sync.WaitGroup
			for range producers {
				group.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := o.Enqueue(context.Background(), jobs.Job{ID: fmt.Sprintf("job-%09d", i), Payload: payload}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
	b.Run("batch=100", func(b *testing.B) {
		o := openRiver(b)
		b.ResetTimer()
		fill(b, o.Engine, b.N, 100)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	})
}

// BenchmarkRiverComplete measures jobs that are taken, done in no time and
// recorded.
func BenchmarkRiverComplete(b *testing.B) {
	o := openRiver(b)
	fill(b, o.Engine, b.N, 500)
	b.ResetTimer()
	complete(b, b.N, o.Engine)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkRiverPickUp measures how long after it was enqueued a job is taken by an
// idle worker.
func BenchmarkRiverPickUp(b *testing.B) {
	o := openRiver(b)
	ctx, cancel := context.WithCancel(context.Background())
	taken := make(chan time.Duration, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- o.Run(ctx, jobs.RunConfig{}, func(_ context.Context, d jobs.Delivery) jobs.Outcome {
			taken <- time.Since(d.EnqueuedAt)
			return jobs.Done(jobstest.Answer("yes"))
		})
	}()
	var delays []time.Duration
	for b.Loop() {
		_, err := o.Enqueue(ctx, jobs.Job{ID: fmt.Sprintf("job-%09d", len(delays))})
		require.NoError(b, err)
		delays = append(delays, <-taken)
	}
	cancel()
	require.NoError(b, <-ended)
	slices.Sort(delays)
	b.ReportMetric(delays[len(delays)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(delays[len(delays)*99/100].Seconds()*1000, "p99-ms")
}
