package cache

import (
	"runtime"
	"testing"
	"time"
)

// BenchmarkSimilar is on 10,000 questions of Banking77.
func BenchmarkSimilar(b *testing.B) {
	train, test := banking77(b, "train"), banking77(b, "test")
	before := heapInUse()
	s := similarOf(10_000)
	for i, row := range train {
		s.live(tickets, row.text, row.label, keyAt(i))
	}
	memory := heapInUse() - before
	b.Run("look", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			s.look(tickets, test[i%len(test)].text)
			i++
		}
		b.ReportMetric(float64(memory)/10_000, "B/text")
	})
	b.Run("look and serve", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			s.serve(s.look(tickets, test[i%len(test)].text))
			i++
		}
	})
	b.Run("look, parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				s.look(tickets, test[i%len(test)].text)
			}
		})
	})
	b.Run("look, compare and learn", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			row := test[i%len(test)]
			m := s.look(tickets, row.text)
			s.compare(m, row.label)
			s.learn(tickets, row.text, row.label, keyAt(i), time.Time{})
			i++
		}
	})
}

// Texts that all have the same words are the worst there is.
func BenchmarkSimilarAlike(b *testing.B) {
	s := similarOf(50_000)
	text := func(i int) string { return "where is the parcel with my blue shoes for account " + letters(i) }
	for i := range 50_000 {
		s.live(tickets, text(i), "where", keyAt(i))
	}
	b.Run("look", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.look(tickets, text(60_000))
		}
	})
	b.Run("learn", func(b *testing.B) {
		b.ReportAllocs()
		i := 50_000
		for b.Loop() {
			s.learn(tickets, text(i), "where", keyAt(i), time.Time{})
			i++
		}
	})
}

// heapInUse returns the bytes that are in use.
func heapInUse() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
