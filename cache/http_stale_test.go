package cache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// slow is an origin that takes its time, ends with the request's context, and
// counts.
type slow struct {
	service
	takes time.Duration
	ended int // by their contexts
	mu    sync.Mutex
}

func newSlow(takes time.Duration, header string, failing func() bool) *slow {
	s := &slow{takes: takes}
	s.respond = func(req *http.Request) (*http.Response, error) {
		select {
		case <-time.After(s.takes):
		case <-req.Context().Done():
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended++
			return nil, context.Cause(req.Context())
		}
		if failing != nil && failing() {
			return nil, errDown
		}
		resp := response(http.StatusOK, answer)
		lines(resp.Header, header)
		return resp, nil
	}
	return s
}

func status(t *testing.T, rt http.RoundTripper, req *http.Request) string {
	t.Helper()
	resp, _ := ask(t, rt, req)
	return resp.Header.Get("Cache-Status")
}

const whileRevalidate = "Cache-Control: max-age=10, stale-while-revalidate=20"

func TestHTTPStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlow(0, whileRevalidate, nil)
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		upstream.takes = time.Second
		time.Sleep(15 * time.Second)

		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				assert.Equal(t, "sparekey; hit; ttl=-5; detail=stale-while-revalidate", status(t, rt, get(t).WithContext(ctx)))
				assert.Zero(t, time.Since(start))
				cancel() // as http.Client.Timeout does
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, int64(2), upstream.calls.Load())
		assert.Equal(t, "sparekey; hit; ttl=9", status(t, rt, get(t)))

		time.Sleep(30*time.Second - 1)
		assert.Equal(t, "sparekey; fwd=stale; fwd-status=200; stored", status(t, rt, get(t)))
		upstream.requireAllClosed(t)
	})
}

func TestHTTPRefreshLeavesTheCallAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlow(0, whileRevalidate, nil)
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		upstream.takes = time.Second
		time.Sleep(15 * time.Second)

		ctx, trail := telemetry.NewContext(policy.WithCall(t.Context(), policy.Call{}))
		req := get(t, "Range: bytes=0-1", "Foo: 1").WithContext(ctx)
		upstream.respond = func(req *http.Request) (*http.Response, error) {
			assert.Equal(t, http.Header{"Foo": {"1"}}, req.Header)
			assert.NotSame(t, trail, telemetry.FromContext(req.Context()))
			resp := response(http.StatusOK, answer)
			lines(resp.Header, whileRevalidate)
			return resp, nil
		}
		resp, text := ask(t, rt, req)
		assert.Equal(t, http.StatusPartialContent, resp.StatusCode)
		assert.Equal(t, answer[:2], text)
		req.Header.Set("Foo", "2")
		synctest.Wait()
		assert.Equal(t, telemetry.Stale, trail.Answer().Source)
		assert.Equal(t, "sparekey; hit; ttl=10", status(t, rt, get(t)))
	})
}

// What is fetched behind a caller is the whole answer, whatever he wants of it.
func TestHTTPRefreshAsksForAllOfIt(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		synctest.Test(t, func(t *testing.T) {
			upstream := saying(whileRevalidate, func(*http.Request) string { return answer })
			rt := cache.HTTP(cache.HTTPConfig{})(upstream)
			ask(t, rt, get(t))
			time.Sleep(15 * time.Second)
			respond := upstream.respond
			upstream.respond = func(req *http.Request) (*http.Response, error) {
				assert.Equal(t, http.MethodGet, req.Method)
				assert.Equal(t, http.Header{"Foo": {"1"}}, req.Header)
				return respond(req)
			}
			req := get(t, "Foo: 1", "Range: bytes=0-1", "If-Range: \"b\"", "If-None-Match: \"b\"", "If-Modified-Since: {now-60}", "Cache-Control: stale-if-error=1", "Pragma: x")
			req.Method = method
			ask(t, rt, req)
			synctest.Wait()
			assert.Equal(t, "sparekey; hit; ttl=10", status(t, rt, get(t)))
			assert.Equal(t, int64(2), upstream.calls.Load())
		})
	}
}

func TestHTTPRefreshesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cache.NewStore(cache.StoreConfig{})
		rt := cache.HTTP(cache.HTTPConfig{Store: store})(newSlow(time.Second, whileRevalidate, nil))
		ask(t, rt, get(t))
		time.Sleep(15 * time.Second)
		for range 2 {
			ask(t, rt, get(t))
		}
		synctest.Wait()
		assert.EqualValues(t, 1, store.Stats().Refreshes)
		hits, stale, misses, _ := lookups(store)
		assert.Equal(t, []uint64{0, 2, 1}, []uint64{hits, stale, misses})
		time.Sleep(time.Second)
	})
}

func TestHTTPRefreshBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		upstream := newSlow(0, "Cache-Control: max-age=10, stale-while-revalidate=60", func() bool { return down })
		rt := cache.HTTP(cache.HTTPConfig{RefreshBackoff: 5 * time.Second})(upstream)
		ask(t, rt, get(t))
		time.Sleep(20 * time.Second)
		down = true
		for range 10 { // at 0 s and at 5 s
			status(t, rt, get(t))
			time.Sleep(time.Second)
		}
		assert.Equal(t, int64(3), upstream.calls.Load())
	})
}

// What the origin has confirmed since need not wait.
func TestHTTPRefreshAfterConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{step: &step{answer: "200\nEtag: \"a\"\nCache-Control: max-age=1, stale-while-revalidate=60"}}
		answers := *o.step
		rt := cache.HTTP(cache.HTTPConfig{})(o)
		ask(t, rt, get(t))
		time.Sleep(2 * time.Second)
		o.step = &step{}
		ask(t, rt, get(t)) // and the refresh fails
		synctest.Wait()
		o.step = &answers
		ask(t, rt, get(t, "Cache-Control: no-cache"))
		time.Sleep(2 * time.Second)
		ask(t, rt, get(t))
		synctest.Wait()
		assert.Equal(t, "sparekey; hit; ttl=1", status(t, rt, get(t)))
	})
}

// An answer that comes and is not to be stored is as good as none.
func TestHTTPRefreshBacksOffFromWhatIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlow(0, "Cache-Control: max-age=10, stale-while-revalidate=600", nil)
		rt := cache.HTTP(cache.HTTPConfig{RefreshBackoff: 10 * time.Second})(upstream)
		ask(t, rt, get(t))
		time.Sleep(15 * time.Second)
		upstream.respond = func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusOK, "new")
			resp.Header.Set("Cache-Control", "no-store")
			return resp, nil
		}
		upstream.calls.Store(0)
		for range 30 {
			_, text := ask(t, rt, get(t))
			assert.Equal(t, answer, text)
			time.Sleep(time.Second)
		}
		assert.EqualValues(t, 3, upstream.calls.Load(), "calls")
	})
}

// An answer that says that there is nothing any more takes what there was out, though it
// is not stored.
func TestHTTPRefreshFindsNothingAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlow(0, whileRevalidate, nil)
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		time.Sleep(15 * time.Second)
		upstream.respond = func(*http.Request) (*http.Response, error) { return response(http.StatusNotFound, ""), nil }
		assert.Equal(t, "sparekey; hit; ttl=-5; detail=stale-while-revalidate", status(t, rt, get(t)))
		synctest.Wait()
		assert.Equal(t, "sparekey; fwd=uri-miss; fwd-status=404", status(t, rt, get(t)))
	})
}

// What is gone is, though the answer that says so, which is to be stored, breaks off.
func TestHTTPGoneBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlow(0, "Cache-Control: max-age=10, stale-if-error=600", nil)
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		time.Sleep(15 * time.Second)
		upstream.respond = func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusGone, "no more")
			lines(resp.Header, "Cache-Control: max-age=10")
			resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
			return resp, nil
		}
		resp, err := rt.RoundTrip(get(t))
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		upstream.respond = func(*http.Request) (*http.Response, error) { return nil, errDown }
		_, err = rt.RoundTrip(get(t))
		assert.ErrorIs(t, err, errDown)
	})
}

func TestHTTPRefreshPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlow(0, whileRevalidate, nil)
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		time.Sleep(15 * time.Second)
		upstream.respond = func(*http.Request) (*http.Response, error) { panic("below") }
		for range 2 {
			assert.Equal(t, "sparekey; hit; ttl=-5; detail=stale-while-revalidate", status(t, rt, get(t)))
			synctest.Wait()
		}
		assert.Equal(t, int64(2), upstream.calls.Load())
	})
}

func TestHTTPRefreshesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlow(0, whileRevalidate, nil)
		rt := cache.HTTP(cache.HTTPConfig{MaxRefreshes: 3})(upstream)
		things := make([]*http.Request, 10)
		for i := range things {
			things[i] = get(t)
			things[i].URL.RawQuery = string(rune('a' + i))
			ask(t, rt, things[i])
		}
		time.Sleep(15 * time.Second)
		upstream.takes = time.Minute // longer than a refresh may take
		for _, req := range things {
			ask(t, rt, req)
		}
		synctest.Wait()
		assert.Equal(t, int64(10+3), upstream.calls.Load())
		time.Sleep(30 * time.Second)
		synctest.Wait()
		assert.Equal(t, 3, upstream.ended)
	})
}

// A bubble that ends before a refresh fails.
func TestHTTPRefreshesEnd(t *testing.T) {
	ends := map[string]func(rt http.RoundTripper){
		"CloseIdleConnections": func(rt http.RoundTripper) { (&http.Client{Transport: rt}).CloseIdleConnections() },
		"Close":                func(rt http.RoundTripper) { _ = rt.(io.Closer).Close() },
		"Close, and CloseIdleConnections after it": func(rt http.RoundTripper) {
			_ = rt.(io.Closer).Close()
			(&http.Client{Transport: rt}).CloseIdleConnections()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := newSlow(0, whileRevalidate, nil)
				rt := cache.HTTP(cache.HTTPConfig{RefreshBackoff: time.Nanosecond})(upstream)
				ask(t, rt, get(t))
				time.Sleep(15 * time.Second)
				upstream.takes = time.Hour
				status(t, rt, get(t))
				synctest.Wait()
				start := time.Now()
				end(rt)
				assert.Zero(t, time.Since(start))
				assert.Equal(t, 1, upstream.ended)

				time.Sleep(time.Second)
				upstream.takes = 0
				status(t, rt, get(t))
				synctest.Wait()
				assert.Equal(t, name == "CloseIdleConnections", upstream.calls.Load() == 3, "refreshes go on")
			})
		})
	}
}

func TestHTTPSoftTimeout(t *testing.T) {
	const header = "Cache-Control: max-age=10\nEtag: \"a\""
	tests := []struct {
		name  string
		takes time.Duration
		down  bool
		want  string
		waits time.Duration
	}{
		{"in time", time.Second - 1, false, "sparekey; hit; ttl=9", time.Second - 1},
		{"too late", time.Second + 1, false, "sparekey; hit; ttl=-6; detail=soft-timeout", time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := newSlow(0, header, func() bool { return tt.down })
				rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: time.Second})(upstream)
				ask(t, rt, get(t))
				time.Sleep(14*time.Second + 500*time.Millisecond)
				upstream.takes = tt.takes
				start := time.Now()
				assert.Equal(t, tt.want, status(t, rt, get(t)))
				assert.Equal(t, tt.waits, time.Since(start))
				time.Sleep(time.Second)
				synctest.Wait()
				assert.Contains(t, status(t, rt, get(t)), "sparekey; hit; ttl=", "the call went on")
				assert.Equal(t, int64(2), upstream.calls.Load())
			})
		})
	}
	t.Run("down", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			down := false
			upstream := newSlow(0, header, func() bool { return down })
			rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: time.Second})(upstream)
			ask(t, rt, get(t))
			time.Sleep(15 * time.Second)
			down = true
			assert.Equal(t, "sparekey; hit; ttl=-5; detail=stale-if-error", status(t, rt, get(t)))
		})
	})
	t.Run("while no fetch may begin behind callers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			upstream := newSlow(0, header, nil)
			rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: time.Second})(upstream)
			ask(t, rt, get(t))
			time.Sleep(15 * time.Second)
			upstream.takes = time.Hour
			for range 50 { // the first fetch ends after 30 s; ten later the next begins
				start := time.Now()
				assert.Contains(t, status(t, rt, get(t)), "; detail=soft-timeout")
				assert.Equal(t, time.Second, time.Since(start))
			}
			(&http.Client{Transport: rt}).CloseIdleConnections()
			synctest.Wait()
			upstream.takes = 0
			assert.Equal(t, "sparekey; fwd=stale; fwd-status=200; stored", status(t, rt, get(t)), "in time")
			assert.Equal(t, int(upstream.calls.Load())-2, upstream.ended, "nobody waits for the others")
			assert.Equal(t, int64(1+2+10+1), upstream.calls.Load())
		})
	})
	t.Run("of a call for one alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			upstream := saying(header, func(*http.Request) string { return "x" })
			rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: time.Second})(upstream)
			ask(t, rt, get(t))
			time.Sleep(15 * time.Second)
			upstream.respond = func(*http.Request) (*http.Response, error) { return nil, errDown }
			assert.Contains(t, status(t, rt, get(t)), "; detail=stale-if-error", "and nothing is fetched behind callers for a while")

			var took time.Duration
			upstream.respond = func(req *http.Request) (*http.Response, error) {
				time.Sleep(took) // whatever becomes of the request
				resp := response(http.StatusOK, "mine")
				resp.Request = req
				resp.Header.Set("Vary", "*")
				return resp, nil
			}
			_, text := ask(t, rt, get(t))
			assert.Equal(t, "mine", text)
			took = time.Second / 2
			resp, err := rt.RoundTrip(get(t))
			require.NoError(t, err)
			time.Sleep(time.Second) // it came in time
			require.NoError(t, resp.Request.Context().Err())
			data, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "mine", string(data))
			require.NoError(t, resp.Body.Close())
			assert.Error(t, resp.Request.Context().Err(), "nothing of the call is left")
			took = 2 * time.Second
			assert.Contains(t, status(t, rt, get(t)), "; detail=soft-timeout")
			upstream.requireAllClosed(t)
		})
	})
	t.Run("past its time", func(t *testing.T) {
		for before, want := range map[time.Duration]string{time.Second + 1: "stale", time.Second: ""} {
			synctest.Test(t, func(t *testing.T) {
				upstream := newSlow(0, "Cache-Control: max-age=10, stale-if-error=20", nil)
				rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: time.Second})(upstream)
				ask(t, rt, get(t))
				time.Sleep(30*time.Second - before)
				upstream.takes = 2 * time.Second
				resp, _ := ask(t, rt, get(t))
				assert.Equal(t, want, sourceOf(resp), "asked %v before the end of the window", before)
				time.Sleep(2 * time.Second)
			})
		}
	})
	t.Run("not to be stored any more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			upstream := newSlow(0, header, nil)
			rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: time.Second})(upstream)
			ask(t, rt, get(t))
			time.Sleep(15 * time.Second)
			upstream.respond = func(*http.Request) (*http.Response, error) {
				resp := response(http.StatusOK, "secret")
				resp.Header.Set("Cache-Control", "no-store")
				return resp, nil
			}
			_, text := ask(t, rt, get(t))
			assert.Equal(t, "secret", text)
		})
	})
}

// Who cancels while he waits for the origin gets the cancellation, and who has no more time
// what is there.
func TestHTTPSoftTimeoutOfWhoLeaves(t *testing.T) {
	for name, tt := range map[string]struct {
		leave func(ctx context.Context) (context.Context, context.CancelFunc)
		want  error
	}{
		"cancels": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		"has no more time": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := newSlow(0, "Cache-Control: max-age=10\nEtag: \"a\"", func() bool { return false })
				rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: 5 * time.Second})(upstream)
				ask(t, rt, get(t))
				time.Sleep(11 * time.Second)
				upstream.takes = time.Minute
				ctx, cancel := tt.leave(t.Context())
				defer cancel()
				start := time.Now()
				resp, err := rt.RoundTrip(get(t).WithContext(ctx))
				require.ErrorIs(t, err, tt.want)
				assert.Equal(t, time.Second, time.Since(start))
				if err == nil {
					assert.Equal(t, "sparekey; hit; ttl=-2; detail=soft-timeout", resp.Header.Get("Cache-Status"))
					require.NoError(t, resp.Body.Close())
				}
				(&http.Client{Transport: rt}).CloseIdleConnections()
			})
		})
	}
}

// What was changed or purged while a call was under way does not stand in for its
// answer.
func TestHTTPForgottenIsNotGiven(t *testing.T) {
	put := func(t *testing.T, rt http.RoundTripper, _ *cache.Store) {
		req := get(t)
		req.Method = http.MethodPut
		ask(t, rt, req)
	}
	tests := map[string]struct {
		forget func(*testing.T, http.RoundTripper, *cache.Store)
		want   string
	}{
		"changed": {put, ""},
		"purged":  {func(_ *testing.T, _ http.RoundTripper, s *cache.Store) { s.Purge() }, ""},
		"neither": {func(*testing.T, http.RoundTripper, *cache.Store) {}, "stale"},
	}
	for name, tt := range tests {
		for _, soft := range []time.Duration{0, 2 * time.Second} {
			t.Run(fmt.Sprintf("%s, soft timeout %v", name, soft), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					upstream := saying("Cache-Control: max-age=10, stale-if-error=60", func(*http.Request) string { return answer })
					store := cache.NewStore(cache.StoreConfig{})
					rt := cache.HTTP(cache.HTTPConfig{Store: store, SoftTimeout: soft})(upstream)
					ask(t, rt, get(t))
					time.Sleep(20 * time.Second)
					upstream.respond = func(req *http.Request) (*http.Response, error) {
						if req.Method == http.MethodPut {
							return response(http.StatusNoContent, ""), nil
						}
						time.Sleep(3 * time.Second)
						return nil, errDown
					}
					time.AfterFunc(time.Second, func() { tt.forget(t, rt, store) })
					resp, err := rt.RoundTrip(get(t))
					if tt.want == "" {
						require.ErrorIs(t, err, errDown)
					} else {
						require.NoError(t, err)
						assert.Equal(t, tt.want, sourceOf(resp))
					}
					time.Sleep(time.Minute)
				})
			})
		}
	}
}

// A refusal from below is the fastest way to be disconnected. The answer stays.
func TestHTTPOpenBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := false
		refusal := &policy.Refusal{Layer: "breaker", Reason: "open"}
		upstream := saying("Cache-Control: max-age=10, stale-if-error=60", func(*http.Request) string { return answer })
		rt := cache.HTTP(cache.HTTPConfig{})(transportFunc(func(req *http.Request) (*http.Response, error) {
			if open {
				return nil, refusal
			}
			return upstream.RoundTrip(req)
		}))
		ask(t, rt, get(t))
		time.Sleep(20 * time.Second)
		open = true
		for range 3 {
			ctx, trail := telemetry.NewContext(t.Context())
			assert.Equal(t, "sparekey; hit; ttl=-10; detail=stale-if-error", status(t, rt, get(t).WithContext(ctx)))
			assert.Equal(t, telemetry.Answer{Source: telemetry.Stale, Age: 20 * time.Second, Cause: policy.Refused}, trail.Answer())
		}
		assert.Equal(t, int64(1), upstream.calls.Load())
		time.Sleep(50 * time.Second)
		_, err := rt.RoundTrip(get(t))
		require.ErrorIs(t, err, refusal)
	})
}

// A call that would rather fail than get something stale gets nothing of that kind.
func TestHTTPStaleExcluded(t *testing.T) {
	for _, exclude := range []func(context.Context) context.Context{
		policy.Strict,
		func(ctx context.Context) context.Context { return policy.Without(ctx, policy.RungStale) },
	} {
		for name, says := range map[string]string{
			"stale-while-revalidate": "max-age=10, stale-while-revalidate=60",
			"stale-if-error":         "max-age=10, stale-if-error=60",
			"disconnected":           "max-age=10",
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					upstream := saying("Cache-Control: "+says, func(*http.Request) string { return "x" })
					rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: time.Second})(upstream)
					strict := func(header ...string) *http.Request { return get(t, header...).WithContext(exclude(t.Context())) }
					ask(t, rt, strict())
					resp, _ := ask(t, rt, strict())
					assert.Equal(t, "cache", sourceOf(resp), "what is fresh")
					time.Sleep(10 * time.Second)
					upstream.respond = func(*http.Request) (*http.Response, error) {
						time.Sleep(2 * time.Second)
						return nil, errDown
					}
					for _, header := range []string{"", "Cache-Control: max-stale"} {
						start := time.Now()
						_, err := rt.RoundTrip(strict(header))
						assert.ErrorIs(t, err, errDown)
						assert.Equal(t, 2*time.Second, time.Since(start))
					}
					resp, _ = ask(t, rt, get(t))
					assert.Equal(t, "stale", sourceOf(resp), "others do not mind")
					time.Sleep(time.Minute)
				})
			})
		}
	}
}

// A refresh that failed does not bring back what was forgotten meanwhile.
func TestHTTPFailedRefreshBringsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying(whileRevalidate+"\nEtag: \"a\"", func(*http.Request) string { return "old" })
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		time.Sleep(15 * time.Second)
		upstream.respond = func(req *http.Request) (*http.Response, error) {
			if req.Header.Get("Cache-Control") == "" {
				time.Sleep(2 * time.Second)
				return nil, errDown
			}
			resp := response(http.StatusNotModified, "")
			lines(resp.Header, "Cache-Control: no-store")
			return resp, nil
		}
		ask(t, rt, get(t))
		time.Sleep(time.Second)
		ask(t, rt, get(t, "Cache-Control: no-cache"))
		time.Sleep(2 * time.Second)
		_, err := rt.RoundTrip(get(t))
		assert.ErrorIs(t, err, errDown)
	})
}

// A 304 about something else changes nothing in what is made of the answer that the origin
// gives then: what is gone is given no more, and an error replaces nothing that may stand in.
func TestHTTPAfterA304AboutSomethingElse(t *testing.T) {
	answer := func(status int, changed, control string) transporttest.Step {
		return func(*http.Request) (*http.Response, error) {
			resp := response(status, "answer")
			resp.Header = http.Header{"Last-Modified": {changed}, "Cache-Control": {control}}
			return resp, nil
		}
	}
	const early, late = "Fri, 31 Dec 1999 22:00:00 GMT", "Fri, 31 Dec 1999 23:00:00 GMT"
	for _, tt := range []struct {
		name string
		then transporttest.Step
		want []string // from then on
	}{
		{"gone", answer(http.StatusNotFound, late, "no-store"), []string{"fwd=stale; fwd-status=404", "fwd=uri-miss; fwd-status=503"}},
		{"an error", answer(http.StatusServiceUnavailable, late, "max-age=9"), []string{
			"hit; ttl=-59; detail=stale-if-error", "hit; ttl=-59; detail=stale-if-error",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := cache.HTTP(cache.HTTPConfig{})(transporttest.NewUpstream(
					answer(http.StatusOK, late, "max-age=1, stale-if-error=600"),
					answer(http.StatusNotModified, early, ""), tt.then,
					answer(http.StatusServiceUnavailable, late, "no-store")))
				ask(t, rt, get(t))
				time.Sleep(time.Minute)
				for _, want := range tt.want {
					assert.Equal(t, "sparekey; "+want, status(t, rt, get(t)))
				}
			})
		})
	}
}
