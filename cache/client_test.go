package cache_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A merged is a layer that merges equal requests, and how one of them is made.
type merged struct {
	layer   cache.Layer
	request func() *http.Request
}

func merging(t *testing.T) map[string]merged {
	return map[string]merged{
		"predictions": {
			cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{TTL: time.Minute, Jitter: -1, StaleWhileRevalidate: time.Hour}}),
			func() *http.Request { return newCall(t, `{}`, policy.Call{}) },
		},
		"http": {
			cache.HTTP(cache.HTTPConfig{}),
			func() *http.Request { return get(t) },
		},
	}
}

// TestClientTimeout: the Timeout of an http.Client, which it also tells net/http past
// the request's context, is for the caller who set it, and for nobody who waits for
// the same answer.
func TestClientTimeout(t *testing.T) {
	for name, tt := range merging(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(2 * time.Second)
					w.Header().Set("Content-Type", "application/json")
					w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate=3600")
					_, _ = io.WriteString(w, answer)
				}))
				rt := tt.layer(server.Transport())
				impatient, patient := &http.Client{Transport: rt, Timeout: time.Second}, &http.Client{Transport: rt}

				ask := func() *http.Request {
					req := tt.request()
					req.URL.Scheme = "http"
					return req
				}
				go func() {
					_, err := impatient.Do(ask())
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}()
				time.Sleep(time.Second / 2)
				resp, err := patient.Do(ask())
				require.NoError(t, err, "who joined")
				_, err = io.Copy(io.Discard, resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())

				time.Sleep(2 * time.Minute)
				resp, err = impatient.Do(ask())
				require.NoError(t, err)
				time.Sleep(3 * time.Second) // his time ends before he has read the old answer
				require.NoError(t, resp.Body.Close())
				resp, err = patient.Do(ask())
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.EqualValues(t, telemetry.Cache, sourceOf(resp), "fetched behind him")
			})
		})
	}
}

// A caller who can leave by Cancel only does so, before the header and after it.
func TestRequestCancel(t *testing.T) {
	for name, tt := range merging(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					time.Sleep(2 * time.Second)
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				}))
				client := &http.Client{Transport: tt.layer(server.Transport())}
				for _, after := range []time.Duration{time.Second, 3 * time.Second} {
					req := tt.request()
					req.URL.Scheme = "http"
					left := make(chan struct{})
					req.Cancel = left //nolint:staticcheck // deprecated, but heeded
					start := time.Now()
					time.AfterFunc(after, func() { close(left) })
					resp, err := client.Do(req)
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
					assert.Error(t, err)
					assert.Equal(t, after, time.Since(start))
				}
			})
		})
	}
}
