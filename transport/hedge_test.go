package transport_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// eager returns the layer of a hedge for which ten hedges have been paid.
func eager(cfg policy.Hedge) transport.Layer {
	h := transport.NewHedge(cfg)
	payFor(h, 10)
	return h.Wrap
}

// payFor gives h as many good answers as n hedges cost. They take no time.
func payFor(h *transport.Hedge, n int) {
	good := h.Wrap(transport.Func(transporttest.Reply(http.StatusOK, "")))
	for range 20 * n {
		req, err := http.NewRequest(http.MethodGet, target, nil)
		if err != nil {
			panic(err)
		}
		resp, err := good.RoundTrip(req)
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
	}
}

// hedgeAfter are settings whose figures tests can tell.
func hedgeAfter(delay time.Duration) policy.Hedge { return policy.Hedge{Delay: delay} }

var (
	well    = transporttest.Reply(http.StatusOK, "fine")
	again   = transporttest.Reply(http.StatusInternalServerError, "oops")
	missing = transporttest.Reply(http.StatusNotFound, "no such thing")
)

// What a call comes to, when, and after how many requests, if each hedge starts
// 50 ms after the request before.
func TestHedge(t *testing.T) {
	const ms = time.Millisecond
	in := transporttest.After
	tests := []struct {
		name  string
		max   int
		steps []transporttest.Step

		status int
		text   string
		err    error
		took   time.Duration
		calls  int
	}{
		{"quick", 1, steps(in(50*ms-1, well)), 200, "fine", nil, 50*ms - 1, 1},
		{"a straggler", 1, steps(in(time.Second, again), well), 200, "fine", nil, 50 * ms, 2},
		{"a straggler that hangs", 1, steps(transporttest.Hang(), in(10*ms, well)), 200, "fine", nil, 60 * ms, 2},
		{"the first is sooner all the same", 1, steps(in(60*ms, well), in(time.Second, again)), 200, "fine", nil, 60 * ms, 2},
		{"two hedges", 2, steps(transporttest.Hang(), transporttest.Hang(), in(10*ms, well)), 200, "fine", nil, 110 * ms, 3},
		{"no more than there may be", 1, steps(in(300*ms, well), transporttest.Hang(), well), 200, "fine", nil, 300 * ms, 2},
		{"a failed hedge does not win", 1, steps(in(200*ms, well), transporttest.Reply(503, "busy")), 200, "fine", nil, 200 * ms, 2},
		{"nor does an error", 1, steps(in(200*ms, well), transporttest.Fail(errReset)), 200, "fine", nil, 200 * ms, 2},
		{"nor a refusal", 1, steps(in(200*ms, well), transporttest.Fail(&policy.Refusal{Layer: "breaker", Err: transport.ErrOpen})), 200, "fine", nil, 200 * ms, 2},
		{"a failed first does not win", 1, steps(in(60*ms, again), in(100*ms, well)), 200, "fine", nil, 150 * ms, 2},
		{"a failure starts the next at once", 1, steps(in(10*ms, again), in(10*ms, well)), 200, "fine", nil, 20 * ms, 2},
		{"an error starts the next at once", 1, steps(in(10*ms, transporttest.Fail(errReset)), in(10*ms, well)), 200, "fine", nil, 20 * ms, 2},
		{"a failed hedge starts the next at once", 2, steps(transporttest.Hang(), in(10*ms, again), in(10*ms, well)), 200, "fine", nil, 70 * ms, 3},
		{"the next after that waits", 2, steps(in(10*ms, again), transporttest.Hang(), well), 200, "fine", nil, 60 * ms, 3},
		{"a busy server is left alone", 2, steps(in(10*ms, transporttest.Reply(503, "busy")), well), 503, "busy", nil, 10 * ms, 1},
		{"so is one that is busy for a hedge", 2, steps(in(300*ms, well), transporttest.Reply(429, "slow down"), well), 200, "fine", nil, 300 * ms, 2},
		{"one that asks for a wait is left alone", 2, steps(in(10*ms, transporttest.Reply(500, "oops", "Retry-After", "1")), well), 500, "oops", nil, 10 * ms, 1},
		{"a refusal is no reason to ask again", 2, steps(transporttest.Fail(&policy.Refusal{Layer: "breaker", Err: transport.ErrOpen}), well), 0, "", transport.ErrOpen, 0, 1},
		{"who is wrong is told so at once", 1, steps(in(200*ms, well), in(10*ms, missing)), 404, "no such thing", nil, 60 * ms, 2},
		{"all fail", 1, steps(in(10*ms, again), in(10*ms, transporttest.Reply(502, "worse"))), 502, "worse", nil, 20 * ms, 2},
		{"an answer that says no is better than none", 1, steps(in(60*ms, again), in(60*ms, transporttest.Fail(errReset))), 500, "oops", nil, 110 * ms, 2},
		{"the first error is what the caller gets", 1, steps(in(60*ms, transporttest.Fail(errReset)), in(60*ms, transporttest.Fail(errDial))), 0, "", errReset, 110 * ms, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(tt.steps...)
				rt := eager(policy.Hedge{Delay: 50 * ms, Max: tt.max})(upstream)
				took := elapsed()
				status, text, err := get(t, rt)
				assert.Equal(t, tt.took, took())
				assert.Equal(t, tt.status, status)
				assert.Equal(t, tt.text, text)
				assert.True(t, sameError(err, tt.err), "%v", err)
				assert.Equal(t, tt.calls, upstream.Calls())
				time.Sleep(time.Second) // losers leave
			})
		})
	}
}

func steps(all ...transporttest.Step) []transporttest.Step { return all }

// Only what may be repeated whatever became of it is hedged.
func TestHedgeOnlyWhatMayBeRepeated(t *testing.T) {
	post := func(edit func(*http.Request) *http.Request) func(*testing.T) *http.Request {
		return func(t *testing.T) *http.Request {
			return edit(newRequest(t, t.Context(), http.MethodPost, "order"))
		}
	}
	header := func(name, value string) func(*http.Request) *http.Request {
		return func(req *http.Request) *http.Request {
			req.Header.Set(name, value)
			return req
		}
	}
	tests := []struct {
		name string
		cfg  policy.Hedge
		req  func(*testing.T) *http.Request
		want int
	}{
		{"GET", policy.Hedge{}, func(t *testing.T) *http.Request { return newRequest(t, t.Context(), "GET", "") }, 2},
		{"GET with http.NoBody", policy.Hedge{}, func(t *testing.T) *http.Request {
			req := newRequest(t, t.Context(), "GET", "")
			req.Body = http.NoBody
			return req
		}, 2},
		{"PUT", policy.Hedge{}, func(t *testing.T) *http.Request { return newRequest(t, t.Context(), "PUT", "abc") }, 2},
		{"POST", policy.Hedge{}, post(func(req *http.Request) *http.Request { return req }), 1},
		{"POST with a key", policy.Hedge{}, post(header("Idempotency-Key", "k")), 2},
		{"POST that gets a key", policy.Hedge{IdempotencyKey: true}, post(func(req *http.Request) *http.Request { return req }), 2},
		{"POST that is replayable", policy.Hedge{}, post(transport.Replayable), 2},
		{"an SDK's own retry", policy.Hedge{}, post(func(req *http.Request) *http.Request {
			return transport.Replayable(header("X-Stainless-Retry-Count", "1")(req))
		}), 1},
		{"an upgrade", policy.Hedge{}, func(t *testing.T) *http.Request {
			return header("Upgrade", "websocket")(newRequest(t, t.Context(), "GET", ""))
		}, 1},
		{"a stream", policy.Hedge{}, post(func(req *http.Request) *http.Request {
			req.Body = io.NopCloser(io.LimitReader(req.Body, 3))
			return transport.Replayable(req)
		}), 1},
		{"trailers", policy.Hedge{}, post(func(req *http.Request) *http.Request {
			req.Trailer = http.Header{"Sum": nil}
			return transport.Replayable(req)
		}), 1},
		{"off", policy.Hedge{Off: true}, func(t *testing.T) *http.Request { return newRequest(t, t.Context(), "GET", "") }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(transporttest.After(time.Second, well))
				tt.cfg.Delay = 50 * time.Millisecond
				status, _, err := send(t, eager(tt.cfg)(upstream), tt.req(t))
				require.NoError(t, err)
				assert.Equal(t, 200, status)
				requests := upstream.Requests()
				require.Len(t, requests, tt.want)
				key := requests[0].Header.Get("Idempotency-Key")
				if tt.cfg.IdempotencyKey {
					assert.NotEmpty(t, key)
				}
				for _, r := range requests[1:] {
					assert.Equal(t, requests[0].Body, r.Body)
					assert.Equal(t, key, r.Header.Get("Idempotency-Key"))
				}
				time.Sleep(time.Second)
			})
		})
	}
}

// A GetBody that returns the same reader each time, as openai-go's does, is never
// called, also not by what is below: each request has a body of its own.
func TestHedgeBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const text = "a question"
		reader := strings.NewReader(text)
		req := newRequest(t, replayable(t.Context()), http.MethodPost, text)
		req.Body = io.NopCloser(reader)
		req.GetBody = func() (io.ReadCloser, error) {
			t.Error("the caller's GetBody was called")
			_, err := reader.Seek(0, io.SeekStart)
			return io.NopCloser(reader), err
		}
		var sent sync.Map
		rt := eager(policy.Hedge{Delay: time.Millisecond, Max: 3})(transport.Func(func(req *http.Request) (*http.Response, error) {
			again, err := req.GetBody() // as net/http does when a connection was closed
			if !assert.NoError(t, err) {
				return nil, err
			}
			for i, body := range []io.ReadCloser{req.Body, again} {
				data := make([]byte, len(text))
				for n := range data { // slowly, beside the others
					time.Sleep(time.Millisecond)
					_, err := body.Read(data[n : n+1])
					assert.NoError(t, err)
				}
				assert.Equal(t, text, string(data))
				sent.Store([2]any{req, i}, true)
			}
			return transporttest.Hang()(req)
		}))
		ctx, cancel := context.WithTimeout(req.Context(), time.Second)
		defer cancel()
		_, _, err := send(t, rt, req.WithContext(ctx))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		bodies := 0
		sent.Range(func(any, any) bool { bodies++; return true })
		assert.Equal(t, 8, bodies)
		assert.Equal(t, len(text), reader.Len(), "the caller's own reader is left alone")
	})
}

// Fifty calls whose two requests are answered at almost the same time need no
// connections beyond the two, and the losers' are kept.
func TestHedgeKeepsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(60 * time.Millisecond)
			_, _ = io.WriteString(w, strings.Repeat("x", 4<<10))
		}))
		h := transport.NewHedge(policy.Hedge{Delay: 20 * time.Millisecond, Ratio: 1})
		payFor(h, 1)
		rt := h.Wrap(server.Transport())
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, text, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
			cancel() // as callers do as soon as they have what they wanted
			require.NoError(t, err)
			require.Len(t, text, 4<<10)
			time.Sleep(50 * time.Millisecond)
			payFor(h, 1)
		}
		assert.LessOrEqual(t, server.Conns(), 3)
		time.Sleep(time.Second)
	})
}

// Losers are cancelled when they have had their time, and the winner's body is
// read whole nevertheless.
func TestHedgeCancelsLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := elapsed()
		ended := make(chan time.Duration, 1)
		upstream := transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			ended <- took()
			return nil, context.Cause(req.Context())
		}, transporttest.Stream(200, []transporttest.Chunk{{Data: "ab"}, {After: time.Second, Data: "cd"}}))
		rt := eager(hedgeAfter(100 * time.Millisecond))(upstream)
		status, text, err := get(t, rt)
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		assert.Equal(t, "abcd", text)
		assert.Equal(t, 150*time.Millisecond, <-ended)
	})
}

// A loser that is answered holds its context no longer than that.
func TestHedgeLoserLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		losers := make(chan context.Context, 1)
		upstream := transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
			losers <- req.Context()
			return transporttest.After(110*time.Millisecond, well)(req)
		}, well)
		_, _, err := get(t, eager(hedgeAfter(100*time.Millisecond))(upstream))
		require.NoError(t, err)
		loser := <-losers
		require.NoError(t, loser.Err())
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		assert.ErrorIs(t, loser.Err(), context.Canceled)
	})
}

// What comes after the caller has left costs no hedge, and starts none.
func TestHedgeFailureAfterTheCallerLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := transport.NewHedge(hedgeAfter(100 * time.Millisecond))
		payFor(h, 1)
		ctx, cancel := context.WithCancel(t.Context())
		upstream := transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
			cancel()
			synctest.Wait() // he has left
			return again(req)
		}, well)
		_, _, _ = send(t, h.Wrap(upstream), newRequest(t, ctx, http.MethodGet, ""))
		assert.Equal(t, 1, upstream.Calls())

		took := elapsed()
		_, _, err := get(t, h.Wrap(transporttest.NewUpstream(transporttest.Hang(), well)))
		require.NoError(t, err)
		assert.Equal(t, 100*time.Millisecond, took())
		time.Sleep(time.Second) // the loser leaves
	})
}

// An answer that says no ends the call, and pays nothing.
func TestHedgeRejectionPaysNothing(t *testing.T) {
	bucket := policy.NewBucket(policy.Budget{Burst: 1, PerSecond: -1, Ratio: 1})
	cfg := hedgeAfter(time.Hour)
	cfg.Bucket = bucket
	rt := eager(cfg)
	require.True(t, bucket.Reserve(time.Now()))
	_, _, err := get(t, rt(transport.Func(missing)))
	require.NoError(t, err)
	assert.Zero(t, bucket.Tokens(time.Now()))
	_, _, err = get(t, rt(transport.Func(well)))
	require.NoError(t, err)
	assert.InDelta(t, 1, bucket.Tokens(time.Now()), 0)
}

// From the eleventh in a row on, a hedge that was of no use costs more, whatever became
// of its call.
func TestHedgesOfNoUse(t *testing.T) {
	const ms = time.Millisecond
	fails := transporttest.After(60*ms, transporttest.Fail(errReset))
	late := func(req *http.Request) (*http.Response, error) { // whether or not anybody waits
		time.Sleep(500 * ms)
		return well(req)
	}
	for name, play := range map[string][]transporttest.Step{
		"the first is sooner": steps(transporttest.After(60*ms, well), transporttest.Hang()),
		"both fail":           steps(fails, fails),
		"the caller leaves":   steps(late, late),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := hedgeAfter(50 * ms)
				cfg.Classify = func(o policy.Outcome) policy.Verdict {
					if o.Err != nil {
						return policy.Verdict{Class: policy.Conflict, Again: policy.Anywhere} // costs no hedge
					}
					return policy.Classify(o)
				}
				h := transport.NewHedge(cfg)
				for i := range 12 {
					payFor(h, 1)
					upstream := transporttest.NewUpstream(play...)
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(200*ms, cancel)
					_, _, _ = send(t, h.Wrap(upstream), newRequest(t, ctx, http.MethodGet, ""))
					want := 2
					if i == 11 {
						want = 1
					}
					assert.Equal(t, want, upstream.Calls(), "call %d", i)
					time.Sleep(time.Second) // the losers leave
				}
			})
		})
	}
}

// When the caller leaves or his time is up, all requests end at once, under his
// name.
func TestHedgeCallerLeaves(t *testing.T) {
	left := errors.New("left")
	for _, tt := range []struct {
		name string
		ctx  func(context.Context) (context.Context, func())
		want error
	}{
		{"leaves", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			timer := time.AfterFunc(time.Second, func() { cancel(left) })
			return ctx, func() { timer.Stop(); cancel(nil) }
		}, left},
		{"has no more time", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			return ctx, cancel
		}, context.DeadlineExceeded},
	} {
		for _, deaf := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := tt.ctx(t.Context())
					defer cancel()
					var ended atomic.Int32
					rt := eager(hedgeAfter(100 * time.Millisecond))(transport.Func(func(req *http.Request) (*http.Response, error) {
						defer ended.Add(1)
						<-req.Context().Done()
						assert.Equal(t, ctx.Err(), req.Context().Err())
						if deaf {
							time.Sleep(time.Minute)
						}
						return nil, context.Cause(req.Context())
					}))
					took := elapsed()
					_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
					require.ErrorIs(t, err, tt.want)
					wait := time.Second
					if deaf {
						wait += time.Millisecond
					}
					assert.Equal(t, wait, took())
					time.Sleep(time.Minute)
					assert.EqualValues(t, 2, ended.Load())
				})
			})
		}
	}
}

// A panic reaches the caller, whichever request it happens in, and ends the
// others.
func TestHedgePanics(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []transporttest.Step
	}{
		{"first", steps(transporttest.After(time.Second, transporttest.Panic("boom")), transporttest.Hang())},
		{"hedge", steps(transporttest.Hang(), transporttest.Panic("boom"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := eager(hedgeAfter(100 * time.Millisecond))(transporttest.NewUpstream(tt.steps...))
				assert.Equal(t, "boom", mustPanic(t, func() { _, _, _ = get(t, rt) }))
			})
		})
	}
	t.Run("loser", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rt := eager(hedgeAfter(100 * time.Millisecond))(transporttest.NewUpstream(
				transporttest.After(120*time.Millisecond, transporttest.Panic("boom")), well))
			status, _, err := get(t, rt)
			require.NoError(t, err)
			assert.Equal(t, 200, status)
			time.Sleep(time.Second)
		})
	})
}

// Losers' cancellations are nobody's failure: a breaker that one fault opens stays
// closed.
func TestHedgeLosersAreNoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		straggling := transport.Func(func(req *http.Request) (*http.Response, error) {
			if n.Add(1)%2 == 1 {
				return transporttest.Hang()(req)
			}
			return well(req)
		})
		breaker := transport.NewBreaker(policy.Breaker{MinCalls: 1, Ratio: 0.01})
		rt := transport.Chain(straggling, eager(hedgeAfter(time.Second)), breaker.Wrap)
		for range 9 {
			status, _, err := get(t, rt)
			require.NoError(t, err)
			require.Equal(t, 200, status)
			time.Sleep(time.Second)
		}
		assert.Equal(t, policy.Closed, breaker.State())
		assert.Zero(t, breaker.Snapshot().Faults)
	})
}

// A loser that is cancelled after the deadline of a caller who was answered in time did not
// run out of time: the bound of an adaptive limit stays as it is.
func TestHedgeLosersOutliveTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := transport.NewLimiter(policy.Limit{Adaptive: policy.Adaptive{Initial: 64}})
		rt := transport.Chain(transporttest.NewUpstream(transporttest.Hang(), well), eager(hedgeAfter(time.Second)), limiter.Wrap)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second+20*time.Millisecond)
		defer cancel()
		status, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		time.Sleep(time.Second)
		assert.Equal(t, transport.LimiterState{Bound: 64}, limiter.State())
	})
}

// The trail has the hedge as one, and nothing changes in it once the call has
// ended; where the answer came from is what the winner said, whoever spoke last.
func TestHedgeTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		below := transport.Func(func(req *http.Request) (*http.Response, error) {
			first := n.Add(1) == 1
			ctx := req.Context()
			trail := telemetry.FromContext(ctx)
			if !first {
				trail.Answered(ctx, telemetry.Answer{Source: "winner"})
				return well(req)
			}
			time.Sleep(130 * time.Millisecond)
			trail.Answered(ctx, telemetry.Answer{Source: "loser"})
			trail.Stopped("late", time.Now())
			trail.Waits(ctx, time.Second, policy.Internal)
			trail.Refused(ctx, &policy.Refusal{Layer: "late", RetryAt: time.Now()})
			return again(req)
		})
		ctx, trail := traced(t)
		rt := transport.Chain(below, telemetry.ObserveCall(telemetry.Config{}),
			eager(hedgeAfter(100*time.Millisecond)), telemetry.ObserveAttempt(telemetry.Config{}))
		status, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		then := trail.String()
		assert.Equal(t, "winner | #1 unknown 0s | #2 hedge 200 ok 0s", then)
		attempts := trail.Attempts()
		time.Sleep(time.Second)
		assert.Equal(t, then, trail.String())
		assert.Equal(t, attempts, trail.Attempts())
		assert.Zero(t, trail.RetryAt())
		assert.Zero(t, trail.Waited())
	})
}

// A hedge goes to the back of the queue of a limiter inside.
func TestHedgesYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		limiter := transport.NewLimiter(policy.Limit{InFlight: 1, MaxWait: time.Hour})
		slow := limiter.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			order = append(order, req.URL.Path)
			return transporttest.After(time.Second, well)(req)
		}))
		hedged := eager(hedgeAfter(100 * time.Millisecond))(slow)
		var all sync.WaitGroup
		ask := func(rt http.RoundTripper, path string) {
			all.Go(func() {
				req := newRequest(t, t.Context(), http.MethodGet, "")
				req.URL.Path = path
				_, _, err := send(t, rt, req)
				assert.NoError(t, err)
			})
			time.Sleep(200 * time.Millisecond)
		}
		ask(hedged, "/a")
		ask(slow, "/b")
		ask(slow, "/c")
		all.Wait()
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"/a", "/b", "/c"}, order, "the hedge of a never had its turn")
	})
}

// Retries inside and hedges count together, and share one budget.
func TestHedgeAroundRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := policy.NewBucket(policy.Budget{Burst: 2, PerSecond: -1, Ratio: -1})
		upstream := transporttest.NewUpstream(transporttest.After(300*time.Millisecond, again))
		h := transport.NewHedge(policy.Hedge{Delay: 100 * time.Millisecond, Bucket: bucket})
		payFor(h, 10)
		rt := transport.Chain(upstream, h.Wrap,
			transport.Retry(policy.Retry{Attempts: 10, Bucket: bucket, Backoff: policy.Backoff{Base: -1}}))
		status, _, err := get(t, rt)
		require.NoError(t, err)
		assert.Equal(t, 500, status)
		assert.Equal(t, 3, upstream.Calls(), "one hedge, one retry")
		assert.Zero(t, bucket.Tokens(time.Now()))
	})
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.After(300*time.Millisecond, again))
		rt := transport.Chain(upstream, eager(hedgeAfter(100*time.Millisecond)),
			transport.Retry(policy.Retry{Attempts: 3, Backoff: policy.Backoff{Base: -1}}))
		status, _, err := get(t, rt)
		require.NoError(t, err)
		assert.Equal(t, 500, status)
		assert.Equal(t, 3, upstream.Calls(), "as many as without a hedge")
	})
}

// A request that a layer around repeats is hedged each time.
func TestHedgeInsideRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy"), transporttest.Hang(), well)
		retry := policy.Retry{Attempts: 3, Backoff: policy.Backoff{Base: -1}, Throttled: policy.Backoff{Base: -1}}
		rt := transport.Chain(upstream, transport.Retry(retry), eager(hedgeAfter(50*time.Millisecond)))
		took := elapsed()
		status, _, err := get(t, rt)
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		assert.Equal(t, 50*time.Millisecond, took())
		assert.Equal(t, 3, upstream.Calls())
		time.Sleep(time.Second) // the loser leaves
	})
}

// A hedge that a budget forbids costs nothing, neither of the allowance nor of another
// budget.
func TestHedgeWithoutBudget(t *testing.T) {
	const delay = 50 * time.Millisecond
	bucket := func(tokens int) *policy.Bucket {
		b := policy.NewBucket(policy.Budget{Burst: 2, PerSecond: -1, Ratio: -1})
		for range 2 - tokens {
			b.Reserve(time.Now())
		}
		return b
	}
	for name, tokens := range map[string]struct{ own, around int }{
		"its own":                {0, 2},
		"that of a layer around": {2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				own, around := bucket(tokens.own), bucket(tokens.around)
				h := transport.NewHedge(policy.Hedge{Delay: delay, Bucket: own})
				payFor(h, 1)
				slow := transporttest.NewUpstream(transporttest.After(time.Second, well))
				_, _, err := get(t, transport.Chain(slow, transport.Retry(policy.Retry{Bucket: around}), h.Wrap))
				require.NoError(t, err)
				assert.Equal(t, 1, slow.Calls())
				assert.InDelta(t, tokens.own, own.Tokens(time.Now()), 0)
				assert.InDelta(t, tokens.around, around.Tokens(time.Now()), 0)

				took := elapsed()
				_, _, err = get(t, h.With(hedgeAfter(delay)).Wrap(transporttest.NewUpstream(transporttest.Hang(), well)))
				require.NoError(t, err)
				assert.Equal(t, delay, took(), "the allowance is still there")
				time.Sleep(time.Second) // the loser leaves
			})
		})
	}
}

// Hedges for which no budget is set are bounded by what good answers pay alone.
func TestHedgeWithoutBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 100
		hedge := transport.NewHedge(policy.Hedge{Delay: time.Millisecond, Ratio: 1})
		payFor(hedge, 1)
		var n atomic.Int64
		straggling := transport.Func(func(req *http.Request) (*http.Response, error) {
			if n.Add(1)%2 == 1 {
				return transporttest.Hang()(req)
			}
			return well(req)
		})
		rt := hedge.Wrap(straggling)
		for range calls {
			_, _, err := get(t, rt)
			require.NoError(t, err)
		}
		assert.EqualValues(t, 2*calls, n.Load())
		time.Sleep(time.Second) // the losers leave
	})
}

// Once a call has its answer, what lost is not repeated.
func TestHedgeLoserIsNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.After(120*time.Millisecond, again), well)
		rt := transport.Chain(upstream, eager(hedgeAfter(100*time.Millisecond)),
			transport.Retry(policy.Retry{Backoff: policy.Backoff{Base: -1}}))
		status, _, err := get(t, rt)
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		time.Sleep(time.Second)
		assert.Equal(t, 2, upstream.Calls())
	})
}

// A total timeout around and an attempt timeout inside keep their names.
func TestHedgeInStandard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Hang())
		slow := false
		rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
			if !slow {
				return well(req)
			}
			return upstream.RoundTrip(req)
		}), transport.Standard(policy.Stack{
			Total: 3 * time.Second, Attempt: policy.Timeout{FirstByte: 2 * time.Second},
			Hedge: &policy.Hedge{Delay: 500 * time.Millisecond}, Retry: policy.Retry{Attempts: 2, Backoff: policy.Backoff{Base: -1}},
		}))
		for range 20 {
			_, _, err := get(t, rt)
			require.NoError(t, err)
		}
		slow = true
		took := elapsed()
		_, _, err := get(t, rt)
		limit, ok := errors.AsType[*policy.TimeoutError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, "attempt", limit.Scope)
		assert.Equal(t, 2500*time.Millisecond, took())
		assert.Equal(t, 2, upstream.Calls())
	})
}

// The delay follows what recent calls took, of which a straggler that lost to its
// hedge is one.
func TestHedgeDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := transport.NewHedge(policy.Hedge{})
		ask := func(n int, d time.Duration) {
			for range n {
				_, _, err := get(t, h.Wrap(transport.Func(transporttest.After(d, well))))
				require.NoError(t, err)
			}
		}
		ask(19, 100*time.Millisecond)
		assert.Zero(t, h.Delay(), "too little to tell")
		ask(1, 100*time.Millisecond)
		assert.InDelta(t, 100*time.Millisecond, h.Delay(), float64(10*time.Millisecond))
		assert.GreaterOrEqual(t, h.Delay(), 100*time.Millisecond)
		ask(3000, 400*time.Millisecond)
		assert.InDelta(t, 400*time.Millisecond, h.Delay(), float64(40*time.Millisecond))
		ask(6000, 20*time.Millisecond)
		assert.InDelta(t, 20*time.Millisecond, h.Delay(), float64(2*time.Millisecond))
		time.Sleep(time.Hour)
	})
}

// What a call took whose first request failed tells nothing of how long one takes.
func TestHedgeDelayAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := transport.NewHedge(policy.Hedge{Quantile: 0.99, Classify: func(o policy.Outcome) policy.Verdict {
			if o.Err != nil {
				return policy.Verdict{Class: policy.Conflict, Again: policy.Anywhere} // costs no hedge
			}
			return policy.Classify(o)
		}})
		for range 60 {
			_, _, err := get(t, h.Wrap(transport.Func(transporttest.After(100*time.Millisecond, well))))
			require.NoError(t, err)
		}
		known := h.Delay()
		for range 3 {
			upstream := transporttest.NewUpstream(transporttest.Fail(errReset), transporttest.After(5*time.Second, well))
			_, _, err := get(t, h.Wrap(upstream))
			require.NoError(t, err)
			assert.Equal(t, 2, upstream.Calls())
		}
		assert.Equal(t, known, h.Delay())
	})
}

// crowd sends calls, one each interval, and returns how long those that were
// answered took, in order of length.
func crowd(t *testing.T, rt http.RoundTripper, calls int, interval time.Duration) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			start := time.Now()
			status, _, err := get(t, rt)
			if err != nil || status != http.StatusOK {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
		})
		time.Sleep(interval)
	}
	all.Wait()
	slices.Sort(took)
	return took
}

// quantile returns the time that the share q of all is within.
func quantile(all []time.Duration, q float64) time.Duration { return all[int(q*float64(len(all)-1))] }

// Where one request in twenty takes ten times as long, hedging cuts the p99 to less
// than half for at most 5 % more requests; and when the server slows down for all,
// or fails, or refuses, there are next to no more.
func TestHedgeStragglersAndBrownOuts(t *testing.T) {
	t.Parallel()
	const calls, interval = 20_000, 10 * time.Millisecond
	for seed := range seeds() {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			var sent atomic.Int64
			healthy := func(req *http.Request) (*http.Response, error) {
				sent.Add(1)
				mu.Lock()
				d := 50*time.Millisecond + time.Duration(random.Int64N(int64(50*time.Millisecond)))
				if random.IntN(20) == 0 {
					d *= 10
				}
				mu.Unlock()
				return transporttest.After(d, well)(req)
			}
			bare := crowd(t, transport.Func(healthy), calls, interval)
			sent.Store(0)

			var serve atomic.Value
			serve.Store(transporttest.Step(healthy))
			h := transport.NewHedge(policy.Hedge{})
			rt := h.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) { return serve.Load().(transporttest.Step)(req) }))
			hedged := crowd(t, rt, calls, interval)
			requests := sent.Load()
			t.Logf("seed %d: p99 %v hedged %v, delay %v, %d requests for %d calls", seed,
				quantile(bare, 0.99), quantile(hedged, 0.99), h.Delay(), requests, calls)
			assert.Less(t, quantile(hedged, 0.99), quantile(bare, 0.99)/2)
			assert.LessOrEqual(t, requests-calls, int64(calls/20))
			assert.Len(t, hedged, calls)

			for name, brownOut := range map[string]transporttest.Step{
				"busy":                      transporttest.After(200*time.Millisecond, transporttest.Reply(503, "busy")),
				"fails":                     transporttest.After(200*time.Millisecond, again),
				"resets":                    transporttest.After(200*time.Millisecond, transporttest.Fail(errReset)),
				"refused by a layer inside": transporttest.Fail(&policy.Refusal{Layer: "breaker", Err: transport.ErrOpen}),
			} {
				sent.Store(0)
				serve.Store(transporttest.Step(func(req *http.Request) (*http.Response, error) {
					sent.Add(1)
					return brownOut(req)
				}))
				crowd(t, rt, 1000, interval)
				assert.LessOrEqual(t, sent.Load(), int64(1000+10), name)
				sent.Store(0)
				crowd(t, rt, 10_000, interval)
				assert.EqualValues(t, 10_000, sent.Load(), name)
			}

			serve.Store(transporttest.Step(healthy))
			crowd(t, rt, calls, interval)
			sent.Store(0)
			queue := time.Now().Add(20 * time.Second)
			serve.Store(transporttest.Step(func(req *http.Request) (*http.Response, error) { // a long queue, in which hedges come last
				sent.Add(1)
				mu.Lock()
				queue = queue.Add(time.Duration(random.ExpFloat64() * float64(interval)))
				d := time.Until(queue)
				mu.Unlock()
				return transporttest.After(d, well)(req)
			}))
			crowd(t, rt, 5000, interval)
			first := sent.Swap(0)
			crowd(t, rt, calls, interval)
			then := sent.Load()
			t.Logf("slow for all: %d more at first, then %d for %d calls", first-5000, then-calls, calls)
			assert.LessOrEqual(t, then-calls, int64(calls/500))
			time.Sleep(time.Hour)
		})
	}
}

// What chance makes of hedges around retries stays within what Explain says.
func TestHedgeStaysWithinItsWorstCase(t *testing.T) {
	t.Parallel()
	most := 0
	for seed := range uint64(500) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			var mu sync.Mutex
			var calls atomic.Int64
			upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
				calls.Add(1)
				mu.Lock()
				d := time.Duration(random.IntN(4)) * 50 * time.Millisecond
				step := choice(random, well, again, again, again, transporttest.Fail(errReset))
				mu.Unlock()
				return transporttest.After(d, step)(req)
			})
			cfg := policy.Hedge{Delay: 60 * time.Millisecond, Max: 1 + random.IntN(3)}
			rt := transport.Chain(upstream, eager(cfg),
				transport.Retry(policy.Retry{Attempts: 1 + random.IntN(3), Backoff: policy.Backoff{Base: 40 * time.Millisecond}, MaxWait: time.Millisecond}),
				transport.Timeout(policy.Timeout{Total: time.Second}))
			worst := transport.Explain(rt)
			took := elapsed()
			_, _, _ = get(t, rt) // whatever it comes to
			assert.LessOrEqual(t, took(), worst.Header)
			time.Sleep(time.Minute)
			assert.LessOrEqual(t, calls.Load(), int64(worst.Calls), "seed %d", seed)
			if calls.Load() == int64(worst.Calls) {
				most++
			}
		})
	}
	assert.Greater(t, most, 20, "calls that came to as many requests as there may be")
}

// Failures cost what hedges do, down to a debt of ten.
func TestHedgeFailuresCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := transport.NewHedge(hedgeAfter(100 * time.Millisecond))
		requests := func() int {
			upstream := transporttest.NewUpstream(transporttest.After(time.Second, well))
			_, _, err := get(t, h.Wrap(upstream))
			require.NoError(t, err)
			time.Sleep(time.Second)
			return upstream.Calls()
		}
		payFor(h, 10)
		for range 100 {
			status, _, err := get(t, h.Wrap(transport.Func(again)))
			require.NoError(t, err)
			require.Equal(t, 500, status)
		}
		payFor(h, 10)
		assert.Equal(t, 1, requests(), "the debt is paid, and no more")
		payFor(h, 1)
		assert.Equal(t, 2, requests())
	})
}
