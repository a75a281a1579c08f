package sqlite_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// rows is how many predictions the analyses look at: -rows 1000000 for the figures
// that count.
var rows = flag.Int("rows", 20_000, "predictions in the database of BenchmarkAnalysis")

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// batch returns n predictions, the first of which has number from, of 1,000,000
// over 60 days.
func batch(from, n int) []predictions.Prediction {
	ps := make([]predictions.Prediction, n)
	for i := range ps {
		k := from + i
		ps[i] = predictions.Prediction{
			ID: fmt.Sprintf("job-%08d", k), Function: "tickets", Model: "model_" + strconv.Itoa(k%3), ExternalID: fmt.Sprintf("ticket-%08d", k),
			InputHash: make([]byte, 32), Label: "label " + strconv.Itoa(k%20), LabelID: "label_" + strconv.Itoa(k%20), Confidence: float64(k%997) / 997,
			Attempts: 1, Latency: 120 * time.Millisecond, TraceID: "0102030405060708090a0b0c0d0e0f10",
			At: start.Add(time.Duration(k) * (60 * 24 * time.Hour / 1_000_000)),
		}
	}
	return ps
}

func BenchmarkRecord(b *testing.B) {
	for _, size := range []int{1, 500} {
		b.Run(fmt.Sprintf("batch of %d", size), func(b *testing.B) {
			store := openStore(b, openDB(b, filepath.Join(b.TempDir(), "store.db")), predictions.Options{})
			n := 0
			for b.Loop() {
				require.NoError(b, store.Record(b.Context(), batch(n, size)...))
				n += size
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "predictions/s")
		})
	}
	b.Run("parallel, one at a time", func(b *testing.B) {
		store := openStore(b, openDB(b, filepath.Join(b.TempDir(), "store.db")), predictions.Options{})
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				p := batch(0, 1)
				p[0].ID = "" // a new one
				if err := store.Record(context.Background(), p...); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "predictions/s")
	})
}

func BenchmarkWriter(b *testing.B) {
	store := openStore(b, openDB(b, filepath.Join(b.TempDir(), "store.db")), predictions.Options{})
	w := predictions.NewWriter(store, predictions.WriterOptions{Block: time.Minute})
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, w.Put(b.Context(), batch(n, 1)[0]))
		n++
	}
	require.NoError(b, w.Close(b.Context()))
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "predictions/s")
}

func BenchmarkAnalysis(b *testing.B) {
	store := openStore(b, openDB(b, filepath.Join(b.TempDir(), "store.db")), predictions.Options{})
	for from := 0; from < *rows; from += 5000 {
		ps := batch(from, min(5000, *rows-from))
		require.NoError(b, store.Record(b.Context(), ps...))
		var truths []predictions.Truth
		for i := 0; i < len(ps); i += 3 {
			truths = append(truths, predictions.Truth{Function: "tickets", ExternalID: ps[i].ExternalID, Label: "label " + strconv.Itoa(i%7)})
		}
		require.NoError(b, store.SetTruth(b.Context(), truths...))
	}
	const day = 24 * time.Hour
	days := predictions.Scope{Function: "tickets", Step: day}
	last := predictions.Scope{Function: "tickets", Step: day, From: start.Add(53 * day)}
	ctx := b.Context()
	run := func(name string, fn func() error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, fn())
			}
		})
	}
	run("accuracy by model and day", func() error { _, err := store.Performance(ctx, days); return err })
	run("accuracy by model and day, last week", func() error { _, err := store.Performance(ctx, last); return err })
	run("calibration by model", func() error { _, err := store.Calibration(ctx, predictions.Scope{}); return err })
	run("drift by model and day", func() error { _, err := store.Drift(ctx, predictions.Span{To: start.Add(7 * day)}, days); return err })
	run("sources by day", func() error { _, err := store.Sources(ctx, days); return err })
	audit := func(q predictions.Query) error {
		for _, err := range store.Audit(ctx, q) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	run("audit by id", func() error { return audit(predictions.Query{ID: "job-00010000"}) })
	run("audit by external id", func() error { return audit(predictions.Query{ExternalID: "ticket-00010000"}) })
	run("audit, a page of a day", func() error {
		return audit(predictions.Query{Function: "tickets", From: start.Add(10 * time.Minute), Limit: 100})
	})
}
