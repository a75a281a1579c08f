package cache_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// getFor returns a request for the thing whose call names a function, "" for none.
func getFor(t testing.TB, function string, header ...string) *http.Request {
	t.Helper()
	req := get(t, header...)
	return req.WithContext(policy.WithCall(req.Context(), policy.Call{Function: function}))
}

// An operator's purge reaches the HTTP cache of a function's stack, whatever other
// caches it has.
func TestHTTPForgetsAtAnOperatorsPurge(t *testing.T) {
	stacks := map[string]func(next http.RoundTripper) http.RoundTripper{
		"alone": func(next http.RoundTripper) http.RoundTripper { return cache.HTTP(cache.HTTPConfig{})(next) },
		"below predictions": func(next http.RoundTripper) http.RoundTripper {
			return cache.Predictions(cache.PredictionsConfig{})(cache.HTTP(cache.HTTPConfig{})(next))
		},
	}
	for name, stack := range stacks {
		for _, function := range []string{"search", ""} {
			for _, header := range []string{"", "Authorization: a"} {
				t.Run(fmt.Sprintf("%s, calls that name %q, %q", name, function, header), func(t *testing.T) {
					upstream := saying("Cache-Control: max-age=60", authorization)
					rt := transport.Chain(upstream, telemetry.ObserveCall(telemetry.Config{Function: "search"}), stack)
					others := getFor(t, "other", header)
					others.URL.Path += "/other"
					for range 2 {
						ask(t, rt, getFor(t, function, header))
						ask(t, rt, others)
					}
					require.Equal(t, int64(2), upstream.calls.Load(), "the second ones are answered from memory")

					require.True(t, transport.Operator{rt}.Purge("search"))
					ask(t, rt, getFor(t, function, header))
					assert.Equal(t, int64(3), upstream.calls.Load())
					ask(t, rt, others)
					assert.Equal(t, int64(3), upstream.calls.Load(), "another function's answers stay")
				})
			}
		}
	}
}

// The answers of a function are forgotten though others asked for the same target, and
// one that is under way is not kept.
func TestStorePurgesFunctionWhoseTargetOthersAskedFor(t *testing.T) {
	const german = "Accept-Language: de"
	for _, who := range []string{"", "\nAuthorization: a"} {
		for name, first := range map[string]string{"another function": "other", "none": ""} {
			t.Run(fmt.Sprintf("%s, %q", name, who), func(t *testing.T) {
				store := cache.NewStore(cache.StoreConfig{})
				upstream := saying("Cache-Control: max-age=60\nVary: Accept-Language", authorization)
				rt := cache.HTTP(cache.HTTPConfig{Store: store})(upstream)
				ask(t, rt, getFor(t, first, "Accept-Language: fr"+who))
				for range 2 {
					ask(t, rt, getFor(t, "search", german+who))
				}
				require.Equal(t, int64(2), upstream.calls.Load())
				store.PurgeFunction("search")
				resp, err := rt.RoundTrip(getFor(t, "search", german+who))
				require.NoError(t, err)
				require.Equal(t, int64(3), upstream.calls.Load())

				ask(t, rt, getFor(t, first, "Accept-Language: fr"+who)) // has a shelf for the target again
				store.PurgeFunction("search")
				_, err = io.Copy(io.Discard, resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				calls := upstream.calls.Load()
				ask(t, rt, getFor(t, "search", german+who))
				assert.Equal(t, calls+1, upstream.calls.Load(), "the one under way")
			})
		}
	}
}

// A purge of a function takes nothing from the callers of another who have answers of
// their own for the same target.
func TestHTTPPurgeLeavesWhatOthersHaveForThemselves(t *testing.T) {
	store := cache.NewStore(cache.StoreConfig{})
	upstream := saying("Cache-Control: max-age=60", authorization)
	rt := cache.HTTP(cache.HTTPConfig{Store: store})(upstream)
	call := func(function, who string) {
		req := get(t)
		ask(t, rt, req.WithContext(policy.WithCall(req.Context(), policy.Call{Function: function, Identity: who})))
	}
	call("first", "a")
	call("second", "b")
	store.PurgeFunction("first")
	call("second", "b")
	assert.Equal(t, int64(2), upstream.calls.Load())
	call("first", "a")
	assert.Equal(t, int64(3), upstream.calls.Load())
}
