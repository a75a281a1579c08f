package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

var busy = transporttest.Reply(503, "busy")

// refuseNone is a chance that nobody falls victim to.
var refuseNone = fixed(almostOne)

// The share that is refused is the formula's, after any number of outcomes.
func TestThrottleShare(t *testing.T) {
	tests := []struct {
		name               string
		cfg                policy.Throttle
		accepted, rejected int
		want               float64
	}{
		{"nothing yet", policy.Throttle{}, 0, 0, 0},
		{"too few", policy.Throttle{}, 0, 9, 0},
		{"just enough, all rejected", policy.Throttle{}, 0, 10, 0.9},
		{"all rejected, a lower bound", policy.Throttle{MaxRefused: 0.75}, 0, 10, 0.75},
		{"all accepted", policy.Throttle{}, 100, 0, 0},
		{"half", policy.Throttle{}, 50, 50, 0},
		{"half and one", policy.Throttle{}, 50, 51, 1.0 / 102},
		{"three of four", policy.Throttle{}, 25, 75, 50.0 / 101},
		{"nine of ten", policy.Throttle{}, 10, 90, 80.0 / 101},
		{"a tenth is tolerated", policy.Throttle{Ratio: 0.1}, 90, 10, 0},
		{"more than a tenth", policy.Throttle{Ratio: 0.1}, 81, 19, 10.0 / 101},
		{"most is tolerated", policy.Throttle{Ratio: 0.9}, 10, 90, 0},
		{"the first call counts", policy.Throttle{MinCalls: 1}, 0, 1, 0.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Random = refuseNone
				throttle := transport.NewThrottle(tt.cfg)
				send := func(n int, step transporttest.Step) {
					for range n {
						_, _, err := get(t, throttle.Wrap(transport.Func(step)))
						require.NoError(t, err)
					}
				}
				send(tt.accepted, fine)
				send(tt.rejected, busy)
				assert.InDelta(t, tt.want, throttle.Refusing(), 1e-9)
			})
		})
	}
}

// What each outcome counts as.
func TestThrottleCounts(t *testing.T) {
	const accepted, ignored, rejected = "accepted", "ignored", "rejected"
	stalled := transporttest.Stream(200, []transporttest.Chunk{{Data: "hel", Err: &policy.TimeoutError{}}})
	tests := []struct {
		name string
		step transporttest.Step
		want string
	}{
		{"503", busy, rejected},
		{"503 that is cut short", transporttest.Cut(503, "bus"), rejected},
		{"529", transporttest.Reply(529, "busy"), rejected},
		{"429", transporttest.Reply(429, "slow down"), rejected},
		{"429 without a body", transporttest.Reply(429, ""), rejected},
		{"timeout of an attempt", transporttest.Fail(&policy.TimeoutError{}), rejected},
		{"a body that stalls", stalled, rejected},
		{"200", fine, accepted},
		{"204", transporttest.Reply(204, ""), accepted},
		{"302", transporttest.Reply(302, ""), accepted},
		{"400", transporttest.Reply(400, "no"), accepted},
		{"401", transporttest.Reply(401, "no"), accepted},
		{"404", transporttest.Reply(404, "no"), accepted},
		{"429 for a quota", transporttest.Reply(429, `{"error":{"code":"insufficient_quota"}}`), accepted},
		{"500", fault, ignored},
		{"502", transporttest.Reply(502, "oops"), ignored},
		{"no connection", transporttest.Fail(errDial), ignored},
		{"connection reset", transporttest.Fail(errReset), ignored},
		{"an error that nobody knows", transporttest.Fail(errors.New("boom")), ignored},
		{"a refusal from below", transporttest.Fail(&policy.Refusal{Layer: "x", Err: transport.ErrOpen}), ignored},
		{"a body that is cut short", transporttest.Cut(200, "hel"), ignored},
		{"a caller who gives up", transporttest.Hang(), ignored},
		{"a caller who gives up in the body", held, ignored},
		{"a panic", transporttest.Panic("boom"), ignored},
		{"200 that comes once the caller has left", afterAll(fine), accepted},
		{"503 that comes once the caller has left", afterAll(busy), rejected},
	}
	shares := map[float64]string{0: accepted, 0.5: ignored, 2.0 / 3: rejected}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttle := transport.NewThrottle(policy.Throttle{MinCalls: 1, Random: refuseNone})
				_, _, err := get(t, throttle.Wrap(transport.Func(busy)))
				require.NoError(t, err)
				func() {
					defer func() { _ = recover() }()
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Second, cancel)
					_, _, _ = send(t, throttle.Wrap(transport.Func(tt.step)), newRequest(t, ctx, http.MethodGet, ""))
				}()
				assert.Equal(t, tt.want, shares[throttle.Refusing()])
			})
		})
	}
}

// afterAll is a step that comes after the caller of [TestThrottleCounts] has left.
func afterAll(step transporttest.Step) transporttest.Step {
	return func(req *http.Request) (*http.Response, error) {
		time.Sleep(2 * time.Second)
		return step(req)
	}
}

// A caller's own deadline says nothing of the server, an attempt's does; whether
// the header or the body is late.
func TestThrottleDeadlines(t *testing.T) {
	for name, step := range map[string]transporttest.Step{"header": transporttest.Hang(), "body": held} {
		for scope, want := range map[string]float64{"caller": 0, "attempt": 0.5} {
			t.Run(scope+"'s deadline, "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					throttle := transport.NewThrottle(policy.Throttle{MinCalls: 1})
					limit := transport.Timeout(policy.Timeout{Total: time.Second})
					layers := []transport.Layer{throttle.Wrap, limit}
					if scope == "caller" {
						layers = []transport.Layer{limit, throttle.Wrap}
					}
					_, _, err := get(t, transport.Chain(transport.Func(step), layers...))
					require.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, want, throttle.Refusing())
				})
			})
		}
	}
}

// A body that is under way does not count yet.
func TestThrottleCountsAtEndOfBody(t *testing.T) {
	throttle := transport.NewThrottle(policy.Throttle{MinCalls: 1, Random: refuseNone})
	_, _, err := get(t, throttle.Wrap(transport.Func(busy)))
	require.NoError(t, err)
	resp, err := throttle.Wrap(transport.Func(fine)).RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
	require.NoError(t, err)
	assert.Equal(t, 0.5, throttle.Refusing())
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Zero(t, throttle.Refusing())
}

// A 101 and what says no at the header count at once.
func TestThrottleCountsAtHeader(t *testing.T) {
	throttle := transport.NewThrottle(policy.Throttle{MinCalls: 1, Random: refuseNone})
	for _, step := range []struct {
		status int
		want   float64
	}{{503, 0.5}, {101, 0}} {
		rt := throttle.Wrap(transport.Func(transporttest.Stall(step.status, "so far")))
		resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		assert.Equal(t, step.want, throttle.Refusing(), "after a %d", step.status)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, step.want, throttle.Refusing(), "a %d counts once", step.status)
	}
}

// Chance decides, and nobody is refused on its very edge.
func TestThrottleChance(t *testing.T) {
	for random, refused := range map[float64]bool{0: true, 0.49: true, 0.5: false, almostOne: false} {
		throttle := transport.NewThrottle(policy.Throttle{MinCalls: 1, Random: fixed(random)})
		_, _, err := get(t, throttle.Wrap(transport.Func(busy))) // makes it one of two
		require.NoError(t, err)
		_, _, err = get(t, throttle.Wrap(transport.Func(fine)))
		assert.Equal(t, refused, errors.Is(err, transport.ErrThrottled), "at %v", random)
	}
}

func TestThrottleRefusal(t *testing.T) {
	throttle := transport.NewThrottle(policy.Throttle{Name: "up.test", MinCalls: 1, Random: fixed(0)})
	upstream := transporttest.NewUpstream(busy)
	var bodies transporttest.Bodies
	rt := transport.Chain(upstream, bodies.Wrap, throttle.Wrap)
	_, _, err := get(t, rt)
	require.NoError(t, err)

	ctx, trail := traced(t)
	resp, err := rt.RoundTrip(newRequest(t, ctx, http.MethodPost, "hello"))
	assert.Nil(t, resp)
	require.ErrorIs(t, err, transport.ErrThrottled)
	require.EqualError(t, err, "transport: throttled: up.test")
	refusal, ok := errors.AsType[*policy.Refusal](err)
	require.True(t, ok)
	assert.Equal(t, "throttle", refusal.Layer)
	assert.Equal(t, "throttled", refusal.Reason)
	assert.Zero(t, refusal.RetryAt)
	assert.Equal(t, policy.Refused, policy.Classify(policy.Outcome{Err: err}).Class)
	require.Len(t, trail.Refusals(), 1)
	assert.Equal(t, "throttled", trail.Refusals()[0].Reason)
	assert.Equal(t, 1, upstream.Calls())
	bodies.Check(t)
}

// A refusal is not repeated, and the last real answer is what the caller gets.
func TestThrottleInsideRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := transport.NewThrottle(policy.Throttle{MinCalls: 1, Random: fixed(0)})
		breaker := transport.NewBreaker(policy.Breaker{MinCalls: 1, Ratio: 1})
		upstream := transporttest.NewUpstream(busy)
		rt := transport.Chain(upstream, transport.Retry(policy.Retry{}), throttle.Wrap, breaker.Wrap)
		status, text, err := get(t, rt) // is repeated, and its second attempt refused
		require.NoError(t, err)
		assert.Equal(t, "503 busy", fmt.Sprint(status, " ", text))
		start := time.Now()
		_, _, err = get(t, rt)
		require.ErrorIs(t, err, transport.ErrThrottled)
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 1, upstream.Calls())
		assert.Equal(t, policy.Closed, breaker.State())
	})
}

// A client that pauses is not judged by the time before its pause.
func TestThrottleForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := transport.NewThrottle(policy.Throttle{Window: time.Minute, Random: refuseNone})
		for range 50 {
			_, _, err := get(t, throttle.Wrap(transport.Func(busy)))
			require.NoError(t, err)
		}
		time.Sleep(time.Minute - 1)
		assert.InDelta(t, 0.9, throttle.Refusing(), 1e-9)
		time.Sleep(time.Nanosecond)
		assert.Zero(t, throttle.Refusing())
		_, _, err := get(t, throttle.Wrap(transport.Func(busy)))
		require.NoError(t, err)
		assert.Zero(t, throttle.Refusing(), "one call is too few, and the fifty are long gone")
	})
}

// Other settings judge what was counted, for who still holds the earlier throttle, too.
func TestThrottleWith(t *testing.T) {
	tests := []struct {
		name string
		cfg  policy.Throttle
		want float64
	}{
		{"as it was", policy.Throttle{MinCalls: 4}, 2.0 / 5},
		{"another Ratio", policy.Throttle{MinCalls: 4, Ratio: 0.25}, (4 - 1/0.75) / 5},
		{"another MinCalls", policy.Throttle{MinCalls: 5}, 0},
		{"another MaxRefused", policy.Throttle{MinCalls: 4, MaxRefused: 0.25}, 0.25},
		{"another Window", policy.Throttle{MinCalls: 4, Window: time.Minute}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			earlier := transport.NewThrottle(policy.Throttle{MinCalls: 4, Random: refuseNone})
			for _, step := range []transporttest.Step{fine, busy, busy, busy} {
				_, _, err := get(t, earlier.Wrap(transport.Func(step)))
				require.NoError(t, err)
			}
			require.InDelta(t, 2.0/5, earlier.Refusing(), 1e-9)
			tt.cfg.Random = refuseNone
			other := earlier.With(tt.cfg)
			assert.InDelta(t, tt.want, other.Refusing(), 1e-9)
			assert.InDelta(t, tt.want, earlier.Refusing(), 1e-9)
		})
	}
	text := fmt.Sprint(mustPanic(t, func() {
		transport.NewThrottle(policy.Throttle{}).With(policy.Throttle{MaxRefused: 1})
	}))
	assert.Contains(t, text, "Throttle.MaxRefused")
}

// Another Window counts from its start, and for as long as it says.
func TestThrottleWithAnotherWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := transport.NewThrottle(policy.Throttle{MinCalls: 1, Random: refuseNone})
		reject := func() {
			_, _, err := get(t, throttle.Wrap(transport.Func(busy)))
			require.NoError(t, err)
		}
		reject()
		throttle = throttle.With(policy.Throttle{MinCalls: 1, Window: time.Hour, Random: refuseNone})
		reject()
		assert.InDelta(t, 1.0/2, throttle.Refusing(), 1e-9, "the one before is not counted")
		time.Sleep(time.Hour - 1)
		throttle = throttle.With(policy.Throttle{MinCalls: 1, Window: time.Hour, Ratio: 0.9, Random: refuseNone})
		assert.InDelta(t, 1.0/2, throttle.Refusing(), 1e-9, "nor is it by what judges the other one")
		time.Sleep(time.Nanosecond)
		assert.Zero(t, throttle.Refusing())
	})
}

// Without a Random of one's own, chance still decides.
func TestThrottleRandom(t *testing.T) {
	const calls = 1000
	throttle := transport.NewThrottle(policy.Throttle{})
	refused := 0
	for range calls {
		if _, _, err := get(t, throttle.Wrap(transport.Func(busy))); errors.Is(err, transport.ErrThrottled) {
			refused++
		}
	}
	assert.NotZero(t, refused)
	assert.Less(t, refused, calls-10, "calls but those before MinCalls")
}

// traffic is a steady stream of calls through a throttle, a hundred a second.
type traffic struct {
	t       *testing.T
	rt      http.RoundTripper
	step    transporttest.Step
	reached int
}

func newTraffic(t *testing.T, cfg policy.Throttle) *traffic {
	random := rand.New(rand.NewPCG(1, 2))
	cfg.Random = random.Float64
	tr := &traffic{t: t, step: fine}
	tr.rt = transport.NewThrottle(cfg).Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
		tr.reached++
		return tr.step(req)
	}))
	return tr
}

const perSecond = 100

// run sends the calls of a time, and returns how many reached the server and when
// the last was refused, from the start.
func (tr *traffic) run(d time.Duration) (reached int, lastRefused time.Duration) {
	tr.t.Helper()
	before, start := tr.reached, time.Now()
	for time.Since(start) < d {
		if _, _, err := get(tr.t, tr.rt); err != nil {
			require.ErrorIs(tr.t, err, transport.ErrThrottled)
			lastRefused = time.Since(start)
		}
		time.Sleep(time.Second / perSecond)
	}
	return tr.reached - before, lastRefused
}

// A healthy server gets every request, also one that rejects some.
func TestThrottleHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTraffic(t, policy.Throttle{})
		reached, _ := tr.run(time.Minute)
		assert.Equal(t, 60*perSecond, reached)
		n := 0
		tr.step = func(req *http.Request) (*http.Response, error) {
			if n++; n%2 == 0 {
				return busy(req)
			}
			return fine(req)
		}
		reached, _ = tr.run(time.Minute)
		assert.Equal(t, 60*perSecond, reached, "half of them rejected")
	})
}

// A server that rejects everything for a minute soon gets one of ten requests,
// and all of them again within half a window from when it is well.
func TestThrottleOutage(t *testing.T) {
	for _, window := range []time.Duration{10 * time.Second, 30 * time.Second} {
		t.Run(window.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTraffic(t, policy.Throttle{Window: window})
				tr.run(window) // what was accepted before stays in the window for a while
				tr.step = busy
				tr.run(window + window/10)
				reached, _ := tr.run(time.Minute)
				assert.InDelta(t, 60*perSecond/10, reached, 60)

				tr.step = fine
				_, recovered := tr.run(time.Minute)
				assert.Less(t, recovered, window/2)
				assert.Greater(t, recovered, window/10, "it was not throttled")
				t.Logf("%d of %d reached the server, recovered after %v", reached, 60*perSecond, recovered)
			})
		})
	}
}

// A server that accepts 20 of 100 requests a second gets the square root of
// 100·20/(1-0.5), which is 63.
func TestThrottlePartialOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTraffic(t, policy.Throttle{})
		accepted := 0
		second := time.Now()
		tr.step = func(req *http.Request) (*http.Response, error) {
			if time.Since(second) >= time.Second {
				second, accepted = second.Add(time.Second), 0
			}
			if accepted++; accepted > 20 {
				return busy(req)
			}
			return fine(req)
		}
		tr.run(time.Minute)
		reached, _ := tr.run(time.Minute)
		assert.InDelta(t, 63, float64(reached)/60, 4)
	})
}

// One throttle for each host of a stack, and none unless it is asked for.
func TestStandardThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stack := policy.Stack{Retry: policy.Retry{Off: true}, Throttle: &policy.Throttle{MinCalls: 1, Random: fixed(0)}}
		ask := func(rt http.RoundTripper, host string) error {
			req := newRequest(t, t.Context(), http.MethodGet, "")
			req.URL.Host = host
			_, _, err := send(t, rt, req)
			return err
		}
		rt := transport.Chain(transporttest.NewUpstream(busy), transport.Standard(stack))
		require.NoError(t, ask(rt, "up.test"))
		err := ask(rt, "up.test")
		require.ErrorIs(t, err, transport.ErrThrottled)
		assert.ErrorContains(t, err, "transport: throttled: up.test:80")
		require.NoError(t, ask(rt, "other.test"))

		for name, none := range map[string]*policy.Throttle{"nil": nil, "off": {Off: true, MinCalls: 1, Random: fixed(0)}} {
			stack.Throttle = none
			rt := transport.Chain(transporttest.NewUpstream(busy), transport.Standard(stack))
			for range 3 {
				require.NoError(t, ask(rt, "up.test"), name)
			}
		}
	})
}

func TestThrottleSettings(t *testing.T) {
	upstream := &idler{}
	assert.Same(t, upstream, transport.NewThrottle(policy.Throttle{Off: true}).Wrap(upstream), "a throttle that is off")
	text := fmt.Sprint(mustPanic(t, func() { transport.NewThrottle(policy.Throttle{MaxRefused: 1}) }))
	assert.Contains(t, text, "transport: ")
	assert.Contains(t, text, "Throttle.MaxRefused")

	transport.NewThrottle(policy.Throttle{}).Wrap(upstream).(interface{ CloseIdleConnections() }).CloseIdleConnections()
	assert.Equal(t, 1, upstream.told)
}

// Callers at once: every outcome counts once.
func TestThrottleConcurrency(t *testing.T) {
	const callers, calls = 20, 100
	throttle := transport.NewThrottle(policy.Throttle{Random: refuseNone, Window: time.Hour})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			step := busy
			if i%4 == 0 {
				step = fine
			}
			rt := throttle.Wrap(transport.Func(step))
			for range calls {
				if resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, "")); assert.NoError(t, err) {
					_ = resp.Body.Close()
				}
				throttle.Refusing()
			}
		})
	}
	wg.Wait()
	assert.InDelta(t, (callers*calls-2*callers*calls/4)/(callers*calls+1.0), throttle.Refusing(), 1e-9)
}

// A server that says no to everything soon hears less of it.
func ExampleNewThrottle() {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusServiceUnavailable, "busy"))
	throttle := transport.NewThrottle(policy.Throttle{
		Random: rand.New(rand.NewPCG(1, 2)).Float64, // the same in each run of this example
	})
	client := transport.Wrap(&http.Client{Transport: upstream}, throttle.Wrap)

	refused := 0
	for range 1000 {
		resp, err := client.Get("http://up.test/")
		if errors.Is(err, transport.ErrThrottled) {
			refused++
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
	}
	fmt.Println("sent", upstream.Calls(), "refused", refused)
	fmt.Printf("refuses %.0f %% of what comes next\n", 100*throttle.Refusing())
	// Output:
	// sent 107 refused 893
	// refuses 90 % of what comes next
}
