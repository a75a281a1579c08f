package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// percent says "100.0 %" only of all.
func percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	share := math.Round(1000*float64(part)/float64(whole)) / 10
	if part < whole {
		share = min(share, 99.9)
	}
	return fmt.Sprintf("%.1f %%", share)
}

// rounded leaves a share the four digits that may mean something.
func rounded(share float64) float64 { return math.Round(1e4*share) / 1e4 }

// sortedByCount returns the keys, those counted most often first.
func sortedByCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

// quantile returns the duration that a share q of all is no longer than, zero of
// none.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
