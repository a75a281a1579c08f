package cache_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// refusing is a service with a breaker, which is open while refusal is not nil.
type refusing struct {
	service
	refusal error
	asked   int
}

func (r *refusing) Refuse(req *http.Request) error {
	if r.asked++; r.refusal != nil {
		body.CloseRequest(req)
	}
	return r.refusal
}

// Where there is an answer to give, the layers below are asked whether they refuse; if
// they do, nothing is sent.
func TestMemoAsksWhetherItIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &refusing{service: service{respond: answering(answer)}}
		rt := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{Jitter: -1}})(upstream)
		call := func(ctx context.Context) *http.Request {
			return newCallContext(t, ctx, `{"data":"x"}`, policy.Call{})
		}
		ask(t, rt, call(t.Context()))
		assert.Zero(t, upstream.asked, "nothing is known")
		ask(t, rt, call(t.Context()))
		assert.Zero(t, upstream.asked, "it is fresh")
		time.Sleep(time.Hour)

		upstream.refusal = &policy.Refusal{Layer: "breaker", Reason: "breaker_open"}
		resp, err := rt.RoundTrip(call(t.Context()))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, "sparekey; hit; ttl=-3300; detail=stale-if-error", resp.Header.Get("Cache-Status"))
		assert.Equal(t, 1, upstream.asked)
		assert.EqualValues(t, 1, upstream.calls.Load(), "requests sent")

		upstream.asked = 0
		left, leave := context.WithCancel(t.Context())
		leave()
		upstream.respond = failing
		for _, ctx := range []context.Context{left, policy.Strict(t.Context())} {
			_, err := rt.RoundTrip(call(ctx))
			require.Error(t, err)
			synctest.Wait()
		}
		assert.Zero(t, upstream.asked, "there is nothing to give, or nobody to give it to")

		synctest.Wait() // what the one who left has sent is over
		upstream.refusal, upstream.respond = nil, answering(answer)
		resp, err = rt.RoundTrip(call(t.Context()))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 1, upstream.asked)
		synctest.Wait()
		upstream.requireAllClosed(t)
	})
}

// A refusal that is handed on is a miss, though nothing was sent.
func TestMemoHandsOnARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &refusing{service: service{respond: answering(answer)}}
		memo := cache.NewMemo(cache.PredictionsConfig{HandOnFailures: true})
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(time.Hour)
		upstream.refusal = &policy.Refusal{Layer: "breaker", Reason: "breaker_open"}
		_, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
		assert.Same(t, upstream.refusal, err)
		assert.EqualValues(t, 1, upstream.calls.Load(), "requests sent")
		assert.EqualValues(t, 2, memo.Stats().Misses)
		assert.Zero(t, memo.Stats().Stale)
	})
}
