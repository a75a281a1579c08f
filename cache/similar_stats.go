package cache

import (
	"cmp"
	"slices"
)

// SimilarStats are what was found out about answers to similar questions, for one
// partition: those requests of a function that agree in all but their text, and
// in whose they are.
type SimilarStats struct {
	Function  string
	Questions int // remembered with their answers

	// Compared is how many live answers were set against what would have been said
	// in their place. Only the latest 4,096 count.
	Compared int

	// Serving reports whether such answers are given when the service fails. The
	// figures below are zero if not.
	Serving bool

	Threshold  float64 // how much alike two questions must be, 0 to 1
	Accuracy   float64 // share of right answers among Samples
	LowerBound float64 // of a one-sided 95 % interval for Accuracy, corrected for the thresholds tried
	Samples    int     // answers that would have been given among Compared
	Coverage   float64 // Samples in Compared
}

// stats returns what was found out about each partition, by function and with
// those first that were compared the most.
func (s *similar) stats() []SimilarStats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]SimilarStats, 0, s.partitions.Len())
	for _, p := range s.partitions.Keys() {
		a, _ := s.partitions.Peek(p)
		all = append(all, a.stats(p.function))
	}
	slices.SortStableFunc(all, func(a, b SimilarStats) int {
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(b.Compared, a.Compared))
	})
	return all
}

func (a *partitionState) stats(function string) SimilarStats {
	stats := SimilarStats{
		Function:  function,
		Questions: len(a.texts) - len(a.free),
		Compared:  len(a.latest),
	}
	best, ok := a.best()
	if !ok {
		return stats
	}
	stats.Serving = true
	stats.Threshold = thresholds[best]
	stats.Accuracy = a.accuracy(best)
	stats.LowerBound = a.lowerBound(best)
	stats.Samples = a.all.given[best]
	stats.Coverage = float64(stats.Samples) / float64(stats.Compared)
	return stats
}
