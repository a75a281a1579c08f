package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
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

// goexit ends the goroutine, as a test's FailNow does.
func goexit(*http.Request) (*http.Response, error) {
	runtime.Goexit()
	return nil, nil
}

// exits reports whether f ends its goroutine before it returns.
func exits(f func()) bool {
	returned := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
		returned = true
	}()
	<-done
	return !returned
}

// Who ends the goroutine that he was called on ends the caller's, as without a
// hedge, but for a request that has lost.
func TestHedgeGoexit(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []transporttest.Step
		want  bool
		took  time.Duration
	}{
		{"first", steps(transporttest.After(time.Second, goexit), transporttest.Hang()), true, time.Second},
		{"hedge", steps(transporttest.Hang(), goexit), true, 100 * time.Millisecond},
		{"before there is a hedge", steps(goexit), true, 0},
		{"loser", steps(transporttest.After(120*time.Millisecond, goexit), well), false, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := eager(hedgeAfter(100 * time.Millisecond))(transporttest.NewUpstream(tt.steps...))
				took := elapsed()
				assert.Equal(t, tt.want, exits(func() {
					resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
					assert.NoError(t, err)
					assert.NoError(t, resp.Body.Close())
				}))
				assert.Equal(t, tt.took, took())
				time.Sleep(time.Second)
			})
		})
	}
}

// Whatever the requests of a call come to, none of them is left in a context that
// many calls share.
func TestHedgeLeavesNothingInLongLivedContext(t *testing.T) {
	const ms = time.Millisecond
	readToEnd := func(resp *http.Response) { _, _ = io.Copy(io.Discard, resp.Body) }
	closeEarly := func(resp *http.Response) { _ = resp.Body.Close() }
	in, fail, hang := transporttest.After, transporttest.Fail(errReset), transporttest.Hang()
	for _, tt := range []struct {
		name  string
		steps []transporttest.Step
		use   func(*http.Response)
	}{
		{"answered before there is a hedge", steps(well), readToEnd},
		{"the first wins", steps(in(120*ms, well), hang), readToEnd},
		{"the hedge wins", steps(hang, well), readToEnd},
		{"the loser is answered, too", steps(in(120*ms, well), in(30*ms, well)), readToEnd},
		{"closed early", steps(hang, transporttest.Stall(http.StatusOK, "fi")), closeEarly},
		{"a broken body", steps(hang, transporttest.Cut(http.StatusOK, "fi")), readToEnd},
		{"a failure, then an answer", steps(again, well), readToEnd},
		{"an error, then an answer", steps(fail, well), readToEnd},
		{"an error in the end, after an answer", steps(again, fail), readToEnd},
		{"failures only", steps(again), readToEnd},
		{"errors only", steps(fail), nil},
		{"the first panics", steps(in(time.Second, transporttest.Panic("boom")), hang), nil},
		{"the hedge panics", steps(hang, transporttest.Panic("boom")), nil},
		{"the loser panics", steps(in(120*ms, transporttest.Panic("boom")), well), readToEnd},
		{"the hedge ends its goroutine", steps(hang, goexit), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent := &family{Context: t.Context()}
				rt := eager(hedgeAfter(100 * ms))(transporttest.NewUpstream(tt.steps...))
				exits(func() {
					defer func() { _ = recover() }()
					resp, err := rt.RoundTrip(newRequest(t, parent, http.MethodGet, ""))
					if tt.use == nil {
						assert.Error(t, err)
						return
					}
					if assert.NoError(t, err) {
						tt.use(resp)
					}
				})
				time.Sleep(time.Second)
				assert.Zero(t, parent.children.Load(), "requests that are left")
			})
		})
	}
}

// What a classifier ends the goroutine with, or panics with, leaves no body open,
// and a body that panics when it is closed does not end the program.
func TestHedgeHostileClassifier(t *testing.T) {
	for name, classify := range map[string]policy.Classifier{
		"panic":  func(policy.Outcome) policy.Verdict { panic("boom") },
		"goexit": func(policy.Outcome) policy.Verdict { runtime.Goexit(); return policy.Verdict{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := transport.NewHedge(hedgeAfter(100 * time.Millisecond))
				payFor(h, 2)
				cfg := hedgeAfter(100 * time.Millisecond)
				cfg.Classify = classify
				var closed atomic.Int32
				rt := h.With(cfg).Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
					resp, err := well(req)
					resp.Body = &tantrum{Reader: resp.Body, closed: &closed}
					return resp, err
				}))
				assert.Equal(t, "closed", mustPanic(t, func() { _, _, _ = get(t, rt) }))
				assert.EqualValues(t, 1, closed.Load())
			})
		})
	}
}

// A tantrum is a body that panics when it is closed.
type tantrum struct {
	io.Reader
	closed *atomic.Int32
}

func (b *tantrum) Close() error {
	b.closed.Add(1)
	panic("closed")
}

// A failed answer whose body dawdles holds up nobody: neither the hedge that it
// starts nor a good answer.
func TestHedgeSlowFailures(t *testing.T) {
	const ms = time.Millisecond
	slow := transporttest.Stream(http.StatusInternalServerError, []transporttest.Chunk{{Data: "oo"}, {After: 120 * ms, Data: "ps"}})
	stuck := transporttest.Stall(http.StatusInternalServerError, "oo")
	fail := transporttest.Fail(errReset)
	in := transporttest.After
	for _, tt := range []struct {
		name   string
		delay  time.Duration
		steps  []transporttest.Step // the verdict on one that dawdles takes 100 ms
		status int
		text   string
		took   time.Duration
	}{
		{"the next starts at once", time.Second, steps(in(10*ms, stuck), in(20*ms, well)), 200, "fine", 130 * ms},
		{"a good answer is taken at once", 20 * ms, steps(in(150*ms, well), in(10*ms, stuck)), 200, "fine", 150 * ms},
		{"it is waited for if there is no other", time.Second, steps(in(10*ms, slow), in(5*ms, fail)), 500, "oops", 130 * ms},
		{"as long as it may take", time.Second, steps(in(10*ms, stuck), in(5*ms, fail)), 0, "", 160 * ms},
		{"an earlier one that was whole will do", time.Second, steps(in(10*ms, again), in(10*ms, stuck), in(5*ms, fail)), 500, "oops", 170 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				rt := eager(policy.Hedge{Delay: tt.delay, Max: len(tt.steps) - 1})(bodies.Wrap(transporttest.NewUpstream(tt.steps...)))
				took := elapsed()
				status, text, err := get(t, rt)
				assert.Equal(t, tt.took, took())
				assert.Equal(t, tt.status, status)
				assert.Equal(t, tt.text, text)
				if tt.status == 0 {
					assert.ErrorIs(t, err, errReset)
				}
				time.Sleep(time.Second)
				bodies.Check(t)
			})
		})
	}
}

// Who leaves, or has no more time, hears of that, and not of what failed before. An
// answer that came before his time was up is better than none, however slow the
// rest is to notice.
func TestHedgeCallerLeavesLate(t *testing.T) {
	left := errors.New("left")
	for _, tt := range []struct {
		name   string
		first  transporttest.Step
		times  bool // his time is up
		status int
		want   error
	}{
		{"leaves after an error", transporttest.Fail(errReset), false, 0, left},
		{"leaves after an answer", again, false, 0, left},
		{"no more time after an error", transporttest.Fail(errReset), true, 0, context.DeadlineExceeded},
		{"no more time after an answer", again, true, 500, nil},
	} {
		for _, deaf := range []time.Duration{0, time.Minute} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					if tt.times {
						var stop context.CancelFunc
						ctx, stop = context.WithTimeout(ctx, time.Second)
						defer stop()
					} else {
						time.AfterFunc(time.Second, func() { cancel(left) })
					}
					rt := eager(hedgeAfter(100 * time.Millisecond))(transporttest.NewUpstream(
						transporttest.After(50*time.Millisecond, tt.first), func(req *http.Request) (*http.Response, error) {
							<-req.Context().Done()
							time.Sleep(deaf)
							return nil, context.Cause(req.Context())
						}))
					status, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
					assert.Equal(t, tt.status, status)
					assert.ErrorIs(t, err, tt.want)
					time.Sleep(time.Hour)
				})
			})
		}
	}
}

// A call for which there was no time takes back what a hedge costs, however late
// that is noticed; one whose caller left does not.
func TestHedgeTimeUpCosts(t *testing.T) {
	for _, tt := range []struct {
		name string
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want int // requests of a call that is slow, after ten calls that ended so
	}{
		{"no more time", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 10*time.Millisecond)
		}, 1},
		{"left", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(10*time.Millisecond, cancel)
			return ctx, cancel
		}, 2},
	} {
		for _, deaf := range []time.Duration{0, time.Minute} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := transport.NewHedge(hedgeAfter(100 * time.Millisecond))
					payFor(h, 10)
					for range 10 {
						ctx, cancel := tt.ctx(t.Context())
						_, _, err := send(t, h.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
							<-req.Context().Done()
							time.Sleep(deaf)
							return nil, context.Cause(req.Context())
						})), newRequest(t, ctx, http.MethodGet, ""))
						require.Error(t, err)
						cancel()
					}
					upstream := transporttest.NewUpstream(transporttest.After(time.Second, well))
					_, _, err := get(t, h.Wrap(upstream))
					require.NoError(t, err)
					assert.Equal(t, tt.want, upstream.Calls())
					time.Sleep(time.Hour)
				})
			})
		}
	}
}

// A layer below that has a context of its own hears that time is up, not that
// somebody left.
func TestHedgeTimeUpBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, trail := traced(t)
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
			ctx, cancel := context.WithCancel(req.Context())
			defer cancel()
			<-ctx.Done()
			assert.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
			return nil, context.Cause(ctx)
		}), eager(hedgeAfter(100*time.Millisecond)), telemetry.ObserveAttempt(telemetry.Config{}),
			func(next http.RoundTripper) http.RoundTripper {
				return transport.Func(func(req *http.Request) (*http.Response, error) {
					ctx, cancel := context.WithCancel(req.Context())
					defer cancel()
					return next.RoundTrip(req.WithContext(ctx))
				})
			})
		_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, trail.Attempts(), 2)
		for _, a := range trail.Attempts() {
			assert.Equal(t, policy.TimedOut, a.Verdict.Class)
		}
	})
}

// A caller whose time is up is told so, though a context that a layer below has derived
// says no more than that it was canceled.
func TestHedgeTimeUpSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		rt := eager(hedgeAfter(100 * time.Millisecond))(transport.Func(func(req *http.Request) (*http.Response, error) {
			ctx, cancel := context.WithCancel(req.Context())
			defer cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// What a call paid into the shared budget is taken back if its answer breaks.
func TestHedgeBrokenAnswerPaysNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		step transporttest.Step
		want int
	}{
		{"whole", well, 1},
		{"broken", transporttest.Cut(http.StatusOK, "fi"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := policy.NewBucket(policy.Budget{Burst: 1, PerSecond: -1, Ratio: 1})
				require.True(t, bucket.Reserve(time.Now()))
				h := transport.NewHedge(policy.Hedge{Delay: time.Second, Bucket: bucket})
				payFor(h, 10)
				for range 3 {
					_, text, _ := get(t, h.Wrap(transport.Func(tt.step)))
					assert.NotEmpty(t, text)
				}
				assert.Equal(t, tt.want, bucket.Tokens(time.Now()))
			})
		})
	}
}

// A good answer pays once into each budget, that of a layer around included.
func TestHedgePaysOnce(t *testing.T) {
	for name, shared := range map[string]bool{"its own": false, "that of a layer around": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				budget := policy.Budget{Burst: 20, PerSecond: -1, Ratio: 1}
				own, around := policy.NewBucket(budget), policy.NewBucket(budget)
				if shared {
					own = around
				}
				h := transport.NewHedge(policy.Hedge{Delay: time.Second, Bucket: own})
				payFor(h, 1)
				for _, b := range []*policy.Bucket{own, around} {
					for b.Reserve(time.Now()) { // until it is empty
					}
				}
				_, _, err := get(t, transport.Chain(transport.Func(well), transport.Retry(policy.Retry{Bucket: around}), h.Wrap))
				require.NoError(t, err)
				assert.Equal(t, 1, own.Tokens(time.Now()))
				assert.Equal(t, 1, around.Tokens(time.Now()))
			})
		})
	}
}

// An answer whose body breaks costs a hedge, as other failures do, unless its reader
// had left.
func TestHedgeBrokenAnswerCosts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		first  transporttest.Step
		leaves bool
		want   int
	}{
		{"whole", well, false, 2},
		{"broken", transporttest.Cut(http.StatusOK, "fi"), false, 1},
		{"broken by the caller", transporttest.Stall(http.StatusOK, "fi"), true, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := transport.NewHedge(hedgeAfter(100 * time.Millisecond))
				payFor(h, 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				resp, err := h.Wrap(transport.Func(tt.first)).RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
				require.NoError(t, err)
				if tt.leaves {
					time.AfterFunc(time.Millisecond, cancel)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				require.NoError(t, resp.Body.Close())

				upstream := transporttest.NewUpstream(transporttest.After(time.Second, well))
				_, _, err = get(t, h.Wrap(upstream))
				require.NoError(t, err)
				time.Sleep(time.Second)
				assert.Equal(t, tt.want, upstream.Calls())
			})
		})
	}
}

// Each call has a key where one is given, whether or not it may be hedged now.
func TestHedgeKeyWithoutAHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(well)
		rt := transport.NewHedge(policy.Hedge{IdempotencyKey: true}).Wrap(upstream)
		inMemory := newRequest(t, t.Context(), http.MethodPost, "order")
		stream := newRequest(t, t.Context(), http.MethodPost, "order")
		stream.Body = io.NopCloser(io.LimitReader(stream.Body, 5))
		for i, req := range []*http.Request{inMemory, stream} {
			_, _, err := send(t, rt, req)
			require.NoError(t, err)
			require.Len(t, upstream.Requests(), i+1)
			assert.NotEmpty(t, upstream.Requests()[i].Header.Get("Idempotency-Key"))
			assert.Equal(t, "order", upstream.Requests()[i].Body)
			assert.Empty(t, req.Header, "the caller's request is left alone")
		}
	})
}

// A hedge that waits in a limiter's queue while the first request is answered is not sent:
// nobody wants it any more. It takes no token of the rate either.
func TestHedgeThatLostInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		up := transport.Func(func(req *http.Request) (*http.Response, error) {
			sent++
			time.Sleep(200 * time.Millisecond)
			return replied(req, http.StatusOK, "fine"), nil
		})
		limiter := transport.NewLimiter(policy.Limit{InFlight: 1, PerSecond: 0.001, Burst: 3})
		hedge := transport.NewHedge(policy.Hedge{Delay: 100 * time.Millisecond, Ratio: 1})
		var mu sync.Mutex
		seen := map[policy.Class]int{}
		judging := func(next http.RoundTripper) http.RoundTripper {
			return transport.Func(func(req *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(req)
				mu.Lock()
				defer mu.Unlock()
				seen[telemetry.Judge(req, resp, err, nil).Class]++
				return resp, err
			})
		}
		rt := transport.Chain(up, hedge.Wrap, judging, limiter.Wrap)
		for range 3 { // the first call pays for the second one's hedge
			status, _, err := get(t, rt)
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, status)
			time.Sleep(time.Second)
		}
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, 3, sent)
		assert.Equal(t, map[policy.Class]int{policy.OK: 3, policy.Canceled: 1, policy.Refused: 1}, seen, "there is no token for the last hedge")
		assert.Equal(t, transport.LimiterState{Bound: 1, PerSecond: 0.001}, limiter.State())
	})
}

// A hedge that has left the queue and is sent when the first request is answered has as
// long to be answered, too, as one that did not wait.
func TestHedgeThatLostAfterTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		up := transporttest.NewUpstream(
			transporttest.After(150*ms, well), // it holds a place until then
			transporttest.After(200*ms, well), // the first request
			transporttest.After(80*ms, well),  // its hedge, which comes at 100 ms
		)
		ends := make(chan error, 3)
		watched := transport.Func(func(req *http.Request) (*http.Response, error) {
			resp, err := up.RoundTrip(req)
			ends <- err
			return resp, err
		})
		limited := transport.NewLimiter(policy.Limit{InFlight: 2}).Wrap(watched)
		rt := eager(hedgeAfter(100 * ms))(limited)
		go func() { _, _, _ = get(t, limited) }()
		synctest.Wait()
		_, _, err := get(t, rt)
		require.NoError(t, err)
		for range 3 {
			assert.NoError(t, <-ends)
		}
	})
}

// What others wait for, too, as a token that is fetched once for all, is sent though the
// request for which it was begun lost meanwhile: it waits in a context with no end of its own.
func TestLimiterQueueOfWhatOutlivesItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := transport.NewLimiter(policy.Limit{InFlight: 1})
		limited := limiter.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return replied(req, http.StatusOK, "a token"), nil
		}))
		go func() { _, _, _ = get(t, limited) }()
		synctest.Wait()
		fetched := make(chan error, 1)
		up := transporttest.NewUpstream(transporttest.After(200*time.Millisecond, well), func(req *http.Request) (*http.Response, error) {
			resp, err := limited.RoundTrip(req.WithContext(context.WithoutCancel(req.Context())))
			fetched <- err
			return resp, err
		})
		_, _, err := get(t, eager(hedgeAfter(100*time.Millisecond))(up))
		require.NoError(t, err)
		assert.NoError(t, <-fetched)
	})
}
