package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestSimilarStats(t *testing.T) {
	foreign := func(next http.RoundTripper) http.RoundTripper { return transport.Func(next.RoundTrip) }
	stack := func(similar *policy.Similar) transport.Layer {
		return transport.Standard(policy.Stack{Cache: &policy.Cache{Similar: similar}})
	}
	upstream := transporttest.Reply(http.StatusOK, `{"labelName":"shipping"}`, "Content-Type", "application/json")
	ask := func(t *testing.T, layers ...transport.Layer) http.RoundTripper {
		rt := transport.Chain(transport.Func(upstream), layers...)
		assert.Empty(t, transport.SimilarStats(rt), "nothing was asked")
		for _, text := range []string{"where is the lamp", "where is the sofa"} {
			ctx := policy.WithCall(t.Context(), policy.Call{Function: "tickets", Replayable: true})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://up.test/", strings.NewReader(fmt.Sprintf(`{"data":%q}`, text)))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/json")
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		return rt
	}
	want := []cache.SimilarStats{{Function: "tickets", Questions: 2, Compared: 1}}
	assert.Equal(t, want, transport.SimilarStats(ask(t, stack(&policy.Similar{}))))
	assert.Equal(t, want, transport.SimilarStats(ask(t, foreign, stack(&policy.Similar{}), foreign)), "between layers of others")
	assert.Empty(t, transport.SimilarStats(ask(t, stack(nil))))
	assert.Empty(t, transport.SimilarStats(upstreamOnly{}))
	assert.Empty(t, transport.SimilarStats(nil))
}
