package cache_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
)

// TestPredictionsConcurrently has callers ask the same few things at once of a
// service that fails at times, through a store that is too small.
func TestPredictionsConcurrently(t *testing.T) {
	const workers, calls, questions, maxBytes = 8, 300, 20, 10 << 10
	upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
		if rand.IntN(5) == 0 {
			return nil, errDown
		}
		return response(http.StatusOK, fmt.Sprintf("%q", policy.CallOf(req.Context()).Function)), nil
	}}
	store := cache.NewStore(cache.StoreConfig{MaxBytes: maxBytes})
	rt := cache.Predictions(cache.PredictionsConfig{Store: store})(upstream)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range calls {
				function := fmt.Sprint("f", rand.IntN(questions))
				resp, err := rt.RoundTrip(newCall(t, `{"data":"x"}`, policy.Call{Function: function}))
				if err != nil {
					assert.ErrorIs(t, err, errDown)
					continue
				}
				resp.Header.Set("X-Mine", function)
				if rand.IntN(10) > 0 { // else it is abandoned
					text, err := io.ReadAll(resp.Body)
					assert.NoError(t, err)
					assert.Equal(t, fmt.Sprintf("%q", function), string(text))
				}
				assert.NoError(t, resp.Body.Close())
				assert.LessOrEqual(t, store.Stats().Bytes, int64(maxBytes))
			}
		})
	}
	group.Wait()
	hits, stale, misses, bypasses := lookups(store)
	assert.EqualValues(t, workers*calls, hits+stale+misses+store.Stats().Joined)
	assert.EqualValues(t, upstream.calls.Load(), misses)
	assert.NotZero(t, hits)
	assert.Zero(t, bypasses)
	upstream.requireAllClosed(t)
}

// TestPredictionsOverHTTP goes through net/http on both sides.
func TestPredictionsOverHTTP(t *testing.T) {
	var calls int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"labelName":`)
		if r.URL.Query().Has("flush") {
			w.(http.Flusher).Flush() // no length then
		}
		if r.URL.Query().Has("break") {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, `"billing"}`)
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for _, query := range []string{"", "flush", "flush&break"} {
		t.Run(query, func(t *testing.T) {
			calls = 0
			client := &http.Client{Transport: cache.Predictions(cache.PredictionsConfig{})(transport)}
			ctx := policy.WithCall(context.Background(), policy.Call{Replayable: true})
			for range 3 {
				req := newCallContext(t, ctx, `{"data":"x"}`, policy.Call{})
				target, err := req.URL.Parse(server.URL + "?" + query)
				require.NoError(t, err)
				req.URL, req.Host = target, ""
				resp, err := client.Do(req)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, resp.Body)
				assert.Equal(t, query == "flush&break", err != nil, "the answer breaks off")
				require.NoError(t, resp.Body.Close())
			}
			if query == "flush&break" {
				assert.Equal(t, 3, calls)
			} else {
				assert.Equal(t, 1, calls)
			}
		})
	}
}
