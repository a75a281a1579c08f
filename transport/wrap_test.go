package transport_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// The Timeout of the client is a deadline of the caller's: it ends the call with all
// its attempts.
func TestWrapKeepsTheClientsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Hang())
		client := transport.Wrap(&http.Client{Transport: upstream, Timeout: 15 * time.Second},
			transport.Standard(policy.Stack{Retry: policy.Retry{Random: func() float64 { return 0 }}}))
		start := time.Now()
		_, err := client.Get("http://up.test/")
		assert.Equal(t, 15*time.Second, time.Since(start))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 2, upstream.Calls(), "one of 10 s, one of what is left")
	})
}

// A redirect that the client follows is a call of its own.
func TestWrapTakesRedirectsForCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(
			transporttest.After(9*time.Second, transporttest.Reply(http.StatusFound, "", "Location", "/next")),
			transporttest.After(9*time.Second, transporttest.Reply(http.StatusOK, "there")),
		)
		client := transport.Wrap(&http.Client{Transport: upstream}, transport.Standard(policy.Stack{Total: 10 * time.Second, Attempt: policy.Timeout{FirstByte: -1}}))
		start := time.Now()
		resp, err := client.Get("http://up.test/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 18*time.Second, time.Since(start), "more than one call may take")
		assert.Equal(t, 1, telemetry.TrailOf(resp).AttemptCount())
	})
}
