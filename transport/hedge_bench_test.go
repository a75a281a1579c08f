package transport_test

import (
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// BenchmarkHedge is a call as an SDK makes it that is answered at once: what it
// costs that it might have been hedged, and what the layer costs where it is not.
func BenchmarkHedge(b *testing.B) {
	ready := transport.NewHedge(policy.Hedge{Delay: time.Minute, IdempotencyKey: true})
	payFor(ready, 10)
	b.Run("bare", func(b *testing.B) { benchmarkSDK(b, answering{}) })
	b.Run("off", func(b *testing.B) { benchmarkSDK(b, transport.NewHedge(policy.Hedge{Off: true}).Wrap(answering{})) })
	b.Run("not repeatable", func(b *testing.B) {
		benchmarkSDK(b, transport.NewHedge(policy.Hedge{Delay: time.Minute}).Wrap(answering{}))
	})
	b.Run("ready", func(b *testing.B) { benchmarkSDK(b, ready.Wrap(answering{})) })
}
