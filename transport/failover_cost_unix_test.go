//go:build unix

package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// BenchmarkFailoverCost is what three endpoints that are well cost beyond one: the
// median over rounds that take turns, in processor time, which does not count what
// neighbors on the machine take, with a heap like a service's. Each endpoint has
// credentials of its own, so that a request is another one for whichever it goes to;
// "bare" ones have none, and a request for the one that it names goes as it is.
func BenchmarkFailoverCost(b *testing.B) {
	for strategy := policy.Ordered; strategy <= policy.Sticky; strategy++ {
		over := func(n int, credentials bool) http.RoundTripper {
			endpoints := regions()[:n]
			for i := range endpoints {
				if credentials {
					endpoints[i].Header = http.Header{"Authorization": {"Bearer " + endpoints[i].Name}}
				}
			}
			cfg := policy.Failover{Endpoints: endpoints, Strategy: strategy, Key: nextKey()}
			return transport.NewFailover(cfg, nil).Wrap(answering{})
		}
		retry := transport.Retry(policy.Retry{})
		for _, credentials := range []bool{true, false} {
			name := fmt.Sprint(strategy)
			if !credentials {
				name += " bare"
			}
			one, three := over(1, credentials), over(3, credentials)
			b.Run(name, func(b *testing.B) { benchmarkCost(b, one, three) })
			b.Run(name+" in retry", func(b *testing.B) { benchmarkCost(b, retry(one), retry(three)) })
		}
	}
}

// nextKey returns a func that returns one of 64 keys after the other.
func nextKey() func(*http.Request) string {
	var keys [64]string
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	var n atomic.Uint64
	return func(*http.Request) string { return keys[n.Add(1)%64] }
}

func benchmarkCost(b *testing.B, one, three http.RoundTripper) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	const calls = 1000 // in a round
	heap := make([]byte, 64<<20)
	defer runtime.KeepAlive(heap)
	var extra, total []float64
	round := func(rt http.RoundTripper) float64 {
		before := cpuTime()
		for range calls {
			roundTrip(rt, sdkRequest(b, ctx))
		}
		return float64(cpuTime()-before) / calls
	}
	for b.Loop() {
		single, several := round(one), round(three)
		extra, total = append(extra, several-single), append(total, several)
	}
	slices.Sort(extra)
	slices.Sort(total)
	b.ReportMetric(extra[len(extra)/2], "extra-ns/call")
	b.ReportMetric(total[len(total)/2], "cpu-ns/call")
}

// cpuTime returns the processor time that this process has used, garbage
// collection included.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
