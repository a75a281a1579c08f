package transport_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A caller who joins a merged call has the stack's own limits, though they come
// after the deadline of the one who began it.
func TestStandardLimitsMergedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Hang(), transporttest.Hang(), transporttest.Hang())
		rt := transport.Standard(policy.Stack{Cache: &policy.Cache{}})(upstream)
		var all sync.WaitGroup
		took := make([]time.Duration, 2)
		for i, limit := range []time.Duration{5 * time.Second, time.Hour} {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				ctx, cancel := context.WithTimeout(policy.WithCall(t.Context(), policy.Call{Replayable: true}), limit)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader("{}"))
				assert.NoError(t, err)
				start := time.Now()
				_, err = rt.RoundTrip(req)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				took[i] = time.Since(start)
			})
		}
		all.Wait()
		assert.Equal(t, 5*time.Second, took[0])
		assert.Equal(t, 29*time.Second, took[1], "the call began a second earlier, and its total is 30 s")
	})
}
