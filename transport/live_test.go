package transport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
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
)

// A lively is a Live around a service that does as it is told.
type lively struct {
	t      *testing.T
	live   *transport.Live
	rt     http.RoundTripper
	status atomic.Int32 // what is answered; zero means 200
	calls  atomic.Int32 // that came to the service
	took   time.Duration
}

// newLively returns a Live with one attempt for each call and no limit but what s
// says.
func newLively(t *testing.T, s policy.Stack) *lively {
	l := &lively{t: t}
	var err error
	l.live, err = transport.NewLive(calm(s))
	require.NoError(t, err)
	l.rt = transport.Chain(transport.Func(l.serve), l.live.Wrap)
	return l
}

// calm is s without what makes tests long.
func calm(s policy.Stack) policy.Stack {
	if s.Retry.Attempts == 0 {
		s.Retry.Off = true
	}
	s.Breaker.Jitter = -1
	return s
}

func (l *lively) serve(req *http.Request) (*http.Response, error) {
	l.calls.Add(1)
	if l.took > 0 {
		time.Sleep(l.took)
	}
	status := int(l.status.Load())
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"labelName":"a","confidence":0.9}`)), Request: req,
	}, nil
}

func (l *lively) apply(s policy.Stack) {
	l.t.Helper()
	require.NoError(l.t, l.live.Apply(calm(s)))
}

// ask makes n calls of which the service answers so.
func (l *lively) ask(n, status int) {
	l.t.Helper()
	l.status.Store(int32(status))
	for range n {
		_, _, _ = get(l.t, l.rt)
	}
}

// breaker returns the only breaker.
func (l *lively) breaker() *transport.Breaker {
	l.t.Helper()
	all := transport.Breakers(l.rt)
	require.Len(l.t, all, 1)
	return all[0]
}

const down = http.StatusBadGateway

func TestLiveThresholds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window policy.Breaker
	}{
		{"within a time", policy.Breaker{}},
		{"of the last calls", policy.Breaker{LastCalls: 20}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				with := func(ratio float64) policy.Stack {
					b := tt.window
					b.Ratio, b.OpenFor = ratio, 20*time.Second
					return policy.Stack{Breaker: b}
				}
				l := newLively(t, with(0.9))
				for range 9 {
					l.ask(1, http.StatusOK)
					l.ask(1, down)
				}
				assert.Equal(t, policy.Closed, l.breaker().State())

				l.apply(with(0.5))
				assert.Equal(t, policy.Closed, l.breaker().State(), "nothing happens by itself")
				l.ask(1, down)
				snapshot := l.breaker().Snapshot()
				assert.Equal(t, policy.Open, snapshot.State, "what was counted before counts")
				assert.Equal(t, policy.TooManyFaults, snapshot.Last.Reason)
				until := time.Now().Add(20 * time.Second)
				assert.Equal(t, until, snapshot.Until)

				s := with(0.7)
				s.Breaker.OpenFor, s.Total, s.Attempt.FirstByte = time.Minute, 9*time.Second, time.Second
				time.Sleep(time.Second)
				l.apply(s)
				assert.Equal(t, until, l.breaker().Snapshot().Until, "open for as long as was said")
			})
		})
	}
}

// Faults of before the new settings leave the window when they would have, and
// those of after it do not count alone.
func TestLiveWindowGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{Breaker: policy.Breaker{Ratio: 0.9}})
		l.ask(30, http.StatusOK)
		l.apply(policy.Stack{Breaker: policy.Breaker{Ratio: 0.5}})
		l.ask(20, down)
		assert.Equal(t, policy.Closed, l.breaker().State(), "20 of 50, though the last 20 are all faults")
		l.ask(9, down)
		assert.Equal(t, policy.Closed, l.breaker().State(), "29 of 59")
		l.ask(1, down)
		assert.Equal(t, policy.Open, l.breaker().State(), "30 of 60")

		l = newLively(t, policy.Stack{Breaker: policy.Breaker{Ratio: 0.9}})
		l.ask(5, http.StatusOK)
		l.ask(20, down)
		l.apply(policy.Stack{Breaker: policy.Breaker{Ratio: 0.85}})
		time.Sleep(31 * time.Second)
		l.ask(30, http.StatusOK)
		assert.Equal(t, policy.Closed, l.breaker().State(), "the faults have left the window")
		assert.Zero(t, l.breaker().Snapshot().Faults)

		l = newLively(t, policy.Stack{Breaker: policy.Breaker{Ratio: 0.9}})
		l.ask(30, http.StatusOK)
		l.apply(policy.Stack{Breaker: policy.Breaker{Ratio: 0.5}})
		l.ask(12, down)
		time.Sleep(31 * time.Second)
		l.ask(1, http.StatusOK)
		assert.Equal(t, policy.Closed, l.breaker().State(), "12 of 42 were not too many, and are over")
	})
}

func TestLiveOtherWindow(t *testing.T) {
	for _, tt := range []struct {
		name string
		to   policy.Breaker
	}{
		{"longer", policy.Breaker{Window: time.Minute}},
		{"of calls", policy.Breaker{LastCalls: 50}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLively(t, policy.Stack{})
				l.ask(9, down)
				assert.Equal(t, 9, l.breaker().Snapshot().Calls)
				l.apply(policy.Stack{Breaker: tt.to})
				assert.Zero(t, l.breaker().Snapshot().Calls, "it counts anew")

				l = newLively(t, policy.Stack{})
				l.ask(10, down)
				until := l.breaker().Snapshot().Until
				require.NotZero(t, until)
				l.apply(policy.Stack{Breaker: tt.to})
				assert.Equal(t, until, l.breaker().Snapshot().Until, "but is open")
			})
		})
	}
}

func TestLiveIsolatedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{})
		l.ask(1, http.StatusOK)
		by := l.breaker()
		by.Isolate("being moved", time.Time{})
		l.apply(policy.Stack{Breaker: policy.Breaker{Window: time.Minute, LastCalls: 7}, Total: time.Second})
		assert.Equal(t, policy.Isolated, l.breaker().State())
		l.apply(policy.Stack{Breaker: policy.Breaker{Off: true}})
		l.ask(1, http.StatusOK)
		assert.EqualValues(t, 2, l.calls.Load(), "a breaker that is off stops nobody")
		l.apply(policy.Stack{})
		assert.Equal(t, "being moved", l.breaker().Snapshot().Reason)
		l.ask(1, http.StatusOK)
		assert.EqualValues(t, 2, l.calls.Load())
		by.Release() // whoever has the earlier one has its state
		l.ask(1, http.StatusOK)
		assert.EqualValues(t, 3, l.calls.Load())
	})
}

func TestLiveCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(c policy.Cache) policy.Stack { return policy.Stack{Cache: &c} }
		l := newLively(t, with(policy.Cache{}))
		question := func(n int) {
			t.Helper()
			ctx := policy.WithCall(t.Context(), policy.Call{Function: "f", Replayable: true})
			req := newRequest(t, ctx, http.MethodPost, fmt.Sprintf(`{"data":"%d"}`, n))
			req.Header.Set("Content-Type", "application/json")
			_, _, err := send(t, l.rt, req)
			require.NoError(t, err)
		}
		for n := range 30 {
			time.Sleep(time.Second)
			question(n)
		}
		l.apply(with(policy.Cache{MaxEntries: 100_000, TTL: time.Hour}))
		for n := range 30 {
			question(n)
		}
		assert.EqualValues(t, 30, l.calls.Load(), "more room: all are there")
		l.apply(with(policy.Cache{MaxEntries: 10}))
		for n := range 10 {
			question(20 + n)
		}
		assert.EqualValues(t, 30, l.calls.Load(), "the newest are there")
		question(0)
		assert.EqualValues(t, 31, l.calls.Load(), "the oldest is not")
		assert.Equal(t, 10, transport.Snapshot(l.rt).Functions[0].Cache.MaxEntries)
	})
}

func TestLiveLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(limit policy.Limit) policy.Stack { return policy.Stack{Limit: limit, Total: time.Minute} }
		l := newLively(t, with(policy.Limit{InFlight: 2, PerSecond: 100, Burst: 100, MaxQueue: -1}))
		l.took = 10 * time.Second
		limiter := func() (inFlight, bound int) {
			s := transport.Snapshot(l.rt).Functions[0].Limiters[0]
			return s.InFlight, s.Bound
		}
		for range 2 {
			go func() { _, _, _ = get(t, l.rt) }()
		}
		synctest.Wait()
		l.apply(with(policy.Limit{InFlight: 3, PerSecond: 1, Burst: 2, MaxQueue: -1}))
		inFlight, bound := limiter()
		assert.Equal(t, 2, inFlight)
		assert.Equal(t, 3, bound)
		go func() { _, _, _ = get(t, l.rt) }()
		synctest.Wait()
		_, _, err := get(t, l.rt)
		require.ErrorIs(t, err, transport.ErrLimited, "two of before and one are three")
		assert.EqualValues(t, 3, l.calls.Load())

		l.took = 0
		l.apply(with(policy.Limit{InFlight: -1, PerSecond: 1, Burst: 1, MaxQueue: -1}))
		_, _, err = get(t, l.rt)
		require.NoError(t, err, "one token of the new burst")
		_, _, err = get(t, l.rt)
		require.ErrorIs(t, err, transport.ErrLimited)
		l.apply(with(policy.Limit{}))
		_, bound = limiter()
		assert.Equal(t, 200, bound, "it adapts now")
		time.Sleep(time.Minute)
		inFlight, _ = limiter()
		assert.Zero(t, inFlight, "those of before have left")
	})
}

// Who waits in the queue goes on as soon as the new bounds let him, and waits no
// longer than he was to.
func TestLiveQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(limit policy.Limit) policy.Stack { return policy.Stack{Limit: limit, Total: time.Minute} }
		l := newLively(t, with(policy.Limit{InFlight: 1, MaxWait: 3 * time.Second}))
		l.took = 30 * time.Second
		for range 2 {
			go func() { _, _, _ = get(t, l.rt) }()
		}
		synctest.Wait()
		assert.EqualValues(t, 1, l.calls.Load())
		l.apply(with(policy.Limit{InFlight: 2, MaxWait: time.Second}))
		synctest.Wait()
		assert.EqualValues(t, 2, l.calls.Load())
		time.Sleep(time.Minute)
	})
}

func TestLiveEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		named := func(names ...string) policy.Stack {
			f := &policy.Failover{Ejection: policy.Ejection{Faults: 2, For: time.Minute, MaxShare: 1}}
			for _, name := range names {
				f.Endpoints = append(f.Endpoints, policy.Endpoint{Name: name, URL: "http://" + name + ".test"})
			}
			return policy.Stack{Failover: f}
		}
		l := newLively(t, named("a", "b"))
		base := func(req *http.Request) (*http.Response, error) {
			resp, err := l.serve(req)
			if req.URL.Host == "a.test" {
				resp.StatusCode = down
			}
			return resp, err
		}
		l.rt = transport.Chain(transport.Func(base), l.live.Wrap)
		for range 3 {
			_, _, err := get(t, l.rt)
			require.NoError(t, err)
		}
		was := transport.Failovers(l.rt)[0].State()
		require.NotZero(t, was[0].Ejected)
		breakers := len(transport.Breakers(l.rt))

		l.apply(named("c", "b", "a"))
		is := transport.Failovers(l.rt)[0].State()
		require.Len(t, is, 3)
		assert.Equal(t, was[0], is[2])
		assert.Equal(t, was[1], is[1])
		assert.Zero(t, is[0].Asked)
		assert.Greater(t, len(transport.Breakers(l.rt)), breakers-1)
		for _, b := range transport.Breakers(l.rt) {
			if s := b.Snapshot(); s.Name == "a" {
				assert.Equal(t, 2, s.Faults)
			}
		}
		l.apply(named("a", "b"))
		assert.Equal(t, was, transport.Failovers(l.rt)[0].State())
		off := named("a", "b")
		off.Failover.Ejection.Off = true
		l.apply(off)
		assert.Zero(t, transport.Failovers(l.rt)[0].State()[0].Ejected, "none is out any more")
	})
}

// The layers of an endpoint go by the new settings, and its failover has the tokens
// that are left.
func TestLiveEndpointSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(ratio float64, total time.Duration) policy.Stack {
			return policy.Stack{Total: total, Breaker: policy.Breaker{Ratio: ratio}, Failover: &policy.Failover{
				Endpoints: []policy.Endpoint{{Name: "a", URL: "http://a.test"}, {Name: "b", URL: "http://b.test"}},
				Budget:    policy.Budget{Burst: 2, PerSecond: -1}, Ejection: policy.Ejection{Off: true},
			}}
		}
		l := newLively(t, with(1, time.Minute))
		l.ask(1, http.StatusOK)
		l.ask(9, down)
		asked := l.calls.Load()
		assert.EqualValues(t, 12, asked, "10 calls, and two tokens")
		l.apply(with(0.8, time.Second))
		l.ask(1, down)
		assert.EqualValues(t, 1, l.calls.Load()-asked, "no token is left")
		for _, b := range transport.Breakers(l.rt) {
			if s := b.Snapshot(); s.Name == "a" {
				assert.Equal(t, policy.Open, s.State, "10 faults of 11 calls")
			}
		}
	})
}

func TestLiveBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(b policy.Budget) policy.Stack {
			return policy.Stack{Retry: policy.Retry{Attempts: 2, Backoff: policy.Backoff{Base: time.Millisecond}, Budget: b}, Breaker: policy.Breaker{Off: true}}
		}
		budget := func(rt http.RoundTripper) int { return transport.Snapshot(rt).Functions[0].Budget.Tokens }
		l := newLively(t, with(policy.Budget{Burst: 10, PerSecond: -1}))
		other := l.live.Wrap(transport.Func(l.serve))
		l.status.Store(down)
		for range 4 {
			_, _, err := send(t, l.rt, newRequest(t, replayable(t.Context()), http.MethodGet, ""))
			require.NoError(t, err)
		}
		assert.Equal(t, 6, budget(l.rt))
		l.apply(with(policy.Budget{Burst: 100, PerSecond: -1}))
		assert.Equal(t, 6, budget(l.rt), "it is not filled up")
		assert.Equal(t, 6, budget(other), "it is everybody's")
		l.apply(with(policy.Budget{Burst: 3, PerSecond: -1}))
		assert.Equal(t, 3, budget(l.rt))
	})
}

func TestLiveHedgeKnowsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hedge := &policy.Hedge{Ratio: 1}
		l := newLively(t, policy.Stack{Hedge: hedge})
		l.took = 100 * time.Millisecond
		l.ask(30, http.StatusOK)
		l.apply(policy.Stack{Hedge: &policy.Hedge{Ratio: 1, Max: 2}, Total: 20 * time.Second})
		l.took = 10 * time.Second
		began := l.calls.Load()
		go func() { _, _, _ = get(t, l.rt) }()
		time.Sleep(time.Second)
		assert.EqualValues(t, 3, l.calls.Load()-began, "it is known that an answer takes 100 ms, and hedges are paid for")
		time.Sleep(time.Minute)
	})
}

// A stack that comes to have a hedge again, or a budget of its own, begins anew.
func TestLiveForgetsWhatIsGone(t *testing.T) {
	hedged := policy.Stack{Hedge: &policy.Hedge{Ratio: 1, Max: 2}}
	for name, without := range map[string]policy.Stack{"none": {}, "off": {Hedge: &policy.Hedge{Off: true}}} {
		t.Run("hedge "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLively(t, hedged)
				l.took = 100 * time.Millisecond
				l.ask(30, http.StatusOK)
				l.apply(without)
				l.apply(hedged)
				l.took = 10 * time.Second
				began := l.calls.Load()
				_, _, err := get(t, l.rt)
				require.NoError(t, err)
				assert.EqualValues(t, 1, l.calls.Load()-began, "it is not known how long an answer takes")
			})
		})
	}
	t.Run("budget", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			with := func(bucket *policy.Bucket) policy.Stack {
				return policy.Stack{Retry: policy.Retry{
					Attempts: 2, Backoff: policy.Backoff{Base: -1}, Budget: policy.Budget{Burst: 10, PerSecond: -1}, Bucket: bucket,
				}, Breaker: policy.Breaker{Off: true}}
			}
			budget := func(rt http.RoundTripper) int { return transport.Snapshot(rt).Functions[0].Budget.Tokens }
			l := newLively(t, with(nil))
			l.status.Store(down)
			for range 4 {
				_, _, err := send(t, l.rt, newRequest(t, replayable(t.Context()), http.MethodGet, ""))
				require.NoError(t, err)
			}
			require.Equal(t, 6, budget(l.rt))
			l.apply(with(policy.NewBucket(policy.Budget{Burst: 7, PerSecond: -1})))
			assert.Equal(t, 7, budget(l.rt))
			l.apply(with(nil))
			assert.Equal(t, 10, budget(l.rt))
		})
	})
}

func TestLiveThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(throttle policy.Throttle) policy.Stack { return policy.Stack{Throttle: &throttle} }
		l := newLively(t, with(policy.Throttle{Random: fixed(almostOne)}))
		refused := func() float64 { return transport.Snapshot(l.rt).Functions[0].Throttles[0].Refused }
		l.ask(40, http.StatusServiceUnavailable)
		require.InDelta(t, 0.9, refused(), 1e-9)
		l.apply(with(policy.Throttle{MaxRefused: 0.4}))
		assert.InDelta(t, 0.4, refused(), 1e-9)
		l.apply(with(policy.Throttle{Window: time.Minute}))
		assert.Zero(t, refused(), "another window counts anew")
	})
}

// What is counted decides by other shares at once.
func TestLiveThrottleShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(ratio float64) policy.Stack {
			return policy.Stack{Throttle: &policy.Throttle{Ratio: ratio, Random: fixed(almostOne)}, Limit: policy.Limit{Off: true}}
		}
		l := newLively(t, with(0.5))
		l.ask(60, http.StatusOK)
		l.ask(40, http.StatusServiceUnavailable)
		refused := func() float64 { return transport.Snapshot(l.rt).Functions[0].Throttles[0].Refused }
		require.Zero(t, refused())
		l.apply(with(0.2))
		assert.InDelta(t, (100-60/0.8)/101, refused(), 0.01)
	})
}

func TestHedgeWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := 100 * time.Millisecond
		base := transport.Func(func(req *http.Request) (*http.Response, error) {
			time.Sleep(took)
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		})
		h := transport.NewHedge(policy.Hedge{Quantile: 0.9, Ratio: 0.0001})
		for n := range 200 {
			took = 100 * time.Millisecond
			if n%2 == 0 {
				took = time.Second
			}
			_, _, err := get(t, h.Wrap(base))
			require.NoError(t, err)
		}
		slow := h.Delay()
		require.InDelta(t, time.Second, slow, 1e8)
		other := h.With(policy.Hedge{Quantile: 0.3, Ratio: 1})
		assert.InDelta(t, 100*time.Millisecond, other.Delay(), 1e7, "another quantile of the same times")

		// Good answers pay the new ratio: one buys a hedge.
		var calls atomic.Int32
		counted := transport.Func(func(req *http.Request) (*http.Response, error) {
			calls.Add(1)
			return base(req)
		})
		took = time.Millisecond
		_, _, err := get(t, other.Wrap(counted))
		require.NoError(t, err)
		took = time.Second
		_, _, err = get(t, other.Wrap(counted))
		require.NoError(t, err)
		synctest.Wait()
		assert.EqualValues(t, 3, calls.Load())
		time.Sleep(time.Minute)
	})
}

// A bound that adapts keeps its height, within the new bounds.
func TestLimiterWithOtherBounds(t *testing.T) {
	l := transport.NewLimiter(policy.Limit{Adaptive: policy.Adaptive{Initial: 50}})
	assert.Equal(t, 50, l.With(policy.Limit{}).State().Bound)
	assert.Equal(t, 20, l.With(policy.Limit{Adaptive: policy.Adaptive{Max: 20}}).State().Bound)
	assert.Equal(t, 30, l.With(policy.Limit{Adaptive: policy.Adaptive{Min: 30}}).State().Bound)
}

// Tokens that are spent stay so, and so does a rate that was learnt.
func TestLimiterWithOtherRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusOK
		base := transport.Func(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		})
		l := transport.NewLimiter(policy.Limit{PerSecond: 10, Burst: 3, MaxQueue: -1})
		for range 3 {
			_, _, err := get(t, l.Wrap(base))
			require.NoError(t, err)
		}
		l = l.With(policy.Limit{PerSecond: 20, Burst: 100, MaxQueue: -1})
		_, _, err := get(t, l.Wrap(base))
		require.ErrorIs(t, err, transport.ErrLimited, "none is given for the change")
		time.Sleep(50 * time.Millisecond)
		status = http.StatusTooManyRequests
		_, _, err = get(t, l.Wrap(base))
		require.NoError(t, err, "one comes at the new rate")
		assert.InDelta(t, 14, l.State().PerSecond, 0.1)
		assert.InDelta(t, 14, l.With(policy.Limit{PerSecond: 50}).State().PerSecond, 0.1)
	})
}

func TestLiveActivityAndEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{Function: "search"})
		l.ask(10, down)
		was := transport.Snapshot(l.rt)
		require.NotEmpty(t, was.Events)
		l.apply(policy.Stack{Function: "search", Total: time.Second})
		is := transport.Snapshot(l.rt)
		assert.Equal(t, was.Events, is.Events)
		assert.Equal(t, was.Functions[0].Calls, is.Functions[0].Calls)
		assert.Equal(t, was.Functions[0].P99, is.Functions[0].P99)
	})
}

func TestLiveRejects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{Function: "search", Total: 5 * time.Second, Limit: policy.Limit{PerSecond: 10, Burst: 10}})
		l.ask(1, http.StatusOK)
		was := transport.Inspect(l.rt)
		bad := policy.Stack{Limit: policy.Limit{PerSecond: 10, Burst: 1}, Fallback: &policy.Fallback{Rules: []policy.Rule{{Name: "empty"}}}}
		require.Error(t, l.live.Apply(bad), "rules that cannot work")
		require.Error(t, l.live.Apply(policy.Stack{Breaker: policy.Breaker{Ratio: 2}}))
		assert.Len(t, was, len(transport.Inspect(l.rt)))
		assert.Equal(t, 5*time.Second, l.live.Stack().Total)
		l.ask(9, http.StatusOK)
		assert.EqualValues(t, 10, l.calls.Load(), "no token was taken away")
		_, err := transport.NewLive(bad)
		require.Error(t, err)
	})
}

func TestLiveIsSeenThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{Total: 7 * time.Second, Failover: &policy.Failover{Endpoints: []policy.Endpoint{{Name: "a", URL: target}}}})
		standard := transport.Chain(transport.Func(l.serve), transport.Standard(l.live.Stack()))
		kinds := func(rt http.RoundTripper) (all []policy.Kind) {
			for _, part := range transport.Inspect(rt) {
				all = append(all, part.Kind)
			}
			return all
		}
		assert.Equal(t, kinds(standard), kinds(l.rt))
		assert.Equal(t, transport.Explain(standard).Worst, transport.Explain(l.rt).Worst)
		assert.Len(t, transport.Failovers(l.rt), 1)
		assert.Len(t, transport.Breakers(l.rt), 1)
	})
}

// A call that is under way goes on as it began, though settings change.
func TestLiveCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{Retry: policy.Retry{Attempts: 3, Backoff: policy.Backoff{Base: time.Minute, Max: time.Minute}, Random: fixed(almostOne)}, Total: time.Hour})
		l.status.Store(http.StatusServiceUnavailable)
		ended := make(chan int, 1)
		go func() {
			status, _, _ := get(t, l.rt)
			ended <- status
		}()
		time.Sleep(time.Second)
		l.apply(policy.Stack{})
		assert.Equal(t, http.StatusServiceUnavailable, <-ended)
		assert.EqualValues(t, 3, l.calls.Load())
		_, _, _ = get(t, l.rt)
		assert.EqualValues(t, 4, l.calls.Load(), "a new one has one attempt")
	})
}

// planKey is under which a call of the test below keeps the plans it met.
type planKey struct{}

// Each of 1,000 calls a second through 100 changes is answered, and meets one plan.
func TestLiveOnePlanForEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const changes, apart = 100, 10 * time.Millisecond
		var failed, mixed, answered atomic.Int32
		numbered := func(n int) policy.Stack {
			classify := func(o policy.Outcome) policy.Verdict {
				if plan := o.Header.Get("X-Plan"); plan != "" && plan != fmt.Sprint(n) {
					mixed.Add(1)
				}
				return policy.Classify(o)
			}
			own := http.Header{"X-Plan": {fmt.Sprint(n)}}
			return policy.Stack{
				Function: fmt.Sprint(n),
				Total:    time.Minute + time.Duration(n),
				Cache:    &policy.Cache{MaxEntries: 100 + n},
				Fallback: &policy.Fallback{Static: &policy.Answer{Label: "x", Confidence: 0.1}},
				Hedge:    &policy.Hedge{Delay: time.Second},
				Retry:    policy.Retry{Attempts: 2, Backoff: policy.Backoff{Base: 15 * time.Millisecond}, Budget: policy.Budget{Off: true}, Classify: classify},
				Failover: &policy.Failover{Endpoints: []policy.Endpoint{
					{Name: "a", URL: "http://a.test", Header: own}, {Name: fmt.Sprint("b", n%3), URL: "http://b.test", Header: own},
				}},
				Throttle: &policy.Throttle{Ratio: 0.9},
				Breaker:  policy.Breaker{MinCalls: 1000 + n, Classify: classify},
				Limit:    policy.Limit{InFlight: 1000 + n%2, PerSecond: 1e6, Classify: classify},
			}
		}
		live, err := transport.NewLive(numbered(0))
		require.NoError(t, err)
		base := func(req *http.Request) (*http.Response, error) {
			seen := req.Context().Value(planKey{}).(*sync.Map)
			seen.Store(req.Header.Get("X-Plan"), true)
			time.Sleep(2 * time.Millisecond)
			status := http.StatusOK
			if _, again := seen.LoadOrStore("again", true); !again {
				status = http.StatusInternalServerError
			}
			return &http.Response{StatusCode: status, Header: http.Header{"X-Plan": req.Header["X-Plan"]}, Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
		}
		rt := transport.Chain(transport.Func(base), live.Wrap)
		var group sync.WaitGroup
		call := func() {
			var seen sync.Map
			ctx := context.WithValue(t.Context(), planKey{}, &seen)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
			if err != nil {
				panic(err)
			}
			resp, err := rt.RoundTrip(req)
			if err != nil || resp.StatusCode != http.StatusOK || strings.HasPrefix(resp.Header.Get(telemetry.HeaderName), "static") {
				failed.Add(1)
			}
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			plans := map[string]bool{}
			seen.Range(func(key, _ any) bool {
				plans[fmt.Sprint(key)] = true
				return true
			})
			delete(plans, "again")
			if len(plans) != 1 {
				mixed.Add(1)
			}
			answered.Add(1)
		}
		for n := range changes {
			for range int(apart / time.Millisecond) {
				group.Go(call)
				time.Sleep(time.Millisecond)
			}
			require.NoError(t, live.Apply(numbered(n+1)))
		}
		group.Wait()
		assert.EqualValues(t, changes*apart/time.Millisecond, answered.Load())
		assert.Zero(t, failed.Load())
		assert.Zero(t, mixed.Load())
		snapshot := transport.Snapshot(rt).Functions[0]
		for _, limiter := range snapshot.Limiters {
			assert.Zero(t, limiter.InFlight)
		}
		for _, endpoint := range snapshot.Endpoints {
			assert.Zero(t, endpoint.InFlight)
		}
	})
}

func TestLiveCostsNothing(t *testing.T) {
	base := transport.Func(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
	})
	live, err := transport.NewLive(policy.Stack{})
	require.NoError(t, err)
	allocs := func(layer transport.Layer) float64 {
		rt := transport.Chain(base, layer)
		req := newRequest(t, t.Context(), http.MethodGet, "")
		return testing.AllocsPerRun(100, func() {
			resp, err := rt.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	assert.Equal(t, allocs(transport.Standard(policy.Stack{})), allocs(live.Wrap))
}

func BenchmarkLive(b *testing.B) {
	base := transport.Func(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
	})
	live, err := transport.NewLive(policy.Stack{})
	require.NoError(b, err)
	for _, bb := range []struct {
		name  string
		layer transport.Layer
	}{{"fixed", transport.Standard(policy.Stack{})}, {"live", live.Wrap}} {
		b.Run(bb.name, func(b *testing.B) {
			rt := transport.Chain(base, bb.layer)
			req := newRequest(b, b.Context(), http.MethodGet, "")
			b.ReportAllocs()
			for b.Loop() {
				resp, err := rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}

func ExampleNewLive() {
	live, err := transport.NewLive(policy.Stack{Function: "search", Total: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := transport.Wrap(&http.Client{}, live.Wrap)

	err = live.Apply(policy.Stack{Function: "search", Breaker: policy.Breaker{Ratio: 2}})
	fmt.Println(err)
	fmt.Println(live.Apply(policy.Stack{Function: "search", Total: 5 * time.Second}))
	fmt.Println(live.Stack().Total, transport.Snapshot(client.Transport).Functions[0].Name)
	// Output:
	// transport: invalid stack: policy: Breaker.Ratio is 2, want 0.01 to 1
	// <nil>
	// 5s search
}

func TestLiveFidelity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(label string, total time.Duration) policy.Stack {
			return policy.Stack{Total: total, Fallback: &policy.Fallback{
				Static: &policy.Answer{Label: label, Confidence: 0.1}, Fidelity: policy.Fidelity{Share: 1},
			}}
		}
		l := newLively(t, with("a", time.Minute))
		l.ask(3, http.StatusOK)
		synctest.Wait()
		was := transport.Fidelity(l.rt)
		require.NotEmpty(t, was)
		require.Equal(t, 3, was[0].Asked)
		l.apply(with("a", time.Second))
		assert.Equal(t, was, transport.Fidelity(l.rt))
		l.ask(1, http.StatusOK)
		synctest.Wait()
		assert.Equal(t, 4, transport.Fidelity(l.rt)[0].Asked)
	})
}

// Transports that nobody has any more are not kept for the next change.
func TestLiveForgetsTransports(t *testing.T) {
	live, err := transport.NewLive(policy.Stack{})
	require.NoError(t, err)
	gone := make(chan struct{})
	func() {
		base := &forgettable{}
		runtime.AddCleanup(base, func(gone chan struct{}) { close(gone) }, gone)
		live.Wrap(base)
	}()
	for {
		runtime.GC()
		select {
		case <-gone:
			require.NoError(t, live.Apply(policy.Stack{}))
			return
		case <-t.Context().Done():
			t.Fatal("a transport is kept")
		default:
		}
	}
}

type forgettable struct{ calls int }

func (f *forgettable) RoundTrip(*http.Request) (*http.Response, error) {
	f.calls++
	return nil, http.ErrServerClosed
}

func BenchmarkLiveApply(b *testing.B) {
	for _, hosts := range []int{1, 1000} {
		b.Run(fmt.Sprint("hosts ", hosts), func(b *testing.B) {
			base := transport.Func(func(req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
			})
			live, err := transport.NewLive(policy.Stack{})
			require.NoError(b, err)
			rt := transport.Chain(base, live.Wrap)
			for i := range hosts {
				req := newRequest(b, b.Context(), http.MethodGet, "")
				req.URL.Host = fmt.Sprint("host", i, ".test")
				resp, err := rt.RoundTrip(req)
				require.NoError(b, err)
				require.NoError(b, resp.Body.Close())
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := live.Apply(policy.Stack{Total: time.Minute}); err != nil {
					b.Fatal(err)
				}
			}
			runtime.KeepAlive(rt)
		})
	}
}
