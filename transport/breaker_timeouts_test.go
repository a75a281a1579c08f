package transport_test

import (
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

// TestBreakerTolerateTimeouts: timeouts beside successes are overload, timeouts
// alone are an outage.
func TestBreakerTolerateTimeouts(t *testing.T) {
	const window = 10 * time.Second
	tests := []struct {
		name     string
		tolerate bool
		pause    time.Duration // between the success and the timeouts
		want     policy.BreakerState
	}{
		{"counted", false, 0, policy.Open},
		{"tolerated while the window holds a success", true, 0, policy.Closed},
		{"counted once the success has left the window", true, window + time.Second, policy.Open},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(
					transporttest.Reply(http.StatusOK, ""),
					transporttest.Fail(&policy.TimeoutError{Scope: "attempt", Phase: "first byte", Limit: time.Second}))
				b := transport.NewBreaker(policy.Breaker{MinCalls: 4, Window: window, TolerateTimeouts: tt.tolerate})
				rt := b.Wrap(upstream)
				for i := range 10 {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://up.test/", http.NoBody)
					require.NoError(t, err)
					if resp, err := rt.RoundTrip(req); err == nil {
						require.NoError(t, resp.Body.Close())
					}
					if i == 0 {
						time.Sleep(tt.pause)
					}
				}
				assert.Equal(t, tt.want, b.State())
			})
		})
	}
}
