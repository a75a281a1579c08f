package transport_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A caller's own deadline tells nothing of a server that was given too little
// time, be it for the header or for the next bytes of the body.
func TestBreakerPatience(t *testing.T) {
	const patience = 2 * time.Second
	dripping := transporttest.Drip(200, ".", patience-1)
	tests := []struct {
		name     string
		patience time.Duration
		step     transporttest.Step
		deadline time.Duration
		want     policy.BreakerState
	}{
		{"a millisecond", 0, transporttest.Hang(), time.Millisecond, policy.Closed},
		{"just too short", 0, transporttest.Hang(), patience - 1, policy.Closed},
		{"as long as it takes", 0, transporttest.Hang(), patience, policy.Open},
		{"longer patience", time.Minute, transporttest.Hang(), time.Minute - 1, policy.Closed},
		{"longer patience, as long as it takes", time.Minute, transporttest.Hang(), time.Minute, policy.Open},
		{"none", -1, transporttest.Hang(), time.Hour, policy.Closed},
		{"a body that keeps coming", 0, dripping, time.Hour, policy.Closed},
		{"a body that stalls for a moment", 0, transporttest.Stall(200, "so far"), patience - 1, policy.Closed},
		{"a body that stalls", 0, transporttest.Stall(200, "so far"), patience, policy.Open},
		{"an answer is one, however late", 0, transporttest.After(1, fault), time.Millisecond, policy.Open},
		{"a limit below that is shorter", 0, transporttest.Fail(&policy.TimeoutError{}), time.Minute, policy.Open},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 1, Patience: tt.patience})
				b.step = tt.step
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				_, _, _ = send(t, b.rt, newRequest(t, ctx, http.MethodGet, ""))
				b.want(tt.want)
			})
		})
	}
}

// The patience follows SlowCall unless it is set.
func TestBreakerPatienceOfSlowCall(t *testing.T) {
	for deadline, want := range map[time.Duration]policy.BreakerState{
		10*time.Second - 1: policy.Closed,
		10 * time.Second:   policy.Open,
	} {
		t.Run(deadline.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 1, SlowCall: 10 * time.Second})
				b.step = transporttest.Hang()
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				_, _, err := send(t, b.rt, newRequest(t, ctx, http.MethodGet, ""))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				b.want(want)
			})
		})
	}
}

// The rest of a total time limit above the breaker is a caller's deadline, too.
func TestBreakerPatienceBelowTotal(t *testing.T) {
	for total, want := range map[time.Duration]policy.BreakerState{
		2*time.Second - 1: policy.Closed,
		2 * time.Second:   policy.Open,
	} {
		t.Run(total.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 1})
				b.step = transporttest.Hang()
				rt := transport.Timeout(policy.Timeout{Scope: "total", Total: total})(b.rt)
				_, _, err := get(t, rt)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				b.want(want)
			})
		})
	}
}

// A probe whose caller has no time decides nothing and makes room.
func TestBreakerPatienceOfProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 1, Probes: 1})
		b.open(5 * time.Second)
		for range 10 {
			b.step = transporttest.Hang()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, _, err := send(t, b.rt, newRequest(t, ctx, http.MethodGet, ""))
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			b.want(policy.HalfOpen)
		}
		require.NoError(t, b.call(fine))
		b.want(policy.Closed)
	})
}

// A connection that is upgraded is a good answer; what becomes of it is nobody's
// business here.
func TestBreakerUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 1, Probes: 1})
		b.open(5 * time.Second)
		b.step = func(req *http.Request) (*http.Response, error) {
			conn := struct {
				io.Reader
				io.Writer
				io.Closer
			}{strings.NewReader("hello"), io.Discard, io.NopCloser(nil)}
			return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: http.Header{}, Body: conn, Request: req}, nil
		}
		resp, err := b.rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		b.want(policy.Closed)
		assert.Implements(t, (*io.Writer)(nil), resp.Body)
		require.NoError(t, resp.Body.Close())
	})
}

// The jitter is added to the open time, never taken from it, and never beyond
// the greatest.
func TestBreakerJitter(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 5 * time.Second, 0.5: 5250 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{MinCalls: 1, Random: fixed(random)})
			require.NoError(t, b.call(fault))
			b.refused(time.Now().Add(want))
		})
	}
}
