package telemetry_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A wait that ends before its time, as when the caller leaves, counts for as long as
// it was.
func TestTrailWaitCutShort(t *testing.T) {
	tests := []struct {
		name string
		stay time.Duration
		want time.Duration
	}{
		{"left during the first wait", 3 * time.Second, 3 * time.Second},
		{"left during the second wait", 17 * time.Second, 17 * time.Second},
		{"stayed", time.Hour, 20 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sdk := install(t)
				waits := func(next http.RoundTripper) http.RoundTripper {
					return roundTrip(func(req *http.Request) (*http.Response, error) {
						ctx := req.Context()
						for range 2 {
							resp, err := next.RoundTrip(req)
							require.NoError(t, err)
							require.NoError(t, resp.Body.Close())
							telemetry.FromContext(ctx).Waits(ctx, 10*time.Second, policy.Overloaded)
							select {
							case <-time.After(10 * time.Second):
							case <-ctx.Done():
								return nil, ctx.Err()
							}
						}
						return next.RoundTrip(req)
					})
				}
				ctx, trail := telemetry.NewContext(t.Context())
				ctx, leave := context.WithCancel(ctx)
				defer leave()
				time.AfterFunc(tt.stay, leave)
				_, _ = send(t, stack(routing, upstream(503, ""), waits), ctx)
				assert.Equal(t, tt.want, trail.Waited())
				assert.Contains(t, sdk.measured(t), "sparekey.client.retry.delay s sparekey.function.name=ticket_routing 1 in "+trail.Waited().String()+"\n")
			})
		})
	}
}

// Why there is a wait is known from the header on, before the attempt's body ends.
func TestTrailWaitsBeforeTheBodyEnds(t *testing.T) {
	var log strings.Builder
	waits := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			telemetry.FromContext(req.Context()).Waits(req.Context(), time.Second, policy.Overloaded)
			return resp, err
		})
	}
	_, err := send(t, stack(telemetry.Config{Logger: newLogger(&log)}, upstream(503, ""), waits), t.Context())
	require.NoError(t, err)
	assert.Contains(t, log.String(), "event.name=sparekey.retry wait=1s error.type=503\n")
}

// The attempt of a hedge did not wait because its neighbour does.
func TestTrailWaitsOfBranches(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	beside := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			one, _ := telemetry.NewBranch(req.Context(), false)
			two, _ := telemetry.NewBranch(req.Context(), true)
			attempt := func(ctx context.Context) (*http.Response, error) { return next.RoundTrip(req.WithContext(ctx)) }
			trail.Waits(one, time.Minute, policy.Overloaded)
			_, err := attempt(two)
			require.NoError(t, err)
			trail.Waits(two, time.Hour, policy.Overloaded)
			_, err = attempt(one)
			require.NoError(t, err)
			return attempt(two)
		})
	}
	_, err := send(t, stack(routing, upstream(200, ""), beside), ctx)
	require.NoError(t, err)
	var waited []time.Duration
	for _, a := range trail.Attempts() {
		waited = append(waited, a.Waited)
	}
	assert.Equal(t, []time.Duration{0, time.Minute, time.Hour}, waited)
}

// A branch that another one was chosen over waits no longer, however long the chosen
// answer takes to be read.
func TestTrailWaitOfABranchThatLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, trail := telemetry.NewContext(t.Context())
		beside := func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				one, _ := telemetry.NewBranch(req.Context(), false)
				two, hedge := telemetry.NewBranch(req.Context(), true)
				trail.Waits(one, 10*time.Second, policy.Overloaded)
				time.Sleep(3 * time.Second)
				resp, err := next.RoundTrip(req.WithContext(two))
				hedge.Chosen(req.Context())
				return resp, err
			})
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://up.test/", nil)
		require.NoError(t, err)
		resp, err := stack(routing, upstream(200, "fine"), beside).RoundTrip(req)
		require.NoError(t, err)
		time.Sleep(2 * time.Second) // less than is left of that wait
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 3*time.Second, trail.Waited())
	})
}

// What comes after a wait is none of it, if no attempt does.
func TestTrailWaitThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, trail := telemetry.NewContext(t.Context())
		refuses := func(http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				trail.Waits(req.Context(), 10*time.Second, policy.Overloaded)
				time.Sleep(15 * time.Second)
				return nil, &policy.Refusal{Reason: "queue_timeout"}
			})
		}
		_, err := send(t, stack(routing, upstream(200, ""), refuses), ctx)
		require.Error(t, err)
		assert.Equal(t, 10*time.Second, trail.Waited())
	})
}

// A wait after which the attempt was refused counts as waited, but the next attempt came
// after the next wait only.
func TestTrailWaitBeforeARefusal(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	waits := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			trail.Waits(req.Context(), time.Minute, policy.Overloaded)
			trail.Waits(req.Context(), time.Hour, policy.Refused)
			return next.RoundTrip(req)
		})
	}
	_, err := send(t, stack(routing, upstream(200, ""), waits), ctx)
	require.NoError(t, err)
	assert.Equal(t, time.Hour, trail.Attempts()[0].Waited)
	assert.Equal(t, time.Hour+time.Minute, trail.Waited())
}
