package transport_test

import (
	"context"
	"fmt"
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

// A roomy server answers any number of requests at once, each in a time of its
// own.
type roomy struct {
	mu     sync.Mutex
	random *rand.Rand
	took   func(*rand.Rand) time.Duration
}

func (s *roomy) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	d := s.took(s.random)
	s.mu.Unlock()
	return transporttest.After(d, transporttest.Reply(http.StatusOK, ""))(req)
}

func (s *roomy) set(took func(*rand.Rand) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = took
}

// about returns d, give or take 20 %.
func about(d time.Duration) func(*rand.Rand) time.Duration {
	return func(random *rand.Rand) time.Duration {
		return time.Duration((0.8 + 0.4*random.Float64()) * float64(d))
	}
}

// or returns one of two times, the first with a share.
func or(share float64, a, b time.Duration) func(*rand.Rand) time.Duration {
	return func(random *rand.Rand) time.Duration {
		if random.Float64() < share {
			return about(a)(random)
		}
		return about(b)(random)
	}
}

// Requests that are more work than others are no sign of overload: a server that
// has room for all is left alone, wherever the bound starts.
func TestAdaptiveVariedWork(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := []struct {
		name      string
		perSecond float64
		took      func(*rand.Rand) time.Duration
	}{
		{"all alike", 400, about(10 * ms)},
		{"one in ten is long", 400, or(0.9, 10*ms, 300*ms)},
		{"one in ten is short", 400, or(0.1, ms, 50*ms)},
		{"half and half", 40, or(0.5, 20*ms, 500*ms)},
		{"evenly spread", 40, func(r *rand.Rand) time.Duration { return 50*ms + time.Duration(r.Int64N(int64(600*ms))) }},
		{"long tail", 200, func(r *rand.Rand) time.Duration {
			return min(900*ms, time.Duration(math.Exp(r.NormFloat64())*float64(80*ms)))
		}},
	}
	const warmUp, measured = 2 * time.Second, 6 * time.Second
	for _, tt := range tests {
		for _, initial := range initialLimits {
			t.Run(fmt.Sprintf("%s, from %d", tt.name, initial), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := &roomy{random: rand.New(rand.NewPCG(*overloadSeed, 1)), took: tt.took}
					limiter := transport.NewLimiter(policy.Limit{Adaptive: policy.Adaptive{Initial: initial}, MaxWait: 200 * ms})
					log := load(limiter.Wrap(server), rand.New(rand.NewPCG(*overloadSeed, 2)), tt.perSecond, warmUp+measured)
					calls, good := log.between(warmUp, warmUp+measured)
					assert.GreaterOrEqual(t, float64(good), 0.99*float64(calls))
				})
			})
		}
	}
}

// A server that becomes ten times slower, without a queue of ours, is given the
// ten times more requests in flight that it takes; one that recovers, fewer again.
func TestAdaptiveSlowerServer(t *testing.T) {
	t.Parallel()
	const slower, faster, end = 5 * time.Second, 10 * time.Second, 15 * time.Second
	for _, initial := range initialLimits {
		t.Run(fmt.Sprint("from ", initial), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &roomy{random: rand.New(rand.NewPCG(*overloadSeed, 1)), took: about(10 * time.Millisecond)}
				limiter := transport.NewLimiter(policy.Limit{Adaptive: policy.Adaptive{Initial: initial}, MaxWait: 200 * time.Millisecond})
				time.AfterFunc(slower, func() { server.set(about(100 * time.Millisecond)) })
				time.AfterFunc(faster, func() { server.set(about(10 * time.Millisecond)) })
				log := load(limiter.Wrap(server), rand.New(rand.NewPCG(*overloadSeed, 2)), 500, end)

				settled := log.recovery(slower)
				t.Logf("95 %% answered again after %v", settled)
				assert.LessOrEqual(t, settled, 2*time.Second)
				for _, span := range []struct{ from, to time.Duration }{
					{2 * time.Second, slower},
					{slower + 2*time.Second, faster},
					{faster, end},
				} {
					calls, good := log.between(span.from, span.to)
					assert.GreaterOrEqual(t, float64(good), 0.99*float64(calls), "from %v to %v", span.from, span.to)
				}
				assert.LessOrEqual(t, limiter.State().Bound, 50, "what is not used is given up")
			})
		})
	}
}

// A minute of twice what the server can do, with a queue there that is longer than
// the attempts last.
func TestAdaptiveLongOverload(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const minute, step = 60 * time.Second, 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		server := &queueServer{random: rand.New(rand.NewPCG(*overloadSeed, 2)), limit: longQueue}
		limiter := transport.NewLimiter(policy.Limit{Adaptive: policy.Adaptive{Initial: 1000}, MaxQueue: 20})
		rt := transport.Chain(server, limiter.Wrap, transport.Timeout(policy.Timeout{FirstByte: 150 * time.Millisecond}))
		log := load(rt, rand.New(rand.NewPCG(*overloadSeed, 1)), 2*capacity, minute)
		for from := step; from < minute; from += step {
			_, good := log.between(from, from+step)
			assert.GreaterOrEqual(t, float64(good), 0.95*capacity*step.Seconds(), "from %v", from)
		}
	})
}

// After an hour without a request, a burst is let in as before.
func TestAdaptiveIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &roomy{random: rand.New(rand.NewPCG(1, 1)), took: about(10 * time.Millisecond)}
		limiter := transport.NewLimiter(policy.Limit{MaxQueue: -1})
		rt := limiter.Wrap(server)
		random := rand.New(rand.NewPCG(1, 2))
		load(rt, random, 500, 5*time.Second)
		before := limiter.State().Bound
		for range 3 {
			time.Sleep(time.Hour)
			assert.Equal(t, before, limiter.State().Bound)
			log := load(rt, random, 500, time.Second)
			calls, good := log.between(0, time.Second)
			assert.Equal(t, calls, good)
		}
	})
}

// Callers who give a request less time than the work takes throttle nobody else.
func TestAdaptiveImpatientCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &roomy{random: rand.New(rand.NewPCG(1, 1)), took: about(20 * time.Millisecond)}
		limiter := transport.NewLimiter(policy.Limit{MaxQueue: -1})
		limited := limiter.Wrap(server)
		var sent atomic.Int64
		rt := transport.Func(func(req *http.Request) (*http.Response, error) {
			if sent.Add(1)%5 > 0 {
				return limited.RoundTrip(req)
			}
			ctx, cancel := context.WithTimeout(req.Context(), 5*time.Millisecond)
			defer cancel()
			return limited.RoundTrip(req.WithContext(ctx))
		})
		log := load(rt, rand.New(rand.NewPCG(1, 2)), 500, 10*time.Second)
		calls, good := log.between(time.Second, 10*time.Second)
		assert.GreaterOrEqual(t, float64(good), 0.795*float64(calls), "four in five are patient")
	})
}

// What the bound does with each outcome, once for all requests that were under
// way.
func TestAdaptiveCuts(t *testing.T) {
	slow := func(step transporttest.Step) transporttest.Step { return transporttest.After(time.Second, step) }
	timeout := &policy.TimeoutError{Scope: "attempt", Phase: "first byte", Limit: time.Second}
	tests := []struct {
		name string
		step transporttest.Step
		want int // of 100
	}{
		{"timeouts halve it", slow(transporttest.Fail(timeout)), 50},
		{"429s take 30 %", slow(transporttest.Reply(429, "")), 70},
		{"503s say nothing", slow(transporttest.Reply(503, "")), 100},
		{"faults say nothing", slow(transporttest.Reply(500, "")), 100},
		{"lost connections say nothing", slow(transporttest.Fail(errReset)), 100},
		{"wrong requests say nothing", slow(transporttest.Reply(404, "")), 100},
		{"callers who leave say nothing", slow(transporttest.Fail(context.Canceled)), 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, policy.Limit{Adaptive: policy.Adaptive{Initial: 100}}, tt.step)
				for range 30 {
					d.usual()
				}
				time.Sleep(time.Second)
				synctest.Wait()
				assert.Equal(t, tt.want, d.State().Bound)
			})
		})
	}
}

// Whatever the server does, the bound stays within what was set.
func TestAdaptiveBounds(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	steps := []transporttest.Step{
		fine, fine, fine, fine, fault, transporttest.Reply(429, ""), transporttest.Fail(context.DeadlineExceeded),
	}
	for i := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, i))
			cfg := policy.Adaptive{Min: 1 + random.IntN(50)}
			cfg.Max = cfg.Min + random.IntN(100)
			limiter := transport.NewLimiter(policy.Limit{Adaptive: cfg, MaxWait: time.Second})
			var mu sync.Mutex
			longest := time.Millisecond
			rt := limiter.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
				if bound := limiter.State().Bound; bound < cfg.Min || bound > cfg.Max {
					t.Errorf("seed %d, run %d: the bound is %d, want %d to %d", seed, i, bound, cfg.Min, cfg.Max)
				}
				mu.Lock()
				step := transporttest.After(time.Duration(random.Int64N(int64(longest))), steps[random.IntN(len(steps)-random.IntN(4))])
				if random.IntN(50) == 0 {
					longest = time.Millisecond << random.IntN(10)
				}
				mu.Unlock()
				return step(req)
			}))
			load(rt, rand.New(rand.NewPCG(seed, i)), 300, 5*time.Second)
			assert.Zero(t, limiter.State().InFlight+limiter.State().Queued)
		})
	}
}

// A failure that comes at once says nothing of how much the server can take.
func TestAdaptiveQuickFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := transporttest.Step(nil)
		l := transport.NewLimiter(policy.Limit{Adaptive: policy.Adaptive{Initial: 1}})
		rt := l.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) { return step(req) }))
		for _, step = range []transporttest.Step{
			transporttest.Fail(errDial), transporttest.Fail(errReset), transporttest.Reply(500, "oops"), transporttest.Reply(400, "no"),
		} {
			_, _, _ = get(t, rt)
			require.Equal(t, 1, l.State().Bound)
		}
		step = transporttest.Reply(200, "fine")
		_, _, err := get(t, rt)
		require.NoError(t, err)
		require.Equal(t, 2, l.State().Bound, "after an answer")
	})
}
