package transport_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// BenchmarkFailover is what a choice among three costs beside none.
func BenchmarkFailover(b *testing.B) {
	for _, n := range []int{1, 3} {
		for s := policy.Ordered; s <= policy.Sticky; s++ {
			cfg := policy.Failover{Endpoints: regions()[:n], Strategy: s, Key: func(*http.Request) string { return "key" }}
			cfg.Endpoints[0].URL = target
			retried := transport.Chain(answering{}, transport.Retry(policy.Retry{}), transport.NewFailover(cfg, nil).Wrap)
			alone := transport.NewFailover(cfg, nil).Wrap(answering{})
			b.Run(fmt.Sprintf("%d/%v", n, s), func(b *testing.B) { benchmark(b, alone) })
			b.Run(fmt.Sprintf("%d/%v in retry", n, s), func(b *testing.B) { benchmark(b, retried) })
		}
	}
}
