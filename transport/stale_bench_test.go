package transport_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// BenchmarkStale is a prediction that a breaker refuses and that an earlier answer
// past its lifetime serves: from the cache by itself, from the rung of a ladder above
// it, and from that with a trail. Question and answer have 1 KiB. What the cache takes
// beyond "request", which builds it alone, has to stay below 5 µs.
func BenchmarkStale(b *testing.B) {
	ctx, cancel := context.WithCancel(policy.WithCall(b.Context(), policy.Call{Function: "tickets", Identity: "acme", Replayable: true}))
	defer cancel()
	text := `{"data":"` + strings.Repeat("refund ", 144) + `"}`
	request := func() *http.Request {
		req := newRequest(b, ctx, http.MethodPost, text)
		req.Header["Content-Type"] = []string{"application/json"}
		return req
	}
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			request()
		}
	})
	for _, bm := range []struct {
		name    string
		observe bool
		ladder  bool
	}{
		{"cache", false, false},
		{"ladder", false, true},
		{"ladder with a trail", true, true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			rt := staleStack(b, request(), bm.observe, bm.ladder)
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(rt, request())
			}
		})
	}
}

// staleStack returns a stack that has an answer to req, which is no longer fresh, over
// a breaker that refuses all.
func staleStack(t testing.TB, req *http.Request, observe, ladder bool) http.RoundTripper {
	breaker := transport.NewBreaker(policy.Breaker{})
	memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{TTL: 1}, HandOnFailures: ladder})
	var layers []transport.Layer
	if observe {
		layers = append(layers, telemetry.ObserveCall(telemetry.Config{}))
	}
	if ladder {
		layers = append(layers, fallback.Layer(fallback.Rung{Name: policy.RungStale, Answer: memo.Stale}))
	}
	rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
		return answer(req, http.StatusOK, page[:1<<10]), req.Body.Close()
	}), append(layers, memo.Wrap, breaker.Wrap)...)
	roundTrip(rt, req)
	breaker.Isolate("moving house", time.Time{})
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, resp.Header.Get(telemetry.HeaderName), "stale")
	return rt
}
