package peers_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// Two callers with credentials of their own share a stack, and so its cache.
func TestCacheKeepsCallersApart(t *testing.T) {
	second := func(ask func(ctx context.Context) *http.Request) func(*testing.T, transport.Layer) string {
		return func(t *testing.T, layer transport.Layer) string {
			rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
				closeBody(req)
				resp := reply(req, http.StatusOK, "for "+req.Header.Get("Authorization"))
				resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
				return resp, nil
			}), layer)
			var text string
			for _, who := range []string{"alice", "bob"} {
				req := ask(t.Context())
				req.Header.Set("Authorization", who)
				var err error
				_, text, err = call(t, rt, req)
				require.NoError(t, err)
			}
			return text
		}
	}
	observe(t, second(newGet),
		with("httpcache", func() transport.Layer { return memoryCache }, "for alice"),
		with("sparekey", func() transport.Layer { return cache.HTTP(cache.HTTPConfig{}) }, "for bob"))
	observe(t,
		second(func(ctx context.Context) *http.Request {
			return newPost(policy.WithCall(ctx, policy.Call{Replayable: true}), `{"data":"card"}`)
		}),
		with("sparekey", func() transport.Layer { return cache.Predictions(cache.PredictionsConfig{}) }, "for bob"))
}
