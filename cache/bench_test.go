package cache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
)

// BenchmarkPredictions measures a call whose request and answer have 1 KiB each,
// with its request and the reading of its answer: "bare" is that alone.
func BenchmarkPredictions(b *testing.B) {
	text := fmt.Sprintf(`{"data":%q,"metadata":{"lang":"en","channel":"mail"}}`, strings.Repeat("refund ", 140))
	reply := fmt.Sprintf(`{"labelName":"billing","confidence":0.93,"note":%q}`, strings.Repeat("x", 970))
	upstream := transportFunc(func(req *http.Request) (*http.Response, error) {
		_ = req.Body.Close()
		return response(http.StatusOK, reply), nil
	})
	call := func(b *testing.B, rt http.RoundTripper, text string) {
		req := newCall(b, text, policy.Call{Function: "tickets", Identity: "acme"})
		resp, err := rt.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	newCache := func() http.RoundTripper { return cache.Predictions(cache.PredictionsConfig{})(upstream) }

	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			call(b, upstream, text)
		}
	})
	b.Run("hit/serial", func(b *testing.B) {
		rt := newCache()
		b.ReportAllocs()
		for b.Loop() {
			call(b, rt, text)
		}
	})
	b.Run("hit/parallel", func(b *testing.B) {
		rt := newCache()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call(b, rt, text)
			}
		})
	})
	b.Run("miss", func(b *testing.B) {
		rt := newCache()
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			call(b, rt, fmt.Sprintf(`{"n":%d,%s`, n, text[1:]))
		}
	})
	b.Run("bypass", func(b *testing.B) {
		rt := newCache()
		b.ReportAllocs()
		for b.Loop() {
			call(b, rt, `{"stream":true,`+text[1:])
		}
	})
}

// BenchmarkMemoStale measures the same call while a breaker is open, that is, while
// the layer below refuses at once, and of the rung that a ladder asks.
func BenchmarkMemoStale(b *testing.B) {
	text := fmt.Sprintf(`{"data":%q,"metadata":{"lang":"en","channel":"mail"}}`, strings.Repeat("refund ", 140))
	reply := fmt.Sprintf(`{"labelName":"billing","confidence":0.93,"note":%q}`, strings.Repeat("x", 970))
	refusal := &policy.Refusal{Layer: "breaker", Reason: "open"}
	for _, handOn := range []bool{false, true} {
		up := true
		upstream := transportFunc(func(req *http.Request) (*http.Response, error) {
			_ = req.Body.Close()
			if up {
				return response(http.StatusOK, reply), nil
			}
			return nil, refusal
		})
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{TTL: 1}, HandOnFailures: handOn})
		rt := memo.Wrap(upstream)
		newRequest := func() *http.Request {
			return newCall(b, text, policy.Call{Function: "tickets", Identity: "acme"})
		}
		ask(b, rt, newRequest())
		up = false
		name := "layer"
		if handOn {
			name = "rung"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := newRequest()
				var resp *http.Response
				if handOn {
					resp, _, _ = memo.Stale(req, false)
				} else {
					resp, _ = rt.RoundTrip(req)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = newCall(b, text, policy.Call{Function: "tickets", Identity: "acme"})
		}
	})
}
