package transport_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// unhurried is a rate with nothing else in the way.
func unhurried(perSecond float64, burst int) policy.Limit {
	return policy.Limit{PerSecond: perSecond, Burst: burst, InFlight: -1, MaxQueue: 1e6, MaxWait: 1e6 * time.Hour}
}

// Requests that come at once start in a burst, and then one by one at the rate.
func TestLimiterRate(t *testing.T) {
	const ns = time.Nanosecond
	tests := []struct {
		perSecond float64
		burst     int
		requests  int
	}{
		{10, 1, 50},
		{10, 3, 50},
		{3, 1, 100},
		{0.5, 1, 10},
		{0.001, 2, 5},
		{7.3, 10, 500},
		{1234.5, 5, 2000},
		{1e9, 1, 100},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%g/s, burst %d", tt.perSecond, tt.burst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, unhurried(tt.perSecond, tt.burst), fine)
				var visits []*visit
				for range tt.requests {
					visits = append(visits, d.usual())
				}
				time.Sleep(time.Duration(float64(tt.requests+1) / tt.perSecond * float64(time.Second)))
				for i, v := range visits {
					require.True(t, v.isInside(), "request %d", i)
					want := max(0, time.Duration(float64(i+1-tt.burst)/tt.perSecond*float64(time.Second)))
					assert.InDelta(t, float64(want), float64(v.took()), float64(ns), "request %d", i)
				}
				assert.Zero(t, d.State().Queued)
			})
		})
	}
}

// However long nothing happens, Burst is all that may start at once.
func TestLimiterRateAfterIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, unhurried(10, 4), fine)
		for _, idle := range []time.Duration{0, 400 * time.Millisecond, time.Hour, 1e5 * time.Hour} {
			time.Sleep(idle)
			for range 4 {
				require.Zero(t, d.usual().took(), "in the burst, after %v", idle)
			}
			fifth := d.usual()
			require.False(t, fifth.isOver(), "after the burst, after %v", idle)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			assert.InDelta(t, float64(100*time.Millisecond), float64(fifth.took()), 1)
		}
	})
}

// Rates at the ends of what is allowed.
func TestLimiterRateExtremes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{PerSecond: 1e9, InFlight: -1}, fine)
		for range 1000 {
			require.Zero(t, d.usual().took())
		}
		d = newDoor(t, policy.Limit{PerSecond: 1e-300, InFlight: -1}, fine)
		require.Zero(t, d.usual().took())
		late := d.usual()
		assert.Equal(t, "rate_limit", late.refusal().Reason)
		assert.Greater(t, time.Until(late.refusal().RetryAt), 100*365*24*time.Hour)
	})
}

// Who gives up while he waits leaves no hole.
func TestLimiterRateCanceledWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, unhurried(10, 1), fine)
		d.usual()
		var leavers []*visit
		for range 5 {
			leavers = append(leavers, d.usual())
		}
		last := d.usual()
		time.Sleep(40 * time.Millisecond)
		for _, v := range leavers {
			v.cancel(context.Canceled)
		}
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		require.True(t, last.isOver())
		assert.Equal(t, 100*time.Millisecond, last.took())
	})
}

// Who gives up at the very moment at which his turn comes either has it, or leaves
// the place and the token to the next.
func TestLimiterCanceledAtHisTurn(t *testing.T) {
	for _, turnFirst := range []bool{true, false} {
		t.Run(fmt.Sprint("turn first ", turnFirst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := unhurried(1, 1)
				cfg.InFlight = 1
				d := newDoor(t, cfg)
				first := d.usual()
				time.Sleep(time.Second)
				v := d.usual()
				if turnFirst {
					_ = first.end.Load().resp.Body.Close()
				}
				v.cancel(context.Canceled) // he has not run since
				if !turnFirst {
					_ = first.end.Load().resp.Body.Close()
				}
				synctest.Wait()
				require.Equal(t, turnFirst, v.isInside())
				if turnFirst {
					v.leave()
					time.Sleep(time.Second)
				}
				next := d.usual()
				require.True(t, next.isInside())
				assert.Zero(t, next.took())
				next.leave()
				assert.Equal(t, transport.LimiterState{Bound: 1, PerSecond: 1}, d.State())
			})
		})
	}
}

// A token that is due as a request comes makes room in a full queue.
func TestLimiterTokenDueAtFullQueue(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			cfg := unhurried(1, 1)
			cfg.MaxQueue = 1
			d := newDoor(t, cfg, fine)
			d.usual()
			waits := d.usual()
			var late *visit
			done := make(chan struct{})
			time.AfterFunc(time.Second, func() {
				late = d.usual()
				close(done)
			})
			<-done
			assert.True(t, waits.isInside())
			assert.False(t, late.isOver(), "%v", late.err())
		})
	}
}

// A token that is due as the patience ends is for who waited for it.
func TestLimiterTokenDueAtTheEndOfPatience(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, policy.Limit{PerSecond: 1, Burst: 1, InFlight: -1, MaxWait: time.Second}, fine)
			d.usual()
			waits := d.usual()
			time.Sleep(time.Second)
			synctest.Wait()
			require.True(t, waits.isInside(), "%v", waits.err())
			assert.Equal(t, time.Second, waits.took())
		})
	}
}

// A canceled wait leaves the token where it was, and nothing behind.
func TestLimiterRateLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, unhurried(0.001, 1), fine)
		d.usual()
		v := d.usual()
		v.cancel(context.Canceled)
		synctest.Wait()
		assert.Equal(t, transport.LimiterState{InFlight: 1, PerSecond: 0.001}, d.State())
		time.Sleep(time.Hour)
		assert.Zero(t, d.usual().took(), "the token is still there")
	})
}

// What blocks is what is waited for.
func TestLimiterRateAndBound(t *testing.T) {
	const token = 100 * time.Millisecond
	for name, hold := range map[string]time.Duration{
		"only the rate blocks":   0,
		"the rate blocks longer": token - 1,
		"both as long":           token,
		"the bound longer":       token + 1,
		"only the bound blocks":  10 * token,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, policy.Limit{PerSecond: 10, Burst: 1, InFlight: 1})
				first, second := d.usual(), d.usual()
				time.AfterFunc(hold, func() { _ = first.end.Load().resp.Body.Close() })
				time.Sleep(10 * token)
				synctest.Wait()
				require.True(t, second.isInside())
				assert.Equal(t, max(token, hold), second.took())
			})
		})
	}
}

// A wait that cannot end in time does not begin.
func TestLimiterRateDeadline(t *testing.T) {
	const wait = 200 * time.Millisecond // of the request that comes third
	tests := []struct {
		name     string
		deadline time.Duration // zero is none
		maxWait  time.Duration
		reason   string // "" if it waits
	}{
		{"just before the deadline", wait + 1, time.Second, ""},
		{"at the deadline", wait, time.Second, "deadline"},
		{"beyond the deadline", wait - 1, time.Second, "deadline"},
		{"at the longest wait", 0, wait, ""},
		{"beyond the longest wait", 0, wait - 1, "rate_limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := unhurried(10, 1)
				cfg.MaxWait = tt.maxWait
				d := newDoor(t, cfg, fine)
				d.usual()
				d.usual()
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				start := time.Now()
				v := d.come(ctx)
				if tt.reason == "" {
					require.False(t, v.isOver())
					time.Sleep(wait)
					synctest.Wait()
					require.True(t, v.isInside(), "%v", v.err())
					assert.Equal(t, wait, v.took())
					return
				}
				require.True(t, v.isOver())
				assert.Zero(t, v.took())
				assert.Equal(t, tt.reason, v.refusal().Reason)
				assert.WithinDuration(t, start.Add(wait), v.refusal().RetryAt, 1)
			})
		})
	}
}

// A 429 slows the rate down, once for all requests that were under way.
func TestLimiterSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, unhurried(100, 100), transporttest.After(time.Second, transporttest.Reply(429, "")))
		for range 10 {
			d.usual()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		assert.InDelta(t, 70, d.State().PerSecond, 1e-9)
		time.Sleep(time.Second)
		d.usual()
		time.Sleep(time.Second - 1)
		before := d.State().PerSecond
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.InDelta(t, 0.7*before, d.State().PerSecond, 1e-6, "the next round")
	})
}

// It stands still for as long as the server says, up to a minute.
func TestLimiterRetryAfter(t *testing.T) {
	tests := []struct {
		retryAfter string
		pause      time.Duration
	}{
		{"2", 2 * time.Second},
		{"60", time.Minute},
		{"86400", time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.retryAfter, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, unhurried(10, 5), transporttest.Reply(429, "", "Retry-After", tt.retryAfter), fine)
				d.usual()
				v, next := d.usual(), d.usual()
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				require.True(t, v.isInside())
				token := time.Second / 7 // at 70 % of the rate
				assert.InDelta(t, float64(tt.pause+token), float64(v.took()), 1)
				require.True(t, next.isInside())
				assert.Greater(t, next.took(), v.took()+time.Second/10, "no token came in the pause")
			})
		})
	}
}

// The rate climbs back to what is allowed, and never beyond, while it is used up.
func TestLimiterRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, unhurried(100, 1), transporttest.Reply(429, ""), fine)
		d.usual()
		last := d.State().PerSecond
		time.Sleep(time.Hour)
		assert.InDelta(t, last, d.State().PerSecond, 0.5, "nobody came")
		for range 1000 {
			d.usual()
		}
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			now := d.State().PerSecond
			require.GreaterOrEqual(t, now, last)
			last = now
		}
		assert.InDelta(t, 100, last, 1e-3)
		time.Sleep(5 * time.Second)
		assert.LessOrEqual(t, d.State().PerSecond, 100.0)
	})
}

// A pause that the server asks for after a time in which nobody came makes the climb
// no longer.
func TestLimiterRecoversFromLatePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := transporttest.After(time.Minute, transporttest.Reply(429, "", "Retry-After", "1"))
		d := newDoor(t, unhurried(100, 1), late, transporttest.Reply(429, ""), fine)
		d.usual()
		time.Sleep(time.Second)
		d.usual()
		time.Sleep(time.Minute)
		for range 1200 {
			d.usual()
		}
		time.Sleep(11 * time.Second)
		assert.InDelta(t, 100, d.State().PerSecond, 0.5)
	})
}

// What is saved up while nobody comes shrinks with the rate.
func TestLimiterSlowerBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, unhurried(100, 100), transporttest.Reply(429, ""), fine)
		d.usual()
		time.Sleep(time.Hour)
		inside := 0
		for range 200 {
			if d.usual().isInside() {
				inside++
			}
		}
		assert.Equal(t, 70, inside)
	})
}

// A meter is a server with a rate limit: a token bucket.
type meter struct {
	mu     sync.Mutex
	rate   float64
	burst  float64 // in seconds; zero is 1
	tokens float64
	last   time.Time
	served float64
	denied float64
}

func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(25 * time.Millisecond)
	ok := m.take()
	time.Sleep(25 * time.Millisecond)
	if !ok {
		return transporttest.Reply(http.StatusTooManyRequests, "")(req)
	}
	return transporttest.Reply(http.StatusOK, "")(req)
}

func (m *meter) take() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.tokens = min(max(1, cmp.Or(m.burst, 1)*m.rate), m.tokens+now.Sub(m.last).Seconds()*m.rate)
	m.last = now
	if m.tokens < 1 {
		m.denied++
		return false
	}
	m.tokens--
	m.served++
	return true
}

func (m *meter) change(rate float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rate = rate
}

// reset returns how many requests were served and denied since the last reset.
func (m *meter) reset() [2]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := [2]float64{m.served, m.denied}
	m.served, m.denied = 0, 0
	return counts
}

// long makes what is repeated with other random numbers more thorough.
var long = flag.Bool("long", false, "repeat simulations with more servers, rates and seeds")

func seeds() uint64 {
	if *long {
		return 20
	}
	return 1
}

// A limiter that is set too high finds the server's rate by its 429s, under twice
// the load that the server allows, and again when that changes. What counts is what
// comes after two minutes.
func TestLimiterFindsRate(t *testing.T) {
	t.Parallel()
	type server struct{ rate, burst float64 }
	const strict = 1e-9 // one request
	servers := []server{{10, 1}, {25, 1}, {25, strict}, {100, 1}}
	factors := []float64{1.5, 100}
	if *long {
		servers = append(servers, server{10, strict}, server{10, 10}, server{25, 10}, server{100, strict}, server{100, 10}, server{500, 1})
		factors = append(factors, 10)
	}
	for _, server := range servers {
		for _, factor := range factors {
			t.Run(fmt.Sprintf("server %g/s, burst %g s, limiter %gx", server.rate, server.burst, factor), func(t *testing.T) {
				for seed := range seeds() {
					synctest.Test(t, func(t *testing.T) {
						m := &meter{rate: server.rate, burst: server.burst, last: time.Now()}
						rt := transport.NewLimiter(policy.Limit{PerSecond: server.rate * factor, InFlight: -1}).Wrap(m)
						learns(t, m, rt, seed, nil)
					})
				}
			})
		}
	}
}

// A load that comes and goes is no different.
func TestLimiterFindsRateInBursts(t *testing.T) {
	t.Parallel()
	rates := []float64{25}
	if *long {
		rates = append(rates, 100)
	}
	for _, rate := range rates {
		for seed := range seeds() {
			t.Run(fmt.Sprintf("%g/s, seed %d", rate, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &meter{rate: rate, burst: 1, last: time.Now()}
					rt := transport.NewLimiter(policy.Limit{PerSecond: 10 * rate, InFlight: -1, MaxWait: time.Second}).Wrap(m)
					learns(t, m, rt, seed, func(at time.Duration) bool { return at/(10*time.Second)%2 == 0 })
				})
			})
		}
	}
}

// learns loads rt, which leads to m, whose limit is halved and doubled meanwhile. If
// on is not nil, it says when there is load.
func learns(t *testing.T, m *meter, rt http.RoundTripper, seed uint64, on func(time.Duration) bool) {
	const settling = 2 * time.Minute
	random := rand.New(rand.NewPCG(seed, 1))
	full := m.rate
	for _, rate := range []float64{full, full / 2, full} {
		m.change(rate)
		measured := max(settling, time.Duration(2000/rate)*time.Second).Truncate(20 * time.Second)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if on == nil {
				load(rt, random, 2*rate, settling+measured)
				return
			}
			for at := time.Since(start); at < settling+measured; at = time.Since(start) {
				if on(at) {
					load(rt, random, 2*rate, time.Second)
				} else {
					time.Sleep(time.Second)
				}
			}
		})
		time.Sleep(settling)
		m.reset()
		time.Sleep(measured)
		count := m.reset()
		wg.Wait()
		served, denied := count[0], count[1]
		allowed := rate * measured.Seconds()
		if on != nil {
			allowed = float64(measured/(20*time.Second)) * (10 + m.burst) * rate
		}
		share := denied / (served + denied)
		t.Logf("seed %d, %g/s: %.2f %% 429s, %.1f %% used", seed, rate, 100*share, 100*served/allowed)
		assert.Less(t, share, 0.01, "share of 429s at %g/s", rate)
		assert.Greater(t, served/allowed, 0.95, "share of the rate of %g/s", rate)
	}
}
