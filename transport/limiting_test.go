package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// sendTo sends a request of a priority through rt and reads the answer.
func sendTo(ctx context.Context, rt http.RoundTripper, priority int) error {
	ctx = policy.WithCall(ctx, policy.Call{Priority: priority})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://up.test/", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return err
}

// reasonOf returns the reason of a refusal.
func reasonOf(t *testing.T, err error) string {
	t.Helper()
	require.ErrorIs(t, err, transport.ErrLimited)
	refusal, ok := errors.AsType[*policy.Refusal](err)
	require.True(t, ok)
	return refusal.Reason
}

// TestLimitingHoldsToBodyEnd: a request is in flight until its body ends, on
// every path.
func TestLimitingHoldsToBodyEnd(t *testing.T) {
	tests := []struct {
		name string
		step transporttest.Step
		end  func(*http.Response)
	}{
		{"read to its end", transporttest.Reply(200, "fine"), func(r *http.Response) { _, _ = io.Copy(io.Discard, r.Body) }},
		{"closed early", transporttest.Stall(200, "begin"), func(r *http.Response) { r.Body.Close() }},
		{"empty", transporttest.Reply(204, ""), func(*http.Response) {}},
		{"an error", transporttest.Fail(errors.New("broken")), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := transport.NewLimiter(policy.Limit{InFlight: 1, MaxQueue: -1})
				rt := l.Wrap(transporttest.NewUpstream(tt.step))
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://up.test/", http.NoBody)
				require.NoError(t, err)
				resp, err := rt.RoundTrip(req)
				if tt.end != nil {
					require.NoError(t, err)
					if resp.Body != http.NoBody {
						assert.Equal(t, 1, l.State().InFlight)
						assert.Equal(t, "concurrency_limit", reasonOf(t, sendTo(t.Context(), rt, 0)))
					}
					tt.end(resp)
				}
				assert.Zero(t, l.State().InFlight)
			})
		})
	}
}

func TestLimitingPanicGivesPlaceBack(t *testing.T) {
	l := transport.NewLimiter(policy.Limit{InFlight: 1})
	rt := l.Wrap(transporttest.NewUpstream(transporttest.Panic("below")))
	assert.PanicsWithValue(t, "below", func() { _ = sendTo(t.Context(), rt, 0) })
	assert.Zero(t, l.State().InFlight)
}

// TestLimitingQueue: first come first served within a priority, the higher one
// first, and the youngest of the lowest makes room.
func TestLimitingQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		note := func(what string) { mu.Lock(); order = append(order, what); mu.Unlock() }
		l := transport.NewLimiter(policy.Limit{InFlight: 1, MaxQueue: 3, MaxWait: time.Hour})
		rt := l.Wrap(transporttest.NewUpstream(transporttest.After(time.Second, transporttest.Reply(200, ""))))
		var wg sync.WaitGroup
		for _, c := range []struct {
			name     string
			priority int
		}{{"first", 0}, {"low 1", 0}, {"low 2", 0}, {"low 3", 0}, {"high 1", 5}, {"high 2", 5}, {"late", 0}} {
			wg.Go(func() {
				if err := sendTo(t.Context(), rt, c.priority); err != nil {
					note(c.name + " " + reasonOf(t, err))
					return
				}
				note(c.name)
			})
			synctest.Wait()
		}
		wg.Wait()
		assert.Equal(t, []string{
			"low 3 queue_full", "low 2 queue_full", "late queue_full",
			"first", "high 1", "high 2", "low 1",
		}, order)
	})
}

// TestLimitingWait: a place in the queue is given up at exactly the time that was
// set, or with the caller, and costs nobody else anything.
func TestLimitingWait(t *testing.T) {
	const hold = 3 * time.Second
	tests := []struct {
		name     string
		maxWait  time.Duration
		timeout  time.Duration // of the caller, zero for none
		want     string        // reason, "" if let in, "caller" if he left
		wantWait time.Duration
	}{
		{"too long", hold - 1, 0, "queue_timeout", hold - 1},
		{"just long enough", hold + 1, 0, "", hold},
		{"the caller leaves", time.Hour, time.Second, "caller", time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := transport.NewLimiter(policy.Limit{InFlight: 1, MaxWait: tt.maxWait})
				upstream := transporttest.NewUpstream(transporttest.After(hold, transporttest.Reply(200, "")), transporttest.Reply(200, ""))
				rt := l.Wrap(upstream)
				go func() { _ = sendTo(context.Background(), rt, 0) }()
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.timeout > 0 {
					time.AfterFunc(tt.timeout, cancel)
				}
				start := time.Now()
				err := sendTo(ctx, rt, 0)
				assert.Equal(t, tt.wantWait, time.Since(start))
				switch tt.want {
				case "":
					require.NoError(t, err)
				case "caller":
					require.ErrorIs(t, err, context.Canceled)
				default:
					assert.Equal(t, tt.want, reasonOf(t, err))
				}
				time.Sleep(hold)
				assert.Equal(t, transport.LimiterState{Bound: 1}, l.State())
			})
		})
	}
}

// TestLimitingRate: the burst at once, then one request every tenth of a second;
// cancelled waits give their place back.
func TestLimitingRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := transport.NewLimiter(policy.Limit{PerSecond: 10, Burst: 2, InFlight: -1, MaxWait: time.Minute})
		rt := l.Wrap(transporttest.NewUpstream())
		start := time.Now()
		leaving, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var mu sync.Mutex
		var at []time.Duration
		for i := range 9 {
			ctx := t.Context()
			if i >= 2 && i < 7 { // five who do not wait to the end
				ctx = leaving
			}
			wg.Go(func() {
				if err := sendTo(ctx, rt, 0); err == nil {
					mu.Lock()
					at = append(at, time.Since(start).Round(time.Microsecond))
					mu.Unlock()
				}
			})
			synctest.Wait()
		}
		leave()
		wg.Wait()
		assert.Equal(t, []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond}, at)
	})
}

// TestLimitingDeadline: a wait that cannot end before the deadline is refused at
// once, with the time when to come back.
func TestLimitingDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := transport.NewLimiter(policy.Limit{PerSecond: 0.5, Burst: 1, InFlight: -1, MaxWait: time.Minute})
		rt := l.Wrap(transporttest.NewUpstream())
		require.NoError(t, sendTo(t.Context(), rt, 0))
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ctx, trail := telemetry.NewContext(ctx)
		err := sendTo(ctx, rt, 0)
		assert.Equal(t, "deadline", reasonOf(t, err))
		assert.Zero(t, time.Since(start))
		refusal, _ := errors.AsType[*policy.Refusal](err)
		assert.WithinRange(t, refusal.RetryAt, start.Add(2*time.Second), start.Add(2*time.Second+1))
		assert.Len(t, trail.Refusals(), 1)
		assert.Equal(t, policy.Refused, policy.Classify(policy.Outcome{Err: err}).Class)
	})
}

// TestLimitingLearnsFrom429s: a server that says 429 gets less, and a pause if it
// asks for one; what it is allowed comes back.
func TestLimitingLearnsFrom429s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := transport.NewLimiter(policy.Limit{PerSecond: 100, Burst: 1, InFlight: -1, MaxWait: time.Minute})
		rt := l.Wrap(transporttest.NewUpstream(
			transporttest.Reply(429, "", "Retry-After", "3"), transporttest.Reply(200, "")))
		require.NoError(t, sendTo(t.Context(), rt, 0))
		assert.InDelta(t, 70, l.State().PerSecond, 1e-6)
		start := time.Now()
		require.NoError(t, sendTo(t.Context(), rt, 0))
		assert.InDelta(t, 3, time.Since(start).Seconds(), 0.02)
		time.Sleep(10 * time.Second)
		assert.InDelta(t, 100, l.State().PerSecond, 1e-6)
	})
}

// TestLimitingAgainstTokenBucket: a server that allows 50 requests a second and
// says 429 to the rest, asked by a client that may send 200.
func TestLimitingAgainstTokenBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const allowed, seconds = 50, 60
		var mu sync.Mutex
		tokens, last := float64(allowed), time.Now()
		var good, bad atomic.Int64
		server := transport.Func(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			tokens = min(allowed, tokens+now.Sub(last).Seconds()*allowed)
			last = now
			if tokens < 1 {
				bad.Add(1)
				return transporttest.Reply(429, "")(req)
			}
			tokens--
			good.Add(1)
			return transporttest.Reply(200, "")(req)
		})
		l := transport.NewLimiter(policy.Limit{PerSecond: 200, Burst: 1, InFlight: -1, MaxWait: 2 * time.Second})
		rt := l.Wrap(server)
		var wg sync.WaitGroup
		for range seconds * 300 {
			wg.Go(func() { _ = sendTo(context.Background(), rt, 0) })
			time.Sleep(time.Second / 300)
		}
		wg.Wait()
		total := good.Load() + bad.Load()
		t.Logf("%d requests, %.1f %% of them 429; %.0f %% of what the server allows", total, 100*float64(bad.Load())/float64(total), 100*float64(good.Load())/(allowed*seconds))
		assert.Less(t, float64(bad.Load()), 0.01*float64(total))
		assert.Greater(t, float64(good.Load()), 0.95*allowed*seconds)
	})
}

// TestLimitingSlowServer: a server that becomes ten times slower without a queue
// of ours is not throttled for long.
func TestLimitingSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took atomic.Int64
		took.Store(int64(20 * time.Millisecond))
		server := transport.Func(func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Duration(took.Load()))
			return transporttest.Reply(200, "")(req)
		})
		l := transport.NewLimiter(policy.Limit{Adaptive: policy.Adaptive{Initial: 20}, MaxWait: time.Second})
		rt := l.Wrap(server)
		ask := func(seconds int) (answered, all int64) {
			var good atomic.Int64
			var wg sync.WaitGroup
			for range seconds * 200 {
				wg.Go(func() {
					if sendTo(context.Background(), rt, 0) == nil {
						good.Add(1)
					}
				})
				time.Sleep(5 * time.Millisecond)
			}
			wg.Wait()
			return good.Load(), int64(seconds * 200)
		}
		answered, all := ask(5)
		assert.Equal(t, all, answered)
		took.Store(int64(200 * time.Millisecond)) // 40 in flight are needed now
		answered, all = ask(10)
		t.Logf("in the first 10 s answered %d of %d, bound %d", answered, all, l.State().Bound)
		assert.Greater(t, float64(answered), 0.6*float64(all))
		answered, all = ask(20)
		t.Logf("in the next 20 s answered %d of %d, bound %d", answered, all, l.State().Bound)
		assert.Greater(t, float64(answered), 0.99*float64(all))
	})
}

// TestLimitingModel: however requests come, wait, leave and fail, never more than
// the bound are inside, and all places are free in the end.
func TestLimitingModel(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			bound := 1 + random.IntN(4)
			var inside, most atomic.Int64
			server := transport.Func(func(req *http.Request) (*http.Response, error) {
				most.Store(max(most.Load(), inside.Add(1)))
				defer inside.Add(-1)
				select {
				case <-time.After(time.Duration(1 + len(req.URL.Path)*7%50)):
				case <-req.Context().Done():
					return nil, context.Cause(req.Context())
				}
				if len(req.URL.Path)%5 == 0 {
					return nil, errors.New("broken")
				}
				return transporttest.Reply(200, "x")(req)
			})
			l := transport.NewLimiter(policy.Limit{InFlight: bound, MaxQueue: 1 + random.IntN(8), MaxWait: 60})
			rt := l.Wrap(server)
			var wg sync.WaitGroup
			for range 200 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+random.IntN(100)))
				path := fmt.Sprintf("%0*d", 1+random.IntN(20), 0)
				priority := random.IntN(3)
				wg.Go(func() {
					defer cancel()
					ctx := policy.WithCall(ctx, policy.Call{Priority: priority})
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://up.test/"+path, http.NoBody)
					if err != nil {
						panic(err)
					}
					if resp, err := rt.RoundTrip(req); err == nil {
						resp.Body.Close()
					}
				})
				time.Sleep(time.Duration(random.IntN(20)))
			}
			wg.Wait()
			require.LessOrEqual(t, most.Load(), int64(bound), "seed %d", seed)
			require.Equal(t, transport.LimiterState{Bound: bound}, l.State(), "seed %d", seed)
		})
	}
}
