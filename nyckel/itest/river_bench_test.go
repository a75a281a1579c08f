package itest_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
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

func BenchmarkRiverPickUp(b *testing.B) { pickUp(b, openRiver(b).Engine) }
