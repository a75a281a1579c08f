package transport_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A caller whose patience is over gets an old answer while his request goes on, with
// its retries, to other endpoints, too. As long as he keeps the answer's body open his
// call is not over, and its answer is still the one that he has.
func TestAnswerStaysWhatTheCallerHas(t *testing.T) {
	const text = `{"labelName":"a","labelId":"1","confidence":0.9}`
	for name, failover := range map[string]*policy.Failover{
		"one endpoint": nil,
		"two":          {Endpoints: regions()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(
					transporttest.Reply(http.StatusOK, text),
					transporttest.After(time.Second, transporttest.Reply(http.StatusServiceUnavailable, "")),
					transporttest.Reply(http.StatusOK, text))
				rt := transport.Standard(policy.Stack{
					Cache:    &policy.Cache{TTL: time.Second, StaleIfError: time.Hour, SoftTimeout: 500 * time.Millisecond},
					Failover: failover,
				})(upstream)
				ask := func(linger time.Duration) *telemetry.Trail {
					ctx, trail := telemetry.NewContext(policy.WithCall(t.Context(), policy.Call{Replayable: true}))
					resp, err := rt.RoundTrip(to(t, http.MethodPost, "http://a.test/v1/x", `{"data":"x"}`).WithContext(ctx))
					require.NoError(t, err)
					time.Sleep(linger)
					_, err = io.Copy(io.Discard, resp.Body)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					return trail
				}
				ask(0)
				time.Sleep(time.Minute)
				trail := ask(10 * time.Second)
				require.Equal(t, 3, upstream.Calls(), "it went on")
				require.Equal(t, telemetry.Stale, trail.Answer().Source, trail)
				require.Equal(t, map[string]uint64{"live": 1, "stale": 1}, transport.Snapshot(rt).Functions[0].Calls)
			})
		})
	}
}
