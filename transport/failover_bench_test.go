package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// BenchmarkFailover is a call as an SDK makes it, through one endpoint and through
// three that are well: what they cost is the difference.
func BenchmarkFailover(b *testing.B) {
	for _, strategy := range []policy.Strategy{policy.Ordered, policy.RoundRobin, policy.LeastLatency, policy.Sticky} {
		for _, n := range []int{1, 3} {
			failover := transport.NewFailover(policy.Failover{
				Endpoints: regions()[:n], Strategy: strategy, Key: func(*http.Request) string { return "key" },
			}, nil)
			alone := failover.Wrap(answering{})
			b.Run(fmt.Sprintf("%v/%d", strategy, n), func(b *testing.B) { benchmarkSDK(b, alone) })
			retried := transport.Retry(policy.Retry{})(alone)
			b.Run(fmt.Sprintf("%v in retry/%d", strategy, n), func(b *testing.B) { benchmarkSDK(b, retried) })
		}
	}
}

func benchmarkSDK(b *testing.B, rt http.RoundTripper) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(rt, sdkRequest(b, ctx))
	}
}

// sdkRequest is a request as an SDK makes it, to the first region.
func sdkRequest(tb testing.TB, ctx context.Context) *http.Request { //nolint:revive // as newRequest has it
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://a.test/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header = http.Header{
		"Accept": {"application/json"}, "Authorization": {"Bearer x"}, "Content-Type": {"application/json"},
		"User-Agent": {"sdk"}, "X-Stainless-Lang": {"go"}, "X-Stainless-Retry-Count": {"0"},
	}
	return req
}
