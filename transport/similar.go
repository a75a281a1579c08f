package transport

import (
	"net/http"

	"github.com/sparekey/sparekey/cache"
)

// SimilarStats returns what the caches among the layers of rt found out about
// answers to similar questions: see [cache.Memo.SimilarStats] and [Inspect].
// Caches that [PerKey] keeps are not among them. It returns nil if there are none
// that look for them, or nothing was asked yet.
func SimilarStats(rt http.RoundTripper) []cache.SimilarStats {
	var stats []cache.SimilarStats
	for range maxWalk {
		if memo, ok := rt.(interface {
			SimilarStats() []cache.SimilarStats
		}); ok {
			stats = append(stats, memo.SimilarStats()...)
		}
		if _, rt, _ = look(rt); rt == nil {
			break
		}
	}
	return stats
}
