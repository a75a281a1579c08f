package cache_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// caches are the layers that keep answers, the answers being asked for in all the
// ways in which they are copied.
var caches = map[string]struct {
	layer func(*cache.Store) cache.Layer
	ask   func(testing.TB, int) *http.Request
}{
	"HTTP": {
		func(s *cache.Store) cache.Layer { return cache.HTTP(cache.HTTPConfig{Store: s}) },
		func(t testing.TB, n int) *http.Request { return get(t, "Foo: 1", fmt.Sprintf("X-Api-Key: %d", n)) },
	},
	"predictions": {
		func(s *cache.Store) cache.Layer {
			return cache.Predictions(cache.PredictionsConfig{Store: s, Cache: policy.Cache{MaxEntryBytes: 1 << 20}})
		},
		func(t testing.TB, n int) *http.Request { return newCall(t, fmt.Sprint(n), policy.Call{}) },
	},
	"predictions anew": {
		func(s *cache.Store) cache.Layer {
			return cache.Predictions(cache.PredictionsConfig{Store: s, Cache: policy.Cache{MaxEntryBytes: 1 << 20}})
		},
		func(t testing.TB, n int) *http.Request {
			req := newCall(t, fmt.Sprint(n), policy.Call{})
			req.Header.Set("Cache-Control", "no-cache")
			return req
		},
	},
}

// TestInFlight: what of answers has come counts against the budget while they are
// on their way, whether their lengths are announced or not, and half of it stays
// with what is known.
func TestInFlight(t *testing.T) {
	const origins, size, maxBytes, known = 64, 1 << 20, 16 << 20, 100
	for name, c := range caches {
		for _, announced := range []int64{-1, size} {
			for _, share := range []int{64, 2} { // of the body that has come
				t.Run(fmt.Sprint(name, ", announced ", announced, ", come 1/", share), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						quick := transporttest.Reply(http.StatusOK, "known", "Cache-Control", "max-age=60", "Content-Type", "text/plain")
						slow := false
						up := transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
							if !slow {
								return quick(req)
							}
							stream := transporttest.Stream(http.StatusOK, []transporttest.Chunk{
								{Data: strings.Repeat("x", size/share)},
								{After: time.Second, Data: strings.Repeat("x", size-size/share)},
							})
							resp, err := stream(req)
							resp.Header.Set("Cache-Control", "max-age=60")
							resp.Header.Set("Content-Type", "text/plain")
							resp.ContentLength = announced
							if announced < 0 {
								resp.TransferEncoding = []string{"chunked"}
							}
							return resp, err
						})
						store := cache.NewStore(cache.StoreConfig{MaxBytes: maxBytes, MaxEntryBytes: 2 * size})
						rt := c.layer(store)(up)
						for i := range known {
							ask(t, rt, c.ask(t, -1-i))
						}
						slow = true
						before := store.Stats().Entries
						bodies := make([]io.ReadCloser, origins)
						for i := range bodies {
							resp, err := rt.RoundTrip(c.ask(t, i))
							require.NoError(t, err)
							bodies[i] = resp.Body
							_, err = io.ReadFull(resp.Body, make([]byte, size/share))
							require.NoError(t, err)
						}
						synctest.Wait()
						inFlight := store.Stats().InFlight
						assert.Equal(t, before, store.Stats().Entries, "what is known stays")
						assert.GreaterOrEqual(t, inFlight, min(int64(origins*size/share), maxBytes/4))
						assert.LessOrEqual(t, inFlight, min(6*origins*size/int64(share), maxBytes/2))
						for _, body := range bodies {
							_, err := io.Copy(io.Discard, body)
							require.NoError(t, err)
							require.NoError(t, body.Close())
						}
						synctest.Wait()
						assert.Zero(t, store.Stats().InFlight)
					})
				})
			}
		}
	}
}

// TestInFlightEnds: nothing of the budget is left with an answer that has ended,
// however it did.
func TestInFlightEnds(t *testing.T) {
	const size = 100 << 10
	ends := map[string]func(io.ReadCloser){
		"closed early": func(body io.ReadCloser) { _, _ = io.ReadFull(body, make([]byte, size/2)) },
		"read":         func(body io.ReadCloser) { _, _ = io.Copy(io.Discard, body) },
		"not at all":   func(io.ReadCloser) {},
		"a bad writer": func(body io.ReadCloser) { _, _ = io.Copy(&limitedWriter{size / 2}, body) },
	}
	for name, c := range caches {
		for how, end := range ends {
			for _, failure := range []error{nil, errors.New("reset")} {
				t.Run(fmt.Sprint(name, ", ", how, ", ", failure), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						up := transporttest.NewUpstream(transporttest.Stream(http.StatusOK, []transporttest.Chunk{
							{Data: strings.Repeat("x", size/2)}, {After: time.Second, Data: strings.Repeat("x", size/2), Err: failure},
						}))
						store := cache.NewStore(cache.StoreConfig{})
						resp, err := c.layer(store)(up).RoundTrip(c.ask(t, 0))
						require.NoError(t, err)
						end(resp.Body)
						require.NoError(t, resp.Body.Close())
						synctest.Wait()
						assert.Zero(t, store.Stats().InFlight)
					})
				})
			}
		}
	}
}

// TestInFlightLeavesRoom: what an answer took while it was on its way is there for it
// when it has come, so that one of any allowed weight is held.
func TestInFlightLeavesRoom(t *testing.T) {
	const maxBytes = 1 << 20
	for _, name := range []string{"predictions", "predictions anew"} {
		c := caches[name]
		for _, size := range []int{maxBytes / 4, maxBytes / 2, maxBytes * 3 / 4, maxBytes - 4<<10} {
			t.Run(fmt.Sprint(name, ", ", size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					text := strings.Repeat("x", size)
					up := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, text, "Cache-Control", "max-age=60", "Content-Type", "text/plain"))
					store := cache.NewStore(cache.StoreConfig{MaxBytes: maxBytes})
					ask(t, c.layer(store)(up), c.ask(t, 0))
					assert.Equal(t, 1, store.Stats().Entries)
				})
			})
		}
	}
}
