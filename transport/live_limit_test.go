package transport_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// limiter returns what the only limiter looks like.
func (l *lively) limiter() telemetry.LimiterSnapshot {
	l.t.Helper()
	all := transport.Snapshot(l.rt).Functions[0].Limiters
	require.Len(l.t, all, 1)
	return all[0]
}

// A rate that is taken away for a while is, when it is back, the one that was learnt,
// after the pause for which the server asked.
func TestLiveRateIsBack(t *testing.T) {
	for name, between := range map[string]policy.Limit{"no rate": {}, "off": {Off: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status := http.StatusTooManyRequests
				base := transport.Func(func(req *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"30"}}, Body: http.NoBody, Request: req}, nil
				})
				paced := policy.Stack{Limit: policy.Limit{PerSecond: 10, MaxQueue: -1}}
				l := newLively(t, paced)
				l.rt = transport.Chain(base, l.live.Wrap)
				_, _, err := get(t, l.rt)
				require.NoError(t, err)
				status = http.StatusOK
				l.apply(policy.Stack{Limit: between})
				time.Sleep(time.Second)
				_, _, err = get(t, l.rt)
				require.NoError(t, err, "there is no rate now")
				l.apply(paced)
				assert.InDelta(t, 7, l.limiter().PerSecond, 1e-9)
				_, _, err = get(t, l.rt)
				require.ErrorIs(t, err, transport.ErrLimited)
				time.Sleep(29 * time.Second)
				_, _, err = get(t, l.rt)
				require.ErrorIs(t, err, transport.ErrLimited, "no token came in the pause")
				time.Sleep(time.Second)
				_, _, err = get(t, l.rt)
				require.NoError(t, err)
			})
		})
	}
}

// So is a bound that adapts.
func TestLiveBoundIsBack(t *testing.T) {
	for name, between := range map[string]policy.Limit{"fixed": {InFlight: 3}, "none": {InFlight: -1}, "off": {Off: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLively(t, policy.Stack{})
				l.ask(1, http.StatusTooManyRequests)
				require.Equal(t, 140, l.limiter().Bound)
				l.apply(policy.Stack{Limit: between})
				l.ask(1, http.StatusTooManyRequests)
				l.apply(policy.Stack{})
				assert.Equal(t, 140, l.limiter().Bound)
			})
		})
	}
}

// A limit that was off has learnt nothing: its bound begins where it is said to.
func TestLiveLimitTurnedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{Limit: policy.Limit{Off: true}})
		l.ask(1, http.StatusOK)
		l.apply(policy.Stack{Limit: policy.Limit{Adaptive: policy.Adaptive{Initial: 20}}})
		assert.Equal(t, 20, l.limiter().Bound)
	})
}

// Who waits at a limit that is turned off goes on at once.
func TestLiveQueueOfALimitTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{Limit: policy.Limit{PerSecond: 0.5, InFlight: 1}})
		resp, err := l.rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		for range 3 {
			go func() { _, _, _ = get(t, l.rt) }()
		}
		synctest.Wait()
		require.EqualValues(t, 1, l.calls.Load())
		l.apply(policy.Stack{Limit: policy.Limit{Off: true}})
		synctest.Wait()
		assert.EqualValues(t, 4, l.calls.Load())
		_, _ = io.Copy(io.Discard, resp.Body)
		require.NoError(t, resp.Body.Close())
	})
}
