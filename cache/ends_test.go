package cache_test

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
)

// asked is a request's body that knows whether it is closed.
type asked struct {
	io.Reader
	closed atomic.Bool
}

func (b *asked) Close() error {
	b.closed.Store(true)
	return nil
}

// endings are ways not to return.
var endings = map[string]func(){"panic": func() { panic("oops") }, "exit": runtime.Goexit}

// ended calls f on a goroutine of its own and reports whether that came back from
// it, rather than by a panic or by runtime.Goexit.
func ended(f func()) (normally bool) {
	done := make(chan bool)
	go func() {
		returned := false
		defer func() {
			_ = recover()
			done <- returned
		}()
		f()
		returned = true
	}()
	return <-done
}

// A func of the user's that does not return leaves neither the request's body open,
// nor a response's, and the cache as it was.
func TestEndsOfUsersFuncs(t *testing.T) {
	for how, end := range endings {
		hooks := map[string]struct {
			method string
			layer  func(armed *atomic.Bool) cache.Layer
			change func(req *http.Request, armed *atomic.Bool)
		}{
			"Identity of a GET":  {method: http.MethodGet, layer: identity(end)},
			"Identity of a POST": {method: http.MethodPost, layer: identity(end)},
			"GetBody": {method: http.MethodPost, layer: func(*atomic.Bool) cache.Layer {
				return cache.Predictions(cache.PredictionsConfig{})
			}, change: func(req *http.Request, armed *atomic.Bool) {
				get := req.GetBody
				req.GetBody = func() (io.ReadCloser, error) {
					if armed.Load() {
						end()
					}
					return get()
				}
			}},
			"Classify": {method: http.MethodPost, layer: func(armed *atomic.Bool) cache.Layer {
				return cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{Classify: func(o policy.Outcome) policy.Verdict {
					if armed.Load() {
						end()
					}
					return policy.Classify(o)
				}}})
			}},
		}
		for name, tt := range hooks {
			t.Run(name+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					up := &service{respond: answering(answer)}
					var armed atomic.Bool
					rt := tt.layer(&armed)(up)
					send := func() (*asked, bool) {
						req := newCall(t, `{"data":"x"}`, policy.Call{})
						req.Method = tt.method
						body := &asked{Reader: strings.NewReader(`{"data":"x"}`)}
						req.Body = body
						if tt.change != nil {
							tt.change(req, &armed)
						}
						return body, ended(func() { ask(t, rt, req) })
					}
					armed.Store(true)
					body, normally := send()
					synctest.Wait()
					assert.False(t, normally)
					assert.True(t, body.closed.Load(), "the request's body is closed")
					up.requireAllClosed(t)

					armed.Store(false)
					body, normally = send()
					assert.True(t, normally, "the next one is served")
					assert.True(t, body.closed.Load())
					synctest.Wait()
					up.requireAllClosed(t)
				})
			})
		}
	}
}

// A GetBody that does not return when the answer is to be fetched behind the caller ends
// his call, and nothing else: the next one has it fetched.
func TestEndsBehindTheCaller(t *testing.T) {
	for how, end := range endings {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &service{respond: answering(answer)}
				memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{TTL: time.Minute, StaleWhileRevalidate: time.Hour}})
				rt := memo.Wrap(up)
				ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
				time.Sleep(2 * time.Minute)

				req := newCall(t, `{"data":"x"}`, policy.Call{})
				body := &asked{Reader: strings.NewReader(`{"data":"x"}`)}
				copies, get := 0, req.GetBody
				req.Body, req.GetBody = body, func() (io.ReadCloser, error) {
					if copies++; copies > 1 { // the first is to find the answer
						end()
					}
					return get()
				}
				assert.False(t, ended(func() { ask(t, rt, req) }))
				assert.True(t, body.closed.Load())
				assert.EqualValues(t, 1, up.calls.Load())

				time.Sleep(2 * time.Minute) // for longer than after a failure
				ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
				require.NoError(t, memo.Close())
				assert.EqualValues(t, 2, up.calls.Load())
			})
		})
	}
}

// identity returns a cache whose Identity ends.
func identity(end func()) func(armed *atomic.Bool) cache.Layer {
	return func(armed *atomic.Bool) cache.Layer {
		return cache.HTTP(cache.HTTPConfig{Identity: func(*http.Request) (string, bool) {
			if armed.Load() {
				end()
			}
			return "me", true
		}})
	}
}

// A transport that does not return fails the caller whose request it had, the same way
// or as a panic, and nobody who asked the same.
func TestEndsOfTheTransport(t *testing.T) {
	layers := map[string]cache.Layer{
		"HTTP":        cache.HTTP(cache.HTTPConfig{}),
		"predictions": cache.Predictions(cache.PredictionsConfig{}),
		"behind":      cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{TTL: 1, SoftTimeout: time.Millisecond}}),
	}
	for how, end := range endings {
		for name, layer := range layers {
			t.Run(name+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls atomic.Int64
					up := &service{respond: func(*http.Request) (*http.Response, error) {
						first := calls.Add(1) == 1
						time.Sleep(time.Second)
						if first {
							end()
						}
						resp := response(http.StatusOK, answer)
						resp.Header.Set("Cache-Control", "max-age=60")
						return resp, nil
					}}
					rt := layer(up)
					var served atomic.Int64
					for range 5 {
						go func() {
							req := newCall(t, `{"data":"`+how+`"}`, policy.Call{})
							if name == "HTTP" {
								req = get(t)
								req.URL.Path = "/" + how
							}
							if ended(func() { ask(t, rt, req) }) {
								served.Add(1)
							}
						}()
						synctest.Wait()
					}
					time.Sleep(time.Minute)
					synctest.Wait()
					assert.EqualValues(t, 4, served.Load())
					up.requireAllClosed(t)
				})
			})
		}
	}
}
