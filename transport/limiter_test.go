package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A door is a limiter with what it is tested with. It must be made in a bubble.
// Unless its upstream is told otherwise, who is let in stays until he leaves.
type door struct {
	*transport.Limiter
	t        *testing.T
	rt       http.RoundTripper
	upstream *transporttest.Upstream
}

func newDoor(t *testing.T, cfg policy.Limit, steps ...transporttest.Step) *door {
	if len(steps) == 0 {
		steps = []transporttest.Step{held}
	}
	d := &door{t: t, Limiter: transport.NewLimiter(cfg), upstream: transporttest.NewUpstream(steps...)}
	d.rt = d.Wrap(d.upstream)
	return d
}

// A visit is a call at a door.
type visit struct {
	began  time.Time
	cancel context.CancelCauseFunc
	end    atomic.Pointer[visitEnd] // of the round trip; nil while it lasts
}

type visitEnd struct {
	at   time.Time
	resp *http.Response
	err  error
}

// come makes a call and waits until it is let in, waits or has been refused.
func (d *door) come(ctx context.Context) *visit {
	d.t.Helper()
	v := &visit{began: time.Now()}
	ctx, v.cancel = context.WithCancelCause(ctx)
	req := newRequest(d.t, ctx, http.MethodPut, "hello")
	go func() {
		end := &visitEnd{}
		defer func() {
			_ = recover()
			end.at = time.Now()
			v.end.Store(end)
		}()
		end.resp, end.err = d.rt.RoundTrip(req)
	}()
	synctest.Wait()
	return v
}

// usual is come with nothing special.
func (d *door) usual() *visit { return d.come(d.t.Context()) }

func (v *visit) isOver() bool        { return v.end.Load() != nil }
func (v *visit) isInside() bool      { return v.isOver() && v.end.Load().resp != nil }
func (v *visit) took() time.Duration { return v.end.Load().at.Sub(v.began) }

// err returns the error of a call that is over, else nil.
func (v *visit) err() error {
	if !v.isOver() {
		return nil
	}
	return v.end.Load().err
}

// refusal returns why the call was refused, or a zero Refusal.
func (v *visit) refusal() policy.Refusal {
	if refusal, ok := errors.AsType[*policy.Refusal](v.err()); ok {
		return *refusal
	}
	return policy.Refusal{}
}

// leave ends the body of an answer.
func (v *visit) leave() {
	_ = v.end.Load().resp.Body.Close()
	synctest.Wait()
}

// priority returns ctx for a call of a priority.
func priority(ctx context.Context, n int) context.Context {
	return policy.WithCall(ctx, policy.Call{Priority: n})
}

func TestLimiterHoldsPermitToTheEnd(t *testing.T) {
	judging := func(policy.Outcome) policy.Verdict { panic("classifier") }
	tests := []struct {
		name     string
		classify policy.Classifier
		step     transporttest.Step
		held     bool // with the header
		end      func(*http.Response)
	}{
		{
			"read to the end", nil, transporttest.Stream(200, []transporttest.Chunk{{Data: "a"}, {Data: "b"}}), true,
			func(resp *http.Response) { _, _ = io.Copy(io.Discard, resp.Body) },
		},
		{"closed early", nil, held, true, func(resp *http.Response) { _ = resp.Body.Close() }},
		{"closed twice", nil, held, true, func(resp *http.Response) { _, _ = resp.Body.Close(), resp.Body.Close() }},
		{"read and closed", nil, fine, true, func(resp *http.Response) {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}},
		{"cut short", nil, transporttest.Cut(200, "hel"), true, func(resp *http.Response) { _, _ = io.ReadAll(resp.Body) }},
		{"error page", nil, fault, true, func(resp *http.Response) { _, _ = io.ReadAll(resp.Body) }},
		{"no body", nil, transporttest.Reply(204, ""), false, nil},
		{"no answer", nil, transporttest.Fail(errReset), false, nil},
		{"panic below", nil, transporttest.Panic("boom"), false, nil},
		{"panic in the classifier", judging, fine, false, nil},
	}
	for _, tt := range tests {
		for name, cfg := range map[string]policy.Limit{
			"fixed":    {InFlight: 3},
			"adaptive": {},
			"rate":     {PerSecond: 1000, InFlight: -1},
		} {
			if tt.classify != nil && name == "fixed" {
				continue // it has no use for verdicts
			}
			t.Run(tt.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg.Classify = tt.classify
					d := newDoor(t, cfg, tt.step)
					v := d.usual()
					require.True(t, v.isOver())
					inFlight := 0
					if tt.held {
						inFlight = 1
					}
					assert.Equal(t, inFlight, d.State().InFlight, "at the header")
					if tt.end != nil {
						tt.end(v.end.Load().resp)
					}
					assert.Equal(t, 0, d.State().InFlight, "at the end")
					if tt.end == nil && v.isInside() {
						v.leave()
						assert.Equal(t, 0, d.State().InFlight, "after a close")
					}
				})
			})
		}
	}
}

// A connection that was upgraded is in flight for as long as it is open.
func TestLimiterUpgrade(t *testing.T) {
	server := newLoopback(t, new(atomic.Int64), serveEcho)
	limiter := transport.NewLimiter(policy.Limit{InFlight: 1, MaxQueue: -1})
	conn := upgrade(t, limiter.Wrap(server.Client().Transport), server.URL)
	checkEcho(t, conn)
	assert.Equal(t, 1, limiter.State().InFlight)
	require.NoError(t, conn.Close())
	assert.Equal(t, 0, limiter.State().InFlight)
}

func TestLimiterRefusal(t *testing.T) {
	const ms = time.Millisecond
	within := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
	}
	tests := []struct {
		name      string
		cfg       policy.Limit
		before    int // calls that are under way or wait
		ctx       func(context.Context) (context.Context, context.CancelFunc)
		reason    string
		after     time.Duration
		retryAt   time.Duration // from the start; zero if nobody can tell
		waitsDone bool          // it takes the deadline with it
	}{
		{"no queue, too many in flight", policy.Limit{InFlight: 1, MaxQueue: -1}, 1, nil, "concurrency_limit", 0, 0, false},
		{"no waiting, too many in flight", policy.Limit{InFlight: 1, MaxWait: -1}, 1, nil, "concurrency_limit", 0, 0, false},
		{"no queue, rate used up", policy.Limit{PerSecond: 10, Burst: 1, MaxQueue: -1}, 1, nil, "rate_limit", 0, 100 * ms, false},
		{"no waiting, rate used up", policy.Limit{PerSecond: 10, Burst: 2, MaxWait: -1}, 2, nil, "rate_limit", 0, 100 * ms, false},
		{"no queue, both", policy.Limit{PerSecond: 10, Burst: 1, InFlight: 1, MaxQueue: -1}, 1, nil, "concurrency_limit", 0, 100 * ms, false},
		{"rate used up for too long", policy.Limit{PerSecond: 10, Burst: 1, MaxWait: 250 * ms}, 3, nil, "rate_limit", 0, 300 * ms, false},
		{"rate used up beyond the deadline", policy.Limit{PerSecond: 10, Burst: 1}, 3, within(300 * ms), "deadline", 0, 300 * ms, false},
		{"queue full", policy.Limit{InFlight: 1, MaxQueue: 2}, 3, nil, "queue_full", 0, 0, false},
		{"queue full, rate", policy.Limit{PerSecond: 10, Burst: 1, MaxQueue: 2}, 3, nil, "queue_full", 0, 300 * ms, false},
		{"waited too long", policy.Limit{InFlight: 1, MaxWait: 70 * ms}, 1, nil, "queue_timeout", 70 * ms, 0, false},
		{"deadline while it waited", policy.Limit{InFlight: 1, MaxWait: 70 * ms}, 1, within(69 * ms), "deadline", 69 * ms, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Name = "up.test"
				d := newDoor(t, tt.cfg)
				for range tt.before {
					d.usual()
				}
				ctx, trail := traced(t)
				if tt.ctx != nil {
					var cancel context.CancelFunc
					ctx, cancel = tt.ctx(ctx)
					defer cancel()
				}
				start, calls := time.Now(), d.upstream.Calls()
				last := d.come(ctx)
				time.Sleep(tt.after)
				synctest.Wait()

				require.True(t, last.isOver(), "it still waits")
				require.ErrorIs(t, last.err(), transport.ErrLimited)
				assert.Equal(t, tt.waitsDone, errors.Is(last.err(), context.DeadlineExceeded))
				assert.Contains(t, last.err().Error(), "transport: limit reached: up.test")
				assert.Equal(t, tt.after, last.took())
				var retryAt time.Time
				if tt.retryAt > 0 {
					retryAt = start.Add(tt.retryAt)
				}
				refusal := last.refusal()
				assert.Equal(t, "limiter", refusal.Layer)
				assert.Equal(t, tt.reason, refusal.Reason)
				assert.WithinDuration(t, retryAt, refusal.RetryAt, 1)
				require.Len(t, trail.Refusals(), 1)
				assert.Equal(t, tt.reason, trail.Refusals()[0].Reason)
				assert.Equal(t, policy.Refused, policy.Classify(policy.Outcome{Err: last.err()}).Class)
				assert.Equal(t, calls, d.upstream.Calls(), "it reached the upstream")
			})
		})
	}
}

// The body of a request that is not sent is closed.
func TestLimiterClosesRefusedBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies transporttest.Bodies
		limiter := transport.NewLimiter(policy.Limit{InFlight: 1, MaxQueue: 1, MaxWait: time.Second})
		rt := transport.Chain(transporttest.NewUpstream(held), bodies.Wrap, limiter.Wrap)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodPut, "in"))
		require.NoError(t, err)
		go func() { _, _ = rt.RoundTrip(newRequest(t, ctx, http.MethodPut, "waits, gives up")) }()
		synctest.Wait()
		_, err = rt.RoundTrip(newRequest(t, t.Context(), http.MethodPut, "queue full"))
		require.ErrorIs(t, err, transport.ErrLimited)
		cancel()
		synctest.Wait()
		_, err = rt.RoundTrip(newRequest(t, t.Context(), http.MethodPut, "waits too long"))
		require.ErrorIs(t, err, transport.ErrLimited)
		_, err = rt.RoundTrip(newRequest(t, ctx, http.MethodPut, "gave up before"))
		require.ErrorIs(t, err, context.Canceled)
		_ = first.Body.Close()
		assert.Equal(t, 5, bodies.Requests.Opened())
		bodies.Check(t)
	})
}

// A refusal says nothing of the server: it is not repeated, and opens no breaker.
// Nor does a deadline that passes while the request waits its turn.
func TestLimiterRefusalIsNobodysFault(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"waited too long": time.Hour, "deadline": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limiter := transport.NewLimiter(policy.Limit{InFlight: 1, MaxWait: 2 * time.Second})
				breaker := transport.NewBreaker(policy.Breaker{MinCalls: 1})
				passed := 0
				counted := func(next http.RoundTripper) http.RoundTripper {
					return transport.Func(func(req *http.Request) (*http.Response, error) {
						passed++
						return next.RoundTrip(req)
					})
				}
				rt := transport.Chain(transporttest.NewUpstream(held),
					transport.Retry(policy.Retry{}), counted, breaker.Wrap, limiter.Wrap)
				first, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				defer first.Body.Close()
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				_, err = rt.RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
				require.ErrorIs(t, err, transport.ErrLimited)
				assert.Equal(t, 2, passed, "calls, one of them refused")
				assert.Equal(t, policy.Closed, breaker.State())
			})
		})
	}
}

// Two transports that one limiter wraps share its bounds.
func TestLimiterShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := transport.NewLimiter(policy.Limit{InFlight: 1, MaxQueue: -1})
		first, err := limiter.Wrap(transport.Func(held)).RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		_, _, err = get(t, limiter.Wrap(transport.Func(fine)))
		require.ErrorIs(t, err, transport.ErrLimited)
		_ = first.Body.Close()
		_, _, err = get(t, limiter.Wrap(transport.Func(fine)))
		require.NoError(t, err)
	})
}

func TestLimiterSettings(t *testing.T) {
	upstream := &idler{}
	assert.Same(t, upstream, transport.NewLimiter(policy.Limit{Off: true}).Wrap(upstream), "a limiter that is off")
	assert.Equal(t, transport.LimiterState{Bound: 200}, transport.NewLimiter(policy.Limit{}).State())
	assert.Equal(t, transport.LimiterState{Bound: 3, PerSecond: 1.5}, transport.NewLimiter(policy.Limit{InFlight: 3, PerSecond: 1.5}).State())
	assert.Equal(t, transport.LimiterState{}, transport.NewLimiter(policy.Limit{InFlight: -1, PerSecond: -1}).State())
	text := fmt.Sprint(mustPanic(t, func() { transport.NewLimiter(policy.Limit{Burst: -1}) }))
	assert.Contains(t, text, "transport: ")
	assert.Contains(t, text, "Limit.Burst")

	limited := transport.NewLimiter(policy.Limit{}).Wrap(upstream)
	limited.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	assert.Equal(t, 1, upstream.told)
}

// However requests come, wait, give up and fail in the same few nanoseconds, never
// more than the bound are inside, and nothing is held in the end.
func TestLimiterCoincidences(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, i))
			bound := 1 + random.IntN(4)
			limiter := transport.NewLimiter(policy.Limit{InFlight: bound, MaxQueue: 1 + random.IntN(8), MaxWait: 60})
			var inside, sent atomic.Int64
			rt := limiter.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
				n := sent.Add(1)
				if now := inside.Add(1); now > int64(bound) {
					t.Errorf("seed %d, run %d: %d are inside, want at most %d", seed, i, now, bound)
				}
				defer inside.Add(-1)
				step := fine
				if n%5 == 0 {
					step = transporttest.Fail(errReset)
				}
				return transporttest.After(time.Duration(1+n*7%50), step)(req)
			}))
			var wg sync.WaitGroup
			for range 200 {
				ctx, cancel := context.WithTimeout(priority(t.Context(), random.IntN(3)), time.Duration(1+random.IntN(100)))
				req := newRequest(t, ctx, http.MethodGet, "")
				wg.Go(func() {
					defer cancel()
					if resp, err := rt.RoundTrip(req); err == nil {
						_ = resp.Body.Close()
					}
				})
				time.Sleep(time.Duration(random.IntN(20)))
			}
			wg.Wait()
			require.Equal(t, transport.LimiterState{Bound: bound}, limiter.State(), "seed %d, run %d", seed, i)
		})
	}
}

// A limiter that is set four times too high asks for little that is denied from
// the first second on.
func TestLimiterFindsRateFromTheStart(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			const allowed, minute = 50, time.Minute
			server := &meter{rate: allowed, last: time.Now()}
			rt := transport.NewLimiter(policy.Limit{PerSecond: 4 * allowed, Burst: 1, InFlight: -1, MaxWait: 2 * time.Second}).Wrap(server)
			load(rt, rand.New(rand.NewPCG(1, seed)), 6*allowed, minute)
			counts := server.reset()
			served, denied := counts[0], counts[1]
			assert.Less(t, denied, 0.015*(served+denied), "seed %d", seed)
			assert.Greater(t, served, 0.95*allowed*minute.Seconds(), "seed %d", seed)
		})
	}
}

// A wait that is shorter than the time from one token to the next is of use to
// who comes late enough.
func TestLimiterShortWaitSlowRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{PerSecond: 0.1, InFlight: -1, MaxWait: 5 * time.Second})
		require.True(t, d.usual().isInside())
		time.Sleep(5*time.Second - 2)
		assert.Equal(t, "rate_limit", d.usual().refusal().Reason)
		time.Sleep(4 * time.Nanosecond)
		late := d.usual()
		require.False(t, late.isOver())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		assert.True(t, late.isInside())
	})
}

// Callers at once, on real time: the bound holds, and nothing is left over.
// A bound beyond all need is still one.
func TestLimiterGreatestBound(t *testing.T) {
	l := transport.NewLimiter(policy.Limit{Adaptive: policy.Adaptive{Initial: math.MaxInt}})
	assert.Equal(t, math.MaxInt32, l.State().Bound)
}

func TestLimiterConcurrency(t *testing.T) {
	const bound, callers, calls = 7, 50, 100
	limiter := transport.NewLimiter(policy.Limit{InFlight: bound, MaxWait: time.Minute})
	var inside, most atomic.Int64
	rt := limiter.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
		now := inside.Add(1)
		defer inside.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		return answer(req, http.StatusOK, "fine"), nil
	}))
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range calls {
				ctx, cancel := context.WithCancel(priority(t.Context(), i%3))
				if i%5 == 0 {
					go cancel()
				}
				if resp, err := rt.RoundTrip(newRequest(t, ctx, http.MethodGet, "")); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, most.Load(), int64(bound))
	assert.Equal(t, transport.LimiterState{Bound: bound}, limiter.State())
}

// Two requests at once, then one each 100 ms. Who cannot be sent before his
// deadline does not wait for it.
func ExampleNewLimiter_rate() {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, "hello"))
	limiter := transport.NewLimiter(policy.Limit{PerSecond: 10, Burst: 2})
	client := transport.Wrap(&http.Client{Transport: upstream, Timeout: 50 * time.Millisecond}, limiter.Wrap)

	for range 3 {
		resp, err := client.Get("http://up.test/")
		if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
			wait := time.Until(refusal.RetryAt)
			fmt.Println(refusal.Reason, wait > 50*time.Millisecond, wait <= 100*time.Millisecond)
			continue
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(resp.Status)
		_ = resp.Body.Close()
	}
	// Output:
	// 200 OK
	// 200 OK
	// deadline true true
}

// A limit of a layer above on the first byte ends a wait like the caller's deadline: in
// a refusal, since the request was not sent and no server kept anybody waiting.
func TestLimiterWaitWithinFirstByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := transport.NewBreaker(policy.Breaker{MinCalls: 1})
		d := newDoor(t, policy.Limit{InFlight: 1})
		d.rt = transport.Chain(d.rt, transport.Timeout(policy.Timeout{FirstByte: time.Second}), breaker.Wrap)
		d.usual()
		waits := d.usual()
		time.Sleep(time.Second)
		synctest.Wait()
		require.ErrorIs(t, waits.err(), transport.ErrLimited)
		assert.Equal(t, "deadline", waits.refusal().Reason)
		assert.ErrorContains(t, waits.err(), "first byte exceeded 1s")
		assert.Equal(t, time.Second, waits.took())
		assert.Equal(t, policy.Closed, breaker.State())
	})
}
