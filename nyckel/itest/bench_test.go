package itest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
)

func BenchmarkSQLiteEnqueue(b *testing.B) {
	payload := make([]byte, 100)
	for _, producers := range []int{1, 8} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			engine, _ := openSQLite(b, filepath.Join(b.TempDir(), "jobs.db"), sqlitejobs.Options{Bound: -1})
			var next atomic.Int64
			b.ResetTimer()
			var group sync.WaitGroup
			for range producers {
				group.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := engine.Enqueue(context.Background(), jobs.Job{ID: fmt.Sprintf("job-%09d", i), Payload: payload}); err != nil {
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
		engine, _ := openSQLite(b, filepath.Join(b.TempDir(), "jobs.db"), sqlitejobs.Options{Bound: -1})
		b.ResetTimer()
		fill(b, engine, b.N, 100)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	})
}

// BenchmarkSQLiteComplete measures jobs that are taken, done in no time and
// recorded.
func BenchmarkSQLiteComplete(b *testing.B) {
	for _, engines := range []int{1, 2} {
		b.Run(fmt.Sprintf("engines=%d", engines), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "jobs.db")
			var all []jobs.Engine
			for range engines {
				engine, _ := openSQLite(b, path, sqlitejobs.Options{Bound: -1})
				all = append(all, engine)
			}
			fill(b, all[0], b.N, 500)
			b.ResetTimer()
			complete(b, b.N, all...)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

func BenchmarkSQLitePickUp(b *testing.B) {
	engine, _ := openSQLite(b, filepath.Join(b.TempDir(), "jobs.db"), sqlitejobs.Options{})
	pickUp(b, engine)
}

// pickUp measures how long after they were enqueued jobs are taken by an idle worker.
func pickUp(b *testing.B, e jobs.Engine) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	taken := make(chan time.Duration, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- e.Run(ctx, jobs.RunConfig{}, func(_ context.Context, d jobs.Delivery) jobs.Outcome {
			taken <- time.Since(d.EnqueuedAt)
			return jobs.Done(jobstest.Answer("yes"))
		})
	}()
	var delays []time.Duration
	for b.Loop() {
		_, err := e.Enqueue(ctx, jobs.Job{ID: fmt.Sprintf("job-%09d", len(delays))})
		require.NoError(b, err)
		delays = append(delays, <-taken)
	}
	cancel()
	require.NoError(b, <-ended)
	slices.Sort(delays)
	b.ReportMetric(delays[len(delays)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(delays[len(delays)*99/100].Seconds()*1000, "p99-ms")
}

// fill enqueues n jobs of 100 bytes.
func fill(tb testing.TB, e jobs.Engine, n, size int) {
	tb.Helper()
	payload := make([]byte, 100)
	for first := 0; first < n; first += size {
		js := make([]jobs.Job, min(size, n-first))
		for i := range js {
			js[i] = jobs.Job{ID: fmt.Sprintf("job-%09d", first+i), Payload: payload}
		}
		_, err := e.Enqueue(context.Background(), js...)
		require.NoError(tb, err)
	}
}

// complete has the engines do n jobs.
func complete(tb testing.TB, n int, engines ...jobs.Engine) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var settled atomic.Int64
	var group sync.WaitGroup
	c := jobs.RunConfig{OnSettled: func(jobs.Settled) {
		if settled.Add(1) == int64(n) {
			cancel()
		}
	}}
	for _, e := range engines {
		group.Go(func() {
			if err := e.Run(ctx, c, func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.Done(jobstest.Answer("yes")) }); err != nil {
				tb.Error(err)
			}
		})
	}
	group.Wait()
}
