package batch_test

import (
	"context"
	"testing"

	"github.com/sparekey/sparekey/nyckel/batch"
)

func echo(_ context.Context, item int) (int, error) { return item, nil }

func echoAll(_ context.Context, items []int) ([]batch.Result[int], error) {
	results := make([]batch.Result[int], len(items))
	for i, item := range items {
		results[i].Value = item
	}
	return results, nil
}

// BenchmarkSubmit measures what a request costs beside the call itself.
func BenchmarkSubmit(b *testing.B) {
	services := []struct {
		name    string
		service batch.Service[int, int]
		cfg     batch.Config
	}{
		{"alone", batch.Service[int, int]{Each: echo}, batch.Config{Size: 1}},
		{"array", batch.Service[int, int]{All: echoAll}, batch.Config{Delay: -1, Concurrency: 1}},
		{"merged", batch.Service[int, int]{All: echoAll, Key: func(i int) any { return i & 7 }}, batch.Config{Delay: -1, Concurrency: 1}},
	}
	for _, s := range services {
		b.Run(s.name, func(b *testing.B) {
			batcher := batch.New(s.service, s.cfg)
			b.ReportAllocs()
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := batcher.Submit(b.Context(), i); err != nil {
						b.Error(err)
					}
				}
			})
			stats := batcher.Stats()
			b.ReportMetric(float64(stats.Calls)/float64(stats.Requests), "calls/op")
		})
	}
}
