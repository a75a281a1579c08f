package transport_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// assertRoom checks what Room says for a request to the usual target.
func assertRoom(t *testing.T, rt http.RoundTripper, wantN int, wantWait time.Duration) {
	t.Helper()
	n, wait := transport.Room(rt, newRequest(t, t.Context(), http.MethodGet, ""))
	assert.Equal(t, wantN, n, "room")
	assert.Equal(t, wantWait, wait, "wait")
}

func TestRoomOfBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 2, OpenFor: 10 * time.Second, Probes: 3})
		assertRoom(t, b.rt, math.MaxInt, 0)
		b.call(fault)
		b.call(fault)
		require.Equal(t, policy.Open, b.State())
		assertRoom(t, b.rt, 0, 10*time.Second)
		time.Sleep(4 * time.Second)
		assertRoom(t, b.rt, 0, 6*time.Second)
		time.Sleep(6 * time.Second)
		assertRoom(t, b.rt, 3, 0)
		assert.Equal(t, 2, b.calls, "to look is no call")

		var probes []*http.Response
		for want := 2; want >= 0; want-- {
			probes = append(probes, b.begin())
			n, _ := transport.Room(b.rt, newRequest(t, t.Context(), http.MethodGet, ""))
			assert.Equal(t, want, n)
		}
		_, wait := transport.Room(b.rt, newRequest(t, t.Context(), http.MethodGet, ""))
		assert.Positive(t, wait, "until the first probe's lease ends")
		for _, probe := range probes {
			probe.Body.Close()
		}
		b.call(fine)
		b.call(fine)
		b.call(fine)
		assertRoom(t, b.rt, math.MaxInt, 0)

		b.Isolate("broken", time.Time{})
		assertRoom(t, b.rt, 0, 0)
		b.Release()
	})
}

func TestRoomOfBreakerThatOnlyObserves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 2, MetricsOnly: true})
		b.call(fault)
		b.call(fault)
		require.Equal(t, policy.Open, b.State())
		assertRoom(t, b.rt, math.MaxInt, 0)
	})
}

// Once the time to observe is over, an open breaker refuses again.
func TestRoomOfBreakerThatObservedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 2, OpenFor: 20 * time.Second})
		b.Observe("a test", time.Now().Add(5*time.Second))
		b.call(fault)
		b.call(fault)
		require.Equal(t, policy.Open, b.State())
		assertRoom(t, b.rt, math.MaxInt, 0)
		time.Sleep(5 * time.Second)
		assertRoom(t, b.rt, 0, 15*time.Second)
	})
}

// Those who send nothing without room learn that probes which hang have opened the
// breaker, and when it is worth to ask again: nobody else would come to find out.
func TestRoomOfBreakerWhoseProbesHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 2, OpenFor: 5 * time.Second, Probes: 2, ProbeLease: 3 * time.Second})
		b.call(fault)
		b.call(fault)
		time.Sleep(5 * time.Second)
		assertRoom(t, b.rt, 2, 0)
		defer b.begin().Body.Close()
		defer b.begin().Body.Close()
		assertRoom(t, b.rt, 0, 3*time.Second)
		time.Sleep(3 * time.Second)
		assertRoom(t, b.rt, 0, 10*time.Second) // twice as long as before
		assert.Equal(t, policy.Open, b.State())
		time.Sleep(10 * time.Second)
		assertRoom(t, b.rt, 2, 0)
	})
}

func TestRoomOfLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := transport.NewLimiter(policy.Limit{InFlight: 2, PerSecond: 4, Burst: 3}).Wrap(transport.Func(held))
		assertRoom(t, rt, 2, 0)
		first, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		assertRoom(t, rt, 1, 0)
		second, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		assertRoom(t, rt, 0, 0) // nobody knows when one ends
		second.Body.Close()
		third, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		assertRoom(t, rt, 0, 250*time.Millisecond) // the rate is used up
		first.Body.Close()
		third.Body.Close()
		time.Sleep(250 * time.Millisecond)
		assertRoom(t, rt, 2, 0)
	})
}

func TestRoomOfLimiterWithoutBound(t *testing.T) {
	assertRoom(t, transport.NewLimiter(policy.Limit{InFlight: -1, PerSecond: 1}).Wrap(transport.Func(held)), math.MaxInt, 0)
}

// Those who wait come first.
func TestRoomOfLimiterWithQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := transport.NewLimiter(policy.Limit{InFlight: 1}).Wrap(transport.Func(held))
		assertRoom(t, rt, 1, 0)
		first, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		defer first.Body.Close()
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			go rt.RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
		}
		synctest.Wait()
		assertRoom(t, rt, 0, 0)
		cancel()
		synctest.Wait()
	})
}

// Where one layer has no room there is none, and the longest wait counts.
func TestRoomOfSeveralLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paced := transport.NewLimiter(policy.Limit{InFlight: -1, PerSecond: 1})
		narrow, wide := transport.NewLimiter(policy.Limit{InFlight: 2}), transport.NewLimiter(policy.Limit{InFlight: 5})
		rt := transport.Chain(transport.Func(held), paced.Wrap, narrow.Wrap, wide.Wrap)
		assertRoom(t, rt, 2, 0)
		first, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		defer first.Body.Close()
		assertRoom(t, rt, 0, time.Second)
	})
}

// What is below a failover is not looked at.
func TestRoomOfFailover(t *testing.T) {
	below := transport.NewLimiter(policy.Limit{InFlight: 1}).Wrap(transport.Func(held))
	assertRoom(t, transport.NewFailover(twoAccounts, nil).Wrap(below), math.MaxInt, 0)
}

// A key that was seen once has layers, too.
func TestRoomPerKeySeenOnce(t *testing.T) {
	rt := transport.PerKey(transport.Authority, func(string) transport.Layer {
		return transport.NewLimiter(policy.Limit{InFlight: 3}).Wrap
	})(transport.Func(held))
	assertRoom(t, rt, math.MaxInt, 0)
	first, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
	require.NoError(t, err)
	defer first.Body.Close()
	assertRoom(t, rt, 2, 0)
}

// The standard stack keeps a breaker for each host.
func TestRoomPerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stack := policy.Default()
		stack.Retry.Off = true
		stack.Breaker.MinCalls = 2
		stack.Breaker.OpenFor = 10 * time.Second
		stack.Breaker.Random = fixed(0)
		stack.Limit.Off = true
		rt := transport.Chain(transport.Func(fault), transport.Standard(stack))
		assertRoom(t, rt, math.MaxInt, 0)
		for range 2 {
			_, _, err := get(t, rt)
			require.NoError(t, err)
		}
		assertRoom(t, rt, 0, 10*time.Second)
		other, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://other.test/", nil)
		require.NoError(t, err)
		n, wait := transport.Room(rt, other)
		assert.Equal(t, math.MaxInt, n)
		assert.Zero(t, wait)
	})
}

func TestRoomOfNothing(t *testing.T) {
	n, wait := transport.Room(nil, nil)
	assert.Equal(t, math.MaxInt, n)
	assert.Zero(t, wait)
}

// A breaker that is open has no room, and says for how long.
func ExampleRoom() {
	breaker := transport.NewBreaker(policy.Breaker{})
	rt := transport.Chain(transport.Func(transporttest.Reply(200, "")), breaker.Wrap)
	req, err := http.NewRequest(http.MethodPost, "https://api.example/", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	breaker.Isolate("maintenance", time.Now().Add(time.Hour))
	n, wait := transport.Room(rt, req)
	fmt.Println(n, wait.Round(time.Minute))
	// Output: 0 1h0m0s
}
