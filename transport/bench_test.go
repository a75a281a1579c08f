package transport_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// The overhead of the layers is what a call takes beyond "bare", the same call on
// the transport alone, which does nothing.
func BenchmarkLayers(b *testing.B) {
	retry := func() transport.Layer { return transport.Retry(policy.Retry{}) }
	breaker := func() transport.Layer { return transport.NewBreaker(policy.Breaker{}).Wrap }
	slow := func() transport.Layer { return transport.NewBreaker(policy.Breaker{SlowCall: time.Second}).Wrap }
	timeout := func() transport.Layer { return transport.Timeout(policy.Timeout{}) }
	perKey := func() transport.Layer {
		return transport.PerKey(transport.Authority, func(string) transport.Layer { return breaker() })
	}
	benchmarks := []struct {
		name string
		rt   http.RoundTripper
	}{
		{"bare", answering{}},
		{"retry", transport.Chain(answering{}, retry())},
		{"breaker", transport.Chain(answering{}, breaker())},
		{"breaker of slow calls", transport.Chain(answering{}, slow())},
		{"timeout", transport.Chain(answering{}, timeout())},
		{"retry breaker timeout", transport.Chain(answering{}, retry(), breaker(), timeout())},
		{"breaker per authority", transport.Chain(answering{}, perKey())},
	}
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) { benchmark(b, bb.rt) })
	}
}

// BenchmarkOpenBreaker is a call that is refused.
func BenchmarkOpenBreaker(b *testing.B) {
	breaker := transport.NewBreaker(policy.Breaker{MinCalls: 1, OpenFor: time.Hour, MaxOpenFor: time.Hour})
	rt := breaker.Wrap(transport.Func(fault))
	if _, _, err := get(b, rt); err != nil || breaker.State() != policy.Open {
		b.Fatalf("the breaker is %v after a fault, %v, want open", breaker.State(), err)
	}
	benchmark(b, rt)
}

// BenchmarkIsolatedBreaker is a call that is refused by hand.
func BenchmarkIsolatedBreaker(b *testing.B) {
	breaker := transport.NewBreaker(policy.Breaker{})
	breaker.Isolate("moving house", time.Time{})
	benchmark(b, breaker.Wrap(answering{}))
}

// TestBreakerAllocations keeps what the benchmarks show: a call costs two
// allocations beyond its own, and a refusal none.
func TestBreakerAllocations(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	measure := func(rt http.RoundTripper) float64 {
		req := newRequest(t, ctx, http.MethodGet, "")
		return testing.AllocsPerRun(1000, func() { roundTrip(rt, req) })
	}
	breaker := transport.NewBreaker(policy.Breaker{SlowCall: time.Second})
	rt := breaker.Wrap(answering{})
	if bare, got := measure(answering{}), measure(rt); got > bare+2 {
		t.Errorf("a call makes %v allocations, bare ones make %v", got, bare)
	}
	breaker.Isolate("moving house", time.Time{})
	if got := measure(rt); got > 0 {
		t.Errorf("a refusal makes %v allocations, want none", got)
	}
}

// TestRetryAllocations: a call that goes well costs one allocation beyond its own,
// whatever its body, and one more if the answer is read ahead.
func TestRetryAllocations(t *testing.T) {
	rt := transport.Retry(policy.Retry{})(answering{})
	for _, readAhead := range []bool{false, true} {
		ctx := policy.WithCall(t.Context(), policy.Call{Replayable: readAhead})
		measure := func(rt http.RoundTripper) float64 {
			req := newRequest(t, ctx, http.MethodPost, "hello")
			return testing.AllocsPerRun(1000, func() { roundTrip(rt, req) })
		}
		want := measure(answering{}) + 1
		if readAhead {
			want++
		}
		if got := measure(rt); got > want {
			t.Errorf("with an answer that is read ahead %v, a call makes %v allocations, want %v", readAhead, got, want)
		}
	}
}

// BenchmarkOneRetry is a call whose first attempt ends in a 503 with a body of
// 2 KiB, without a wait.
func BenchmarkOneRetry(b *testing.B) {
	retry := transport.Retry(policy.Retry{
		Throttled: policy.Backoff{Base: -1},
		Budget:    policy.Budget{Off: true},
	})
	b.Run("bare", func(b *testing.B) { benchmark(b, twice{failing{}}) })
	b.Run("retry", func(b *testing.B) { benchmark(b, retry(failing{})) })
}

// benchmark measures whole calls, one after another and at once, with a context
// that can be canceled as those of servers can.
func benchmark(b *testing.B, rt http.RoundTripper) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	newCall := func() *http.Request {
		return newRequest(b, context.WithValue(ctx, turnKey{}, new(int)), http.MethodGet, "")
	}
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		req := newCall()
		for b.Loop() {
			roundTrip(rt, req)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			req := newCall()
			for pb.Next() {
				roundTrip(rt, req)
			}
		})
	})
}

func roundTrip(rt http.RoundTripper, req *http.Request) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// text is a body. It hides all that a strings.Reader can do beyond reading.
type text struct{ io.Reader }

func (text) Close() error { return nil }

func answer(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{}, Request: req,
		ContentLength: -1, Body: text{strings.NewReader(body)},
	}
}

// answering is a transport that answers.
type answering struct{}

func (answering) RoundTrip(req *http.Request) (*http.Response, error) {
	return answer(req, http.StatusOK, "fine"), nil
}

// failing is a transport that fails every other time, by a count in the context.
type failing struct{}

type turnKey struct{}

var page = strings.Repeat("x", 2<<10)

func (failing) RoundTrip(req *http.Request) (*http.Response, error) {
	turn := req.Context().Value(turnKey{}).(*int)
	if *turn++; *turn%2 == 1 {
		return answer(req, http.StatusServiceUnavailable, page), nil
	}
	return answer(req, http.StatusOK, "fine"), nil
}

// twice is a caller who asks twice by hand.
type twice struct{ next http.RoundTripper }

func (t twice) RoundTrip(req *http.Request) (*http.Response, error) {
	roundTrip(t.next, req)
	return t.next.RoundTrip(req)
}
