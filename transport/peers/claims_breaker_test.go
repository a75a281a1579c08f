package peers_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Breakers that open after six failures and let one probe through a second
// later.
var (
	failsafeBreaker = func() transport.Layer {
		return policies(circuitbreaker.NewBuilder[*http.Response]().
			HandleIf(isFault).WithFailureThreshold(6).WithSuccessThreshold(1).WithDelay(time.Second).Build())
	}
	gobreakerBreaker = func() transport.Layer { return gobreakerLayer(gobreaker.Settings{Timeout: time.Second}) }
	sparekeyBreaker  = func() transport.Layer {
		return transport.NewBreaker(policy.Breaker{MinCalls: 6, OpenFor: time.Second, Probes: 1}).Wrap
	}
)

func steps(n int, step transporttest.Step) []transporttest.Step {
	return slices.Repeat([]transporttest.Step{step}, n)
}

// Callers who give up say nothing of the server.
func TestCancellationsDoNotOpen(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) int {
			upstream := transporttest.NewUpstream(slices.Concat(
				steps(6, transporttest.Hang()), steps(1, transporttest.Reply(http.StatusOK, "")))...)
			rt := transport.Chain(upstream, layer)
			for range 6 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, cancel)
				_, _, err := call(t, rt, newGet(ctx))
				require.ErrorIs(t, err, context.Canceled)
			}
			got, _, _ := call(t, rt, newGet(t.Context()))
			return got.Status
		},
		with("failsafehttp", failsafeBreaker, 0),
		with("gobreaker", gobreakerBreaker, 0),
		with("sparekey", sparekeyBreaker, http.StatusOK),
	)
}

// A 500 is a failure, and so is an answer that breaks off. Of twenty calls the
// server should see no more than it takes to open.
func TestFaultsOpen(t *testing.T) {
	faults := []struct {
		name                          string
		step                          transporttest.Step
		failsafe, gobreaker, sparekey int
	}{
		{"no connection", transporttest.Fail(errRefused), 6, 6, 6},
		{"status 500", transporttest.Reply(http.StatusInternalServerError, ""), 6, 20, 6},
		{"cut body", transporttest.Cut(http.StatusOK, "the who"), 20, 20, 6},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			observe(t,
				func(t *testing.T, layer transport.Layer) int {
					upstream := transporttest.NewUpstream(fault.step)
					rt := transport.Chain(upstream, layer)
					for range 20 {
						_, _, _ = call(t, rt, newGet(t.Context()))
					}
					return upstream.Calls()
				},
				with("failsafehttp", failsafeBreaker, fault.failsafe),
				with("gobreaker", gobreakerBreaker, fault.gobreaker),
				with("sparekey", sparekeyBreaker, fault.sparekey))
		})
	}
}

// A probe that never comes back must not keep the breaker from closing: the
// server is well again, and an hour passes.
func TestProbeWithoutEnd(t *testing.T) {
	probes := []struct {
		name                          string
		probe                         transporttest.Step
		failsafe, gobreaker, sparekey bool
	}{
		{"hangs", transporttest.Hang(), false, false, true},
		{"panics", transporttest.Panic(http.ErrAbortHandler), false, true, true},
	}
	for _, p := range probes {
		t.Run(p.name, func(t *testing.T) {
			recovers := func(t *testing.T, layer transport.Layer) bool {
				upstream := transporttest.NewUpstream(slices.Concat(
					steps(6, transporttest.Fail(errRefused)), steps(1, p.probe), steps(1, transporttest.Reply(http.StatusOK, "")))...)
				rt := transport.Chain(upstream, layer)
				for range 6 {
					_, _, err := call(t, rt, newGet(t.Context()))
					require.Error(t, err)
				}
				time.Sleep(2 * time.Second)
				go func() {
					defer func() { _ = recover() }() // as a server does
					_, _, _ = call(t, rt, newGet(t.Context()))
				}()
				for range 3600 {
					time.Sleep(time.Second)
					if _, _, err := call(t, rt, newGet(t.Context())); err == nil {
						return true
					}
				}
				return false
			}
			observe(t, recovers,
				with("failsafehttp", failsafeBreaker, p.failsafe),
				with("gobreaker", gobreakerBreaker, p.gobreaker),
				with("sparekey", sparekeyBreaker, p.sparekey))
		})
	}
}

// Answers to requests from before the breaker opened say nothing of the server
// as it is now: only the probe does, which here has no answer yet.
func TestLateAnswersDoNotClose(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) int {
			late := transporttest.After(10*time.Second, transporttest.Reply(http.StatusOK, ""))
			upstream := transporttest.NewUpstream(slices.Concat(
				steps(1, late), steps(6, transporttest.Fail(errRefused)), steps(1, transporttest.Hang()))...)
			rt := transport.Chain(upstream, layer)
			ask := func() { _, _, _ = call(t, rt, newGet(t.Context())) }
			go ask() // is answered while the probe is under way
			synctest.Wait()
			for range 6 {
				ask()
			}
			time.Sleep(5 * time.Second)
			go ask() // the probe
			time.Sleep(6 * time.Second)
			before := upstream.Calls()
			for range 5 {
				go ask()
			}
			synctest.Wait()
			return upstream.Calls() - before
		},
		with("failsafehttp", failsafeBreaker, 5),
		with("gobreaker", gobreakerBreaker, 0),
		with("sparekey", sparekeyBreaker, 0),
	)
}

// A request is in flight until its body ends. Four streams are asked for at once,
// and one is allowed.
func TestStreamsCountInFlight(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) int {
			upstream := transporttest.NewUpstream(transporttest.Stall(http.StatusOK, "start"))
			rt := transport.Chain(upstream, layer)
			for range 4 {
				resp, err := rt.RoundTrip(newGet(t.Context()))
				if err == nil {
					defer resp.Body.Close()
				}
			}
			return upstream.Calls()
		},
		with("failsafehttp", func() transport.Layer { return policies(bulkhead.New[*http.Response](1)) }, 4),
		with("sparekey", func() transport.Layer {
			return transport.NewLimiter(policy.Limit{InFlight: 1, MaxQueue: -1}).Wrap
		}, 1),
	)
}

// A panic below must give back what was taken: here the one place in flight.
func TestPanicGivesPlaceBack(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) int {
			upstream := transporttest.NewUpstream(transporttest.Panic(http.ErrAbortHandler), transporttest.Reply(http.StatusOK, ""))
			rt := transport.Chain(upstream, layer)
			func() {
				defer func() { _ = recover() }()
				_, _, _ = call(t, rt, newGet(t.Context()))
			}()
			got, _, _ := call(t, rt, newGet(t.Context()))
			return got.Status
		},
		with("failsafehttp", func() transport.Layer { return policies(bulkhead.New[*http.Response](1)) }, 0),
		with("sparekey", func() transport.Layer {
			return transport.NewLimiter(policy.Limit{InFlight: 1, MaxQueue: -1}).Wrap
		}, http.StatusOK),
	)
}
