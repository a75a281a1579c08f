package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Retry layers one below the other make as many attempts as the most patient of
// them, not as many as the product.
func TestRetryNestedDoesNotMultiply(t *testing.T) {
	retry := func(attempts int) transport.Layer { return transport.Retry(policy.Retry{Attempts: attempts}) }
	standard := func() transport.Layer { return transport.Standard(policy.Stack{Total: -1}) }
	clone := func(next http.RoundTripper) http.RoundTripper { // as foreign layers have it
		return transport.Func(func(req *http.Request) (*http.Response, error) {
			return next.RoundTrip(req.Clone(req.Context()))
		})
	}
	tests := []struct {
		name   string
		layers []transport.Layer
		want   int
	}{
		{"one", []transport.Layer{retry(3)}, 3},
		{"two", []transport.Layer{retry(3), retry(3)}, 3},
		{"three", []transport.Layer{retry(3), retry(3), retry(3)}, 3},
		{"the inner one is more patient", []transport.Layer{retry(2), retry(5)}, 5},
		{"the outer one is more patient", []transport.Layer{retry(5), retry(2)}, 5},
		{"the one between is", []transport.Layer{retry(2), retry(6), retry(4)}, 6},
		{"foreign layers between", []transport.Layer{retry(3), clone, retry(3), clone, retry(3)}, 3},
		{"three standard stacks", []transport.Layer{standard(), standard(), standard()}, 3},
		{"a standard stack below two layers", []transport.Layer{retry(4), retry(2), standard()}, 4},
	}
	for _, tt := range tests {
		for _, step := range []transporttest.Step{transporttest.Reply(503, "busy"), transporttest.Fail(errDial)} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					upstream := transporttest.NewUpstream(step)
					rt := transport.Chain(upstream, tt.layers...)
					for range 2 { // calls do not count for each other
						before := upstream.Calls()
						_, _, _ = send(t, rt, newRequest(t, t.Context(), http.MethodPut, "hello"))
						assert.Equal(t, tt.want, upstream.Calls()-before, "attempts")
					}
				})
			})
		}
	}
}

// Requests of one call that fail at the same time make no more attempts together than
// those of one alone.
func TestRetryNestedCountsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := policy.NewBucket(policy.Budget{Burst: 10, Ratio: -1, PerSecond: -1})
		var deciding atomic.Int64
		together := make(chan struct{})
		retry := transport.Retry(policy.Retry{Bucket: bucket, Random: func() float64 {
			switch deciding.Add(1) {
			case 1:
				<-together
			case 2:
				close(together)
			}
			return 0
		}})
		steps := []transporttest.Step{transporttest.Reply(200, ""), transporttest.After(time.Minute, transporttest.Fail(errDial))}
		upstream := transporttest.NewUpstream(steps...)
		hedge := transport.NewHedge(policy.Hedge{Delay: time.Second, Ratio: 1})
		rt := transport.Chain(upstream, hedge.Wrap, retry)
		_, _, err := get(t, rt) // for which there may be a hedge
		require.NoError(t, err)
		_, _, err = get(t, rt)
		require.ErrorIs(t, err, errDial)
		assert.Equal(t, 1+3, upstream.Calls())
		assert.Equal(t, 9, bucket.Tokens(time.Now()), "what was not sent is given back")
	})
}

// A layer between two retry layers keeps the request that it sends on, as every
// caller does, also when the inner one records the body and mints a key.
func TestRetryNestedLeavesRequestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		between := func(next http.RoundTripper) http.RoundTripper {
			return transport.Func(func(req *http.Request) (*http.Response, error) {
				sent++
				before, header := *req, req.Header.Clone()
				defer checkUnchanged(t, req, &before, header)
				return next.RoundTrip(req)
			})
		}
		rt := transport.Chain(
			transporttest.NewUpstream(transporttest.Reply(429, "busy"), transporttest.Reply(200, "fine")),
			transport.Retry(policy.Retry{ReplayBytes: -1}), between, transport.Retry(policy.Retry{IdempotencyKey: true}))

		req := uploading(t, t.Context(), newUpload(t, strings.NewReader("hello")), -1)
		req.Method = http.MethodPost
		status, _, err := send(t, rt, req)
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		assert.Equal(t, 1, sent, "the inner layer repeats it")
	})
}

// toHosts is a layer that sends a request to one host after another, until one
// answers.
func toHosts(hosts ...string) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		return transport.Func(func(req *http.Request) (*http.Response, error) {
			for i, host := range hosts {
				to := req.Clone(req.Context())
				to.URL.Host = host
				resp, err := next.RoundTrip(to)
				if err == nil || i == len(hosts)-1 {
					return resp, err
				}
			}
			panic("no hosts")
		})
	}
}

// What is another request counts its own attempts. The budget of the outermost
// layer bounds those, too.
func TestRetryNestedOtherRequests(t *testing.T) {
	tests := []struct {
		name  string
		burst float64 // of the outermost layer
		want  int     // requests
	}{
		{"enough tokens", 20, 3 * 2 * 3}, // 3 attempts of 2 hosts with 3 attempts each
		{"few tokens", 4, 2 + 4},         // the first of each host
		{"no tokens", -1, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outer := policy.NewBucket(policy.Budget{Burst: tt.burst, Ratio: -1, PerSecond: -1})
				inner := policy.NewBucket(policy.Budget{Burst: 100, PerSecond: -1})
				upstream := transporttest.NewUpstream(transporttest.Fail(errDial))
				rt := transport.Chain(upstream,
					transport.Retry(policy.Retry{Bucket: outer}),
					toHosts("a.test", "b.test"),
					transport.Retry(policy.Retry{Bucket: inner}))
				_, _, err := get(t, rt)
				require.ErrorIs(t, err, errDial)
				assert.LessOrEqual(t, upstream.Calls(), tt.want)
				if tt.burst != 4 { // who comes first gets the token
					assert.Equal(t, tt.want, upstream.Calls())
				}
				retriesBelow := 100 - inner.Tokens(time.Now())
				if left := outer.Tokens(time.Now()); tt.burst > 0 && retriesBelow > int(tt.burst)-left {
					t.Errorf("%d retries below took %v tokens above", retriesBelow, int(tt.burst)-left)
				}
			})
		})
	}
}

// Each bucket bounds what goes past it, and a token that one of them does not give
// is given back to the other.
func TestRetryNestedReservesFromBoth(t *testing.T) {
	tests := []struct {
		name         string
		outer, inner float64 // tokens
		wantRequests int
		wantLeft     [2]int
	}{
		{"both have", 5, 5, 3, [2]int{3, 3}},
		{"only the inner one has", 0.5, 5, 1, [2]int{0, 5}},
		{"only the outer one has", 5, 0.5, 3, [2]int{3, 0}}, // it retries itself
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				outer := policy.NewBucket(policy.Budget{Burst: tt.outer, PerSecond: -1})
				inner := policy.NewBucket(policy.Budget{Burst: tt.inner, PerSecond: -1})
				upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy"))
				rt := transport.Chain(upstream, transport.Retry(policy.Retry{Bucket: outer}), transport.Retry(policy.Retry{Bucket: inner}))
				_, _, err := get(t, rt)
				require.NoError(t, err)
				assert.Equal(t, tt.wantRequests, upstream.Calls())
				assert.Equal(t, tt.wantLeft, [2]int{outer.Tokens(time.Now()), inner.Tokens(time.Now())})
			})
		})
	}
	t.Run("given back by who leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			outer, inner := policy.NewBucket(policy.Budget{PerSecond: -1}), policy.NewBucket(policy.Budget{PerSecond: -1})
			upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy", "Retry-After", "9"))
			rt := transport.Chain(upstream, transport.Retry(policy.Retry{Bucket: outer}), transport.Retry(policy.Retry{Bucket: inner}))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
			require.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, 20, outer.Tokens(time.Now()))
			assert.Equal(t, 20, inner.Tokens(time.Now()))
		})
	})
	t.Run("a success is paid for once", func(t *testing.T) {
		bucket := policy.NewBucket(policy.Budget{PerSecond: -1, Ratio: 1})
		for range 10 {
			bucket.Reserve(time.Now())
		}
		layer := transport.Retry(policy.Retry{Bucket: bucket})
		_, _, err := get(t, transport.Chain(transporttest.NewUpstream(), layer, layer, layer))
		require.NoError(t, err)
		assert.Equal(t, 11, bucket.Tokens(time.Now()))
	})
}

// The context of an answer's request may be used for another call, which begins
// afresh.
func TestRetryNestedEndsWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy"))
		rt := transport.Retry(policy.Retry{})(upstream)
		ctx := t.Context()
		for range 3 {
			resp, err := rt.RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
			require.NoError(t, err)
			ctx = resp.Request.Context()
		}
		assert.Equal(t, 9, upstream.Calls())
	})
}

// A context that something hangs on works as the one that the caller gave.
func TestRetryNestedContext(t *testing.T) {
	type key struct{}
	mine := errors.New("mine")
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
	rt := transport.Retry(policy.Retry{})(transport.Func(func(req *http.Request) (*http.Response, error) {
		below, stop := context.WithCancel(req.Context())
		defer stop()
		assert.Equal(t, "value", below.Value(key{}))
		cancel(mine)
		<-below.Done()
		return nil, context.Cause(below)
	}))
	_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
	assert.ErrorIs(t, err, mine)
}

// What an SDK above repeats is an extra request already: it takes a token, and is
// not repeated once more.
func TestRetryBelowSDK(t *testing.T) {
	tests := []struct {
		count      []string
		wantCalls  int
		wantTokens int
	}{
		{nil, 3, 18},
		{[]string{"0"}, 3, 18},
		{[]string{"1"}, 1, 19},
		{[]string{"2"}, 1, 19},
		{[]string{"-1"}, 3, 18},
		{[]string{"many"}, 3, 18},
		{[]string{}, 3, 18},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.count), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := policy.NewBucket(policy.Budget{PerSecond: -1})
				upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy"))
				layer := transport.Retry(policy.Retry{Bucket: bucket})
				ctx, trail := traced(t)
				req := newRequest(t, ctx, http.MethodGet, "")
				req.Header["X-Stainless-Retry-Count"] = tt.count
				_, text, err := send(t, transport.Chain(upstream, layer, layer), req)
				require.NoError(t, err)
				assert.Equal(t, "busy", text)
				assert.Equal(t, tt.wantCalls, upstream.Calls())
				assert.Equal(t, tt.wantTokens, bucket.Tokens(time.Now()))
				assert.Equal(t, []string{telemetry.NoneLeft}, slices.Compact(notes(trail)))
			})
		})
	}
}

// Settings per class hold in the layer, and the most patient class bounds the
// call.
func TestRetryPerClass(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	quota := transporttest.Reply(402, "", "X-Should-Retry", "true")
	limited, busy := transporttest.Reply(429, "slow down"), transporttest.Reply(503, "busy")
	reset, oops := transporttest.Fail(errReset), transporttest.Reply(500, "oops")
	tests := []struct {
		name      string
		steps     []transporttest.Step
		wantWaits []time.Duration // for half of the jitter
	}{
		{"rate limited", []transporttest.Step{limited}, []time.Duration{s / 2, s, 2 * s, 4 * s}},
		{"overloaded", []transporttest.Step{busy}, []time.Duration{s, 2 * s, 4 * s}},
		{"network", []transporttest.Step{reset}, []time.Duration{250 * ms, 500 * ms}},
		{"no entry", []transporttest.Step{oops}, []time.Duration{50 * ms, 100 * ms}},
		{"never, whatever the server says", []transporttest.Step{quota}, nil},
		{"faults, then rate limited", []transporttest.Step{oops, oops, limited}, []time.Duration{50 * ms, 100 * ms, 2 * s, 4 * s}},
		{"rate limited, then a fault", []transporttest.Step{limited, limited, limited, oops}, []time.Duration{s / 2, s, 2 * s}},
		{"rate limited, then no quota", []transporttest.Step{limited, quota}, []time.Duration{s / 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(tt.steps...)
				rt := transport.Retry(policy.Retry{Classes: policy.PerClassRetries(), Random: fixed(0.5)})(upstream)
				ctx, trail := traced(t)
				_, _, _ = send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
				assert.Equal(t, tt.wantWaits, waits(upstream))
				assert.Equal(t, []string{telemetry.NoneLeft}, notes(trail))
			})
		})
	}
}

// A decorrelated wait follows from the one before.
func TestRetryDecorrelatedJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(500, "oops"))
		rt := transport.Retry(policy.Retry{
			Attempts: 5, Random: fixed(0.5),
			Backoff: policy.Backoff{Base: time.Second, Jitter: policy.DecorrelatedJitter},
		})(upstream)
		_, _, err := get(t, rt)
		require.NoError(t, err)
		// Halfway from 1 s to three times the wait before.
		const ms = time.Millisecond
		want := []time.Duration{2000 * ms, 3500 * ms, 5750 * ms, 9125 * ms}
		assert.Equal(t, want, waits(upstream))
	})
}

// Jitter adds to what the server asks for, up to the share that is set.
func TestRetryWaitJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy", "Retry-After", "10"))
		rt := transport.Retry(policy.Retry{WaitJitter: 0.5, Random: fixed(0.5), Attempts: 2})(upstream)
		ctx, trail := traced(t)
		start := time.Now()
		_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{12500 * time.Millisecond}, waits(upstream))
		assert.Equal(t, start.Add(22500*time.Millisecond), trail.RetryAt(), "what the server says, without jitter")
	})
}

// Three stacks, one below the other, ask a server that is down three times.
func ExampleRetry_nested() {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusServiceUnavailable, "busy"))
	retry := func() transport.Layer {
		return transport.Retry(policy.Retry{Throttled: policy.Backoff{Base: time.Millisecond}})
	}
	client := transport.Wrap(&http.Client{Transport: upstream}, retry(), retry(), retry())
	resp, err := client.Get("http://up.test/")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status, "after", upstream.Calls(), "attempts")
	// Output: 503 Service Unavailable after 3 attempts
}
