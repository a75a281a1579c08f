package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestPredictionsHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusOK, answer)
			resp.Status = "200 OK"
			resp.Header = http.Header{
				"Content-Type": {"application/json"},
				"Date":         {"Fri, 20 Nov 2026 10:00:00 GMT"},
				"Connection":   {"keep-alive, X-Hop"},
				"Keep-Alive":   {"timeout=5"},
				"X-Hop":        {"1"},
				"Set-Cookie":   {"session=secret"},
				"Cache-Status": {"cdn; fwd=miss", "edge; fwd=miss"},
				"X-Request-Id": {"r-1"},
			}
			return resp, nil
		}}
		store := cache.NewStore(cache.StoreConfig{})
		rt := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{Jitter: -1}, Store: store})(upstream)
		_, text := ask(t, rt, newCall(t, `{"data":"refund please"}`, policy.Call{}))
		assert.Equal(t, answer, text)

		time.Sleep(3500 * time.Millisecond)
		ctx, trail := telemetry.NewContext(t.Context())
		req := newCallContext(t, ctx, `{"data":"refund please"}`, policy.Call{})
		resp, text := ask(t, rt, req)

		assert.Equal(t, answer, text)
		assert.Equal(t, "200 OK", resp.Status)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, int64(len(answer)), resp.ContentLength)
		assert.Same(t, req, resp.Request)
		assert.Equal(t, http.Header{
			"Content-Type":       {"application/json"},
			"Content-Length":     {fmt.Sprint(len(answer))},
			"Date":               {"Fri, 20 Nov 2026 10:00:00 GMT"},
			"X-Request-Id":       {"r-1"},
			"Age":                {"3"},
			"Cache-Status":       {"cdn; fwd=miss, edge; fwd=miss, sparekey; hit; ttl=296"},
			telemetry.HeaderName: {"cache;age=3"},
		}, resp.Header)
		assert.Equal(t, telemetry.Answer{Source: telemetry.Cache, Age: 3500 * time.Millisecond}, trail.Answer())
		assert.EqualValues(t, 1, upstream.calls.Load(), "calls")
		assert.Equal(t, cache.Stats{
			Entries: 1, Bytes: store.Stats().Bytes, Hits: 1, Misses: 1, UncapturedHits: 1,
		}, store.Stats())
		upstream.requireAllClosed(t)
	})
}

func TestPredictionsHitIsTheCallersOwn(t *testing.T) {
	rt := cache.Predictions(cache.PredictionsConfig{})(&service{respond: answering(answer)})
	for range 3 { // the first fills the cache, the others would see what was done to it
		resp, text := ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
		assert.Equal(t, answer, text)
		assert.Equal(t, []string{"application/json"}, resp.Header["Content-Type"])
		resp.Header["Content-Type"][0] = "text/html"
		resp.Header.Set("X-Mine", "1")
		assert.Len(t, resp.Header.Values("X-Mine"), 1)
	}
}

// requestBody notes whether it was read and closed.
type requestBody struct {
	io.Reader
	read, closed bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
}

func (b *requestBody) Close() error {
	b.closed = true
	return nil
}

func TestPredictionsLeavesTheRequestAlone(t *testing.T) {
	const text = `{"data":"x"}`
	rt := cache.Predictions(cache.PredictionsConfig{})(&service{respond: answering(answer)})
	for _, how := range []string{"miss", "hit"} {
		t.Run(how, func(t *testing.T) {
			req := newCall(t, text, policy.Call{})
			own := &requestBody{Reader: strings.NewReader(text)}
			req.Body = own
			before := req.Clone(req.Context())
			ask(t, rt, req)
			assert.True(t, own.closed, "body closed")
			assert.Equal(t, how == "miss", own.read, "body read")
			assert.Equal(t, before.Header, req.Header)
			assert.Equal(t, before.URL, req.URL)
			assert.Same(t, own, req.Body)
		})
	}
}

func TestPredictionsClosesTheBodyOnAPanicBelow(t *testing.T) {
	rt := cache.Predictions(cache.PredictionsConfig{})(transportFunc(func(*http.Request) (*http.Response, error) {
		panic("below")
	}))
	for _, text := range []string{`{"data":"x"}`, `{"stream":true}`} {
		req := newCall(t, text, policy.Call{})
		own := &requestBody{Reader: strings.NewReader(text)}
		req.Body = own
		assert.PanicsWithValue(t, "below", func() { _, _ = rt.RoundTrip(req) })
		assert.True(t, own.closed, "body closed")
	}
}

func TestPredictionsLifetime(t *testing.T) {
	const ttl, pinnedTTL, stale = 10 * time.Minute, 3 * time.Hour, time.Hour
	cfg := policy.Cache{TTL: ttl, PinnedTTL: pinnedTTL, StaleIfError: stale, Jitter: -1}
	defaults := policy.Cache{Jitter: -1}
	noStale := cfg
	noStale.StaleIfError = -1
	model := policy.Call{Model: "m1"}
	tests := []struct {
		name   string
		cfg    policy.Cache
		call   policy.Call
		query  string
		age    string // that the answer arrives with
		after  time.Duration
		down   bool
		want   string // the source, "live" for a call that was made and "" for an error
		status string // Cache-Status
	}{
		{name: "fresh to the end", cfg: cfg, after: ttl - 1, want: "cache", status: "sparekey; hit; ttl=0"},
		{name: "not a moment longer", cfg: cfg, after: ttl + 1, want: "live"},
		{name: "pinned by the call", cfg: cfg, call: model, after: pinnedTTL - 1, want: "cache", status: "sparekey; hit; ttl=0"},
		{name: "pinned by the call, over", cfg: cfg, call: model, after: pinnedTTL + 1, want: "live"},
		{name: "pinned by the query", cfg: cfg, query: "modelId=m1", after: pinnedTTL - 1, want: "cache", status: "sparekey; hit; ttl=0"},
		{name: "an empty modelId pins nothing", cfg: cfg, query: "modelId=", after: ttl + 1, want: "live"},
		{name: "no call while fresh", cfg: cfg, after: ttl - 1, down: true, want: "cache", status: "sparekey; hit; ttl=0"},
		{name: "stale at once", cfg: cfg, after: ttl + 1, down: true, want: "stale", status: "sparekey; hit; ttl=-1; detail=stale-if-error"},
		{name: "stale to the end", cfg: cfg, after: ttl + stale - 1, down: true, want: "stale", status: "sparekey; hit; ttl=-3600; detail=stale-if-error"},
		{name: "then no more", cfg: cfg, after: ttl + stale + 1, down: true, want: ""},
		{name: "stale is off", cfg: noStale, after: ttl + 1, down: true, want: ""},
		{name: "a stated age counts", cfg: cfg, age: "600", after: 1, down: true, want: "stale", status: "sparekey; hit; ttl=-1; detail=stale-if-error"},
		{name: "the first of two ages counts", cfg: cfg, age: "600, 0", after: 1, down: true, want: "stale", status: "sparekey; hit; ttl=-1; detail=stale-if-error"},
		{name: "an age beyond all bounds counts", cfg: cfg, age: "99999999999999999999", after: 1, want: "live"},
		{name: "an age that is none does not", cfg: cfg, age: "-600", after: ttl - 1, want: "cache", status: "sparekey; hit; ttl=0"},
		{name: "defaults, fresh", cfg: defaults, after: 5*time.Minute - 1, want: "cache", status: "sparekey; hit; ttl=0"},
		{name: "defaults, not fresh", cfg: defaults, after: 5*time.Minute + 1, want: "live"},
		{name: "defaults, pinned", cfg: defaults, call: model, after: 24*time.Hour - 1, want: "cache", status: "sparekey; hit; ttl=0"},
		{name: "defaults, stale", cfg: defaults, after: 24*time.Hour + 5*time.Minute - 1, down: true, want: "stale", status: "sparekey; hit; ttl=-86400; detail=stale-if-error"},
		{name: "defaults, dropped", cfg: defaults, after: 24*time.Hour + 5*time.Minute + 1, down: true, want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := &service{respond: func(*http.Request) (*http.Response, error) {
					resp := response(http.StatusOK, answer)
					if tt.age != "" {
						resp.Header.Set("Age", tt.age)
					}
					return resp, nil
				}}
				store := cache.NewStore(cache.StoreConfig{})
				rt := cache.Predictions(cache.PredictionsConfig{Cache: tt.cfg, Store: store})(upstream)
				newRequest := func() *http.Request {
					req := newCall(t, `{"data":"x"}`, tt.call)
					req.URL.RawQuery = tt.query
					return req
				}
				ask(t, rt, newRequest())
				if tt.down {
					upstream.respond = failing
				}
				time.Sleep(tt.after)

				if tt.want == "" {
					_, err := rt.RoundTrip(newRequest())
					require.ErrorIs(t, err, errDown)
					assert.Zero(t, store.Stats().Entries, "entries past all use")
					assert.Zero(t, store.Stats().Bytes)
					return
				}
				resp, _ := ask(t, rt, newRequest())
				source, _, _ := strings.Cut(resp.Header.Get(telemetry.HeaderName), ";")
				if tt.want == "live" {
					assert.Empty(t, source)
					assert.EqualValues(t, 2, upstream.calls.Load(), "calls")
					return
				}
				assert.Equal(t, tt.want, source)
				assert.Equal(t, tt.status, resp.Header.Get("Cache-Status"))
			})
		})
	}
}

func TestPredictionsStaleIfErrorByClass(t *testing.T) {
	judge := func(o policy.Outcome) policy.Verdict {
		var class policy.Class
		name := o.Header.Get("X-Class")
		if o.Err != nil {
			name = o.Err.Error()
		}
		if class.UnmarshalText([]byte(name)) != nil {
			return policy.Verdict{Class: policy.OK}
		}
		return policy.Verdict{Class: class}
	}
	for _, class := range policy.Classes() {
		for _, asError := range []bool{false, true} {
			if asError && class == policy.OK {
				continue
			}
			name := class.String() + " response"
			want := class.IsOutage()
			if asError {
				name = class.String() + " error"
				want = want || class == policy.Unknown || class == policy.Canceled // but not by the caller
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					upstream := &service{respond: answering(answer)}
					store := cache.NewStore(cache.StoreConfig{})
					rt := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{Classify: judge}, Store: store})(upstream)
					ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
					time.Sleep(time.Hour)
					cause := errors.New(class.String())
					upstream.respond = func(*http.Request) (*http.Response, error) {
						if asError {
							return nil, cause
						}
						resp := response(http.StatusTeapot, "live")
						resp.Header.Set("X-Class", class.String())
						return resp, nil
					}

					for range 2 { // the answer outlives its use
						ctx, trail := telemetry.NewContext(t.Context())
						resp, err := rt.RoundTrip(newCallContext(t, ctx, `{"data":"x"}`, policy.Call{}))
						switch {
						case want:
							require.NoError(t, err)
							text, _ := io.ReadAll(resp.Body)
							assert.Equal(t, answer, string(text))
							assert.Equal(t, "3600", resp.Header.Get("Age"))
							assert.Equal(t, telemetry.Answer{Source: telemetry.Stale, Age: time.Hour, Cause: class}, trail.Answer())
						case asError:
							require.ErrorIs(t, err, cause)
						default:
							require.NoError(t, err)
							text, _ := io.ReadAll(resp.Body)
							assert.Equal(t, "live", string(text))
							assert.Empty(t, resp.Header.Get("Cache-Status"))
						}
						if resp != nil {
							require.NoError(t, resp.Body.Close())
						}
					}
					hits, stale, misses, _ := lookups(store)
					assert.Zero(t, hits)
					if want {
						assert.EqualValues(t, 2, stale)
						assert.EqualValues(t, 1, misses)
					} else {
						assert.Zero(t, stale)
						assert.EqualValues(t, 3, misses)
					}
					upstream.requireAllClosed(t)
				})
			})
		}
	}
}

func TestPredictionsStaleAndTheCallersContext(t *testing.T) {
	waiting := func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	}
	overloaded := func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return response(http.StatusServiceUnavailable, "{}"), nil
	}
	errGone := errors.New("the user left")
	tests := []struct {
		name    string
		respond func(*http.Request) (*http.Response, error)
		cancel  func(context.CancelCauseFunc) // called after a second; nil leaves it to the deadline of 2 s
		want    string                        // source, or "" for an error
	}{
		{"deadline", waiting, nil, "stale"},
		{"deadline and an outage", overloaded, nil, "stale"},
		{"cancellation", waiting, func(c context.CancelCauseFunc) { c(nil) }, ""},
		{"cancellation with a cause", waiting, func(c context.CancelCauseFunc) { c(errGone) }, ""},
		{"cancellation and an outage", overloaded, func(c context.CancelCauseFunc) { c(nil) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := &service{respond: answering(answer)}
				rt := cache.Predictions(cache.PredictionsConfig{})(upstream)
				ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
				time.Sleep(time.Hour)

				upstream.respond = tt.respond
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				ctx, stop := context.WithTimeout(ctx, 2*time.Second)
				defer stop()
				if tt.cancel != nil {
					time.AfterFunc(time.Second, func() { tt.cancel(cancel) })
				}
				resp, err := rt.RoundTrip(newCallContext(t, ctx, `{"data":"x"}`, policy.Call{}))
				if tt.want == "" {
					require.ErrorIs(t, err, context.Cause(ctx))
					return
				}
				require.NoError(t, err)
				text, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, answer, string(text))
				assert.Equal(t, "stale;age=3602", ageOnly(resp.Header.Get(telemetry.HeaderName)))
				synctest.Wait()
				upstream.requireAllClosed(t)
			})
		})
	}
}

// ageOnly cuts what follows the age from a field.
func ageOnly(field string) string {
	parts := strings.SplitN(field, ";", 3)
	return strings.Join(parts[:min(2, len(parts))], ";")
}

// endless is a body that sends a byte a second and never ends.
type endless struct{ closed chan struct{} }

func (e *endless) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return copy(p, "x"), nil
	case <-e.closed:
		return 0, http.ErrBodyReadAfterClose
	}
}

func (e *endless) Close() error {
	select {
	case <-e.closed:
	default:
		close(e.closed)
	}
	return nil
}

func TestPredictionsStaleDoesNotWaitForTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: answering(answer)}
		rt := cache.Predictions(cache.PredictionsConfig{})(upstream)
		ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
		time.Sleep(time.Hour)
		upstream.respond = func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusBadGateway, "")
			resp.Body, resp.ContentLength = &endless{closed: make(chan struct{})}, -1
			return resp, nil
		}
		start := time.Now()
		_, text := ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
		assert.Equal(t, answer, text)
		assert.LessOrEqual(t, time.Since(start), 250*time.Millisecond, "two looks at the failure, and its discarding")
		upstream.requireAllClosed(t)
	})
}

func TestPredictionsRefresh(t *testing.T) {
	upstream := &service{respond: answering(`"old"`)}
	rt := cache.Predictions(cache.PredictionsConfig{})(upstream)
	refresh := newCall(t, `{"data":"x"}`, policy.Call{})
	refresh.Header.Set("Cache-Control", "No-Cache")
	ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))

	upstream.respond = failing
	_, err := rt.RoundTrip(refresh.Clone(refresh.Context()))
	require.ErrorIs(t, err, errDown, "neither fresh nor stale")

	upstream.respond = answering(`"new"`)
	_, text := ask(t, rt, refresh)
	assert.Equal(t, `"new"`, text)
	_, text = ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
	assert.Equal(t, `"new"`, text, "the new answer takes the old one's place")
	assert.EqualValues(t, 3, upstream.calls.Load(), "calls")
}

func TestPredictionsBypass(t *testing.T) {
	largest := `{"data":"` + strings.Repeat("x", 1<<20-len(`{"data":""}`)) + `"}`
	large := largest + " "
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	tests := []struct {
		name   string
		body   string
		change func(*http.Request)
		want   bool
	}{
		{name: "plain", body: `{"data":"x"}`, want: false},
		{name: "no body", body: ``, want: false},
		{name: "GET", change: func(r *http.Request) { r.Method = http.MethodGet }, want: true},
		{name: "PUT", change: func(r *http.Request) { r.Method = http.MethodPut }, want: true},
		{name: "no GetBody", body: `{}`, change: func(r *http.Request) { r.GetBody = nil }, want: true},
		{name: "GetBody fails", body: `{}`, change: func(r *http.Request) {
			r.Body = streamed{r.Body}
			r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
		}, want: true},
		{name: "GetBody fails, and the body is in memory", body: `{}`, change: func(r *http.Request) {
			r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
		}, want: false},
		{name: "GetBody gives another body", body: `{}`, change: func(r *http.Request) {
			r.Body = streamed{r.Body}
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(`{"data":"y"}`)), nil }
		}, want: true},
		{name: "the body in memory is not the announced one", body: `{"data":"x"}`, change: func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(`{}`)) // as one of which a part is read
			r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
		}, want: true},
		{name: "no body at all", change: func(r *http.Request) { r.Body, r.GetBody = nil, nil }, want: false},
		{name: "the copy of the body breaks off", body: `{}`, change: func(r *http.Request) {
			r.Body = streamed{r.Body}
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(errDown)), nil }
		}, want: true},
		{name: "nothing in the body", change: func(r *http.Request) { r.Body, r.GetBody = http.NoBody, nil }, want: false},
		{name: "largest", body: largest, want: false},
		{name: "largest, length unknown", body: largest, change: func(r *http.Request) { r.ContentLength = -1 }, want: false},
		{name: "large", body: large, want: true},
		{name: "large, length unknown", body: large, change: func(r *http.Request) { r.ContentLength = -1 }, want: true},
		{name: "large, length unknown, its end told at once", body: large, change: func(r *http.Request) {
			r.ContentLength = -1
			again := r.GetBody
			r.GetBody = func() (io.ReadCloser, error) {
				rc, err := again()
				return io.NopCloser(iotest.DataErrReader(rc)), err
			}
		}, want: true},
		{name: "length unknown", body: `{}`, change: func(r *http.Request) { r.ContentLength = -1 }, want: false},
		{name: "Range", body: `{}`, change: func(r *http.Request) { r.Header.Set("Range", "bytes=0-1") }, want: true},
		{name: "Upgrade", body: `{}`, change: func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }, want: true},
		{name: "Content-Encoding", body: `{}`, change: func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, want: true},
		{name: "no-store", body: `{}`, change: func(r *http.Request) { r.Header.Set("Cache-Control", "max-age=0, No-Store") }, want: true},
		{name: "name in another case", body: `{}`, change: func(r *http.Request) { r.Header["cache-control"] = []string{"no-store"} }, want: true},
		{name: "event stream accepted", body: `{}`, change: func(r *http.Request) { r.Header.Set("Accept", "application/json, Text/Event-Stream") }, want: true},
		{name: "stream", body: `{"model":"m","stream":true}`, want: true},
		{name: "stream, spelled otherwise", body: "{\"\\u0073tream\" :\ttrue}", want: true},
		{name: "stream, no Content-Type", body: `{"stream":true}`, change: func(r *http.Request) { r.Header.Del("Content-Type") }, want: true},
		{name: "no stream", body: `{"stream":false}`, want: false},
		{name: "stream deeper down", body: `{"data":{"stream":true}}`, want: false},
		{name: "stream twice", body: `{"stream":true,"stream":false}`, want: true},
		{name: "stream twice, in other cases", body: `{"Stream":true,"stream":false}`, want: true},
		{name: "stream twice, no Content-Type", body: `{"stream":true,"stream":false}`, change: func(r *http.Request) { r.Header.Del("Content-Type") }, want: true},
		{name: "stream beside another name twice", body: `{"a":1,"a":2,"stream":true}`, want: true},
		{name: "stream in text", body: `live stream`, change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, want: false},
		{name: "stream in text that is JSON, too", body: `"live stream"`, change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, want: false},
		{name: "stream in what is nearly JSON", body: `{"stream":true,}`, want: true},
		{name: "too deep", body: deep, want: false},
		{name: "externalId", body: `{"data":"x","externalId":"t-1"}`, want: true},
		{name: "externalId, a number", body: `{"externalId":1}`, want: true},
		{name: "externalId, other case", body: `{"ExternalID":"t-1"}`, want: true},
		{name: "externalId twice, in other cases", body: `{"ExternalID":"t-1","externalId":null}`, want: true},
		{name: "externalId twice, as a form", body: `{"externalId":"t-1","externalId":""}`, change: func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, want: true},
		{name: "externalId null", body: `{"externalId":null}`, want: false},
		{name: "externalId empty", body: `{"externalId":""}`, want: false},
		{name: "externalId in broken text", body: "{\"data\":\"\xff\",\"externalId\":\"t-1\"}", want: true},
		{name: "externalId in broken text, spelled otherwise", body: "{\"data\":\"\xff\",\"external\\u0049d\":\"t-1\"}", want: true},
		{name: "broken text with an escape of no letter", body: "{\"data\":\"\xff\\u20ac\"}", want: false},
		{name: "broken text with an escape of no letter of those", body: "{\"data\":\"\xff\\u00f6\\u0026\\u000a\"}", want: false},
		{name: "stream beside another name twice, spelled otherwise", body: `{"a":1,"a":2,"\u0053tream":true}`, want: true},
		{name: "stream beside another name twice, its r an escape", body: `{"a":1,"a":2,"st\u0072eam":true}`, want: true},
		{name: "stream beside another name twice, its e an escape", body: `{"a":1,"a":2,"str\u0065am":true}`, want: true},
		{name: "stream beside another name twice, with a long s", body: `{"a":1,"a":2,"ſtream":true}`, want: true},
		{name: "stream beside another name twice, with an escaped long s", body: `{"a":1,"a":2,"\u017Ftream":true}`, want: true},
		{name: "externalId in the query", body: `{}`, change: func(r *http.Request) { r.URL.RawQuery = "capture=true&externalid=t-1" }, want: true},
		{name: "empty externalId in the query", body: `{}`, change: func(r *http.Request) { r.URL.RawQuery = "externalId=" }, want: false},
		{name: "externalId in the query after an empty one", body: `{}`, change: func(r *http.Request) { r.URL.RawQuery = "externalId=&externalId=t-1" }, want: true},
		{name: "not replayable", body: `{}`, change: func(r *http.Request) {
			*r = *r.WithContext(policy.WithCall(r.Context(), policy.Call{Function: "f"}))
		}, want: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			upstream := &service{respond: answering(answer)}
			store := cache.NewStore(cache.StoreConfig{})
			rt := cache.Predictions(cache.PredictionsConfig{Store: store})(upstream)
			for range 2 {
				req := newCall(t, tt.body, policy.Call{})
				if tt.change != nil {
					tt.change(req)
				}
				_, text := ask(t, rt, req)
				assert.Equal(t, answer, text)
			}
			hits, _, misses, bypasses := lookups(store)
			if tt.want {
				assert.EqualValues(t, 2, bypasses)
				assert.Zero(t, hits+misses)
				assert.Zero(t, store.Stats().Entries)
			} else {
				assert.EqualValues(t, 1, hits)
				assert.EqualValues(t, 1, misses)
				assert.Zero(t, bypasses)
			}
		})
	}
}

func TestPredictionsKeeps(t *testing.T) {
	field := func(name, value string) func(*http.Response) {
		return func(r *http.Response) { r.Header.Set(name, value) }
	}
	tests := []struct {
		name   string
		status int // zero means 200
		body   string
		change func(*http.Response)
		want   bool
	}{
		{name: "plain", body: answer, want: true},
		{name: "201", status: http.StatusCreated, body: answer},
		{name: "204", status: http.StatusNoContent},
		{name: "206", status: http.StatusPartialContent, body: answer},
		{name: "301", status: http.StatusMovedPermanently, body: answer},
		{name: "400", status: http.StatusBadRequest, body: answer},
		{name: "500", status: http.StatusInternalServerError, body: answer},
		{name: "empty", body: ""},
		{name: "no body", change: func(r *http.Response) { r.Body = http.NoBody }},
		{name: "broken JSON", body: `{"labelName":"bil`},
		{name: "broken JSON of a suffix", body: `{`, change: field("Content-Type", "application/problem+json; charset=utf-8")},
		{name: "no JSON and not said to be", body: `{`, change: field("Content-Type", "text/plain"), want: true},
		{name: "encoded as the caller asked", body: "\x1f\x8b", change: field("Content-Encoding", "gzip"), want: true},
		{name: "event stream", body: "data: x\n\n", change: field("Content-Type", "text/event-stream; charset=utf-8")},
		{name: "no-store", body: answer, change: field("Cache-Control", `private="x", NO-STORE`)},
		{name: "no-store within a quoted text", body: answer, change: field("Cache-Control", `private="x, no-store"`), want: true},
		{name: "private", body: answer, change: field("Cache-Control", "private, max-age=0"), want: true},
		{name: "stand-in from below", body: answer, change: field(telemetry.HeaderName, "rule")},
		{name: "varies by everything", body: answer, change: field("Vary", "*")},
		{name: "varies by a field that is not compared", body: answer, change: field("Vary", "Accept, User-Agent")},
		{name: "varies by any other field", body: answer, change: field("Vary", "Accept, X-Tenant"), want: true},
		{name: "varies by known fields", body: answer, change: field("Vary", "accept-encoding, Origin,Authorization"), want: true},
		{name: "trailers", body: answer, change: func(r *http.Response) { r.Trailer = http.Header{"X-Sum": nil} }},
		{name: "chunked", body: answer, change: func(r *http.Response) {
			r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
		}, want: true},
		{name: "HTTP/2, no length", body: answer, change: func(r *http.Response) {
			r.ContentLength, r.Proto, r.ProtoMajor, r.ProtoMinor = -1, "HTTP/2.0", 2, 0
		}, want: true},
		{name: "decompressed", body: answer, change: func(r *http.Response) {
			r.ContentLength, r.Uncompressed = -1, true
		}, want: true},
		{name: "ends with the connection", body: answer, change: func(r *http.Response) {
			r.ContentLength, r.ProtoMinor = -1, 0
		}},
		{name: "shorter than announced", body: answer, change: func(r *http.Response) { r.ContentLength++ }},
		{name: "longer than announced", body: answer, change: func(r *http.Response) { r.ContentLength-- }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			upstream := &service{respond: func(*http.Request) (*http.Response, error) {
				resp := response(max(tt.status, http.StatusOK), tt.body)
				if tt.change != nil {
					tt.change(resp)
				}
				return resp, nil
			}}
			store := cache.NewStore(cache.StoreConfig{})
			rt := cache.Predictions(cache.PredictionsConfig{Store: store})(upstream)
			_, first := ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
			resp, second := ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
			assert.Equal(t, tt.body, first)
			assert.Equal(t, tt.body, second)
			if tt.want {
				assert.EqualValues(t, 1, upstream.calls.Load(), "calls")
				assert.Equal(t, 1, store.Stats().Entries)
				assert.EqualValues(t, len(tt.body), resp.ContentLength)
				assert.Equal(t, fmt.Sprint(len(tt.body)), resp.Header.Get("Content-Length"))
			} else {
				assert.EqualValues(t, 2, upstream.calls.Load(), "calls")
				assert.Zero(t, store.Stats().Entries)
			}
			upstream.requireAllClosed(t)
		})
	}
}

func TestPredictionsCountsUncapturedHits(t *testing.T) {
	tests := []struct {
		query string
		want  uint64
	}{
		{"", 1}, {"capture=true", 1}, {"capture=", 1}, {"capture=false", 0}, {"Capture=False", 0},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			store := cache.NewStore(cache.StoreConfig{})
			rt := cache.Predictions(cache.PredictionsConfig{Store: store})(&service{respond: answering(answer)})
			for range 2 {
				req := newCall(t, `{"data":"x"}`, policy.Call{})
				req.URL.RawQuery = tt.query
				ask(t, rt, req)
			}
			assert.EqualValues(t, 1, store.Stats().Hits)
			assert.Equal(t, tt.want, store.Stats().UncapturedHits)
		})
	}
}

// Who shared a failure with another missed no sample.
func TestPredictionsCountsNoUncapturedFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memo := cache.NewMemo(cache.PredictionsConfig{})
		rt := memo.Wrap(transportFunc(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return response(http.StatusServiceUnavailable, `{}`), nil
		}))
		go ask(t, rt, newCall(t, `{}`, policy.Call{}))
		synctest.Wait()
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		stats := memo.Stats()
		assert.EqualValues(t, 1, stats.Joined)
		assert.Zero(t, stats.UncapturedHits)
	})
}

func TestPredictionsSettings(t *testing.T) {
	t.Run("invalid ones panic and say which", func(t *testing.T) {
		for field, cfg := range map[string]policy.Cache{
			"Cache.MaxBytes":      {MaxBytes: -1},
			"Cache.MaxEntryBytes": {MaxBytes: 1 << 20, MaxEntryBytes: 2 << 20},
			"Cache.TTL":           {TTL: -1},
			"Cache.PinnedTTL":     {PinnedTTL: -1},
		} {
			func() {
				defer func() { assert.Contains(t, fmt.Sprint(recover()), field) }()
				cache.Predictions(cache.PredictionsConfig{Cache: cfg})
			}()
		}
		assert.Panics(t, func() { cache.NewStore(cache.StoreConfig{MaxBytes: -1}) })
	})
	t.Run("off leaves the layer out", func(t *testing.T) {
		upstream := &service{}
		rt := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{Off: true}})(upstream)
		assert.Same(t, upstream, rt)
	})
	t.Run("a store can be shared", func(t *testing.T) {
		upstream := &service{respond: answering(answer)}
		store := cache.NewStore(cache.StoreConfig{})
		for range 2 {
			rt := cache.Predictions(cache.PredictionsConfig{Store: store})(upstream)
			ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
		}
		assert.EqualValues(t, 1, upstream.calls.Load(), "calls")
	})
	t.Run("a layer does not keep stale answers for longer than it says", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			upstream := &service{respond: answering(answer)}
			store := cache.NewStore(cache.StoreConfig{})
			patient := cache.Predictions(cache.PredictionsConfig{Store: store})(upstream)
			strict := cache.Predictions(cache.PredictionsConfig{Store: store, Cache: policy.Cache{StaleIfError: -1}})(upstream)
			ask(t, patient, newCall(t, `{"data":"x"}`, policy.Call{}))
			time.Sleep(time.Hour)
			upstream.respond = failing
			_, err := strict.RoundTrip(newCall(t, `{"data":"x"}`, policy.Call{}))
			require.ErrorIs(t, err, errDown)
			_, text := ask(t, patient, newCall(t, `{"data":"x"}`, policy.Call{}))
			assert.Equal(t, answer, text)
		})
	})
}

// What a Memo finds in a shared store stands in for as long as both it and the one that
// stored it allow.
func TestPredictionsWindowsOfASharedStore(t *testing.T) {
	const fresh = 5 * time.Minute
	tests := []struct {
		name         string
		stored, asks time.Duration // StaleIfError
		after        time.Duration // the end of the lifetime
		refused      bool          // at once; else the failure takes a minute
		want         error         // nil for the answer
	}{
		{"within both", time.Hour, time.Hour, time.Hour - time.Minute - 1, false, nil},
		{"past that of who stored it, by the time of the failure", time.Hour, 2 * time.Hour, time.Hour - time.Minute, false, errDown},
		{"past that of who asks, by the time of the failure", 2 * time.Hour, time.Hour, time.Hour - time.Minute, false, errDown},
		{"refused within both", 2 * time.Hour, time.Hour, time.Hour - 1, true, nil},
		{"refused past that of who asks", 2 * time.Hour, time.Hour, time.Hour, true, errDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := cache.NewStore(cache.StoreConfig{})
				upstream := &refusing{service: service{respond: answering(answer)}}
				with := func(staleIfError time.Duration) http.RoundTripper {
					return cache.Predictions(cache.PredictionsConfig{
						Store: store, Cache: policy.Cache{Jitter: -1, StaleIfError: staleIfError},
					})(upstream)
				}
				ask(t, with(tt.stored), newCall(t, `{}`, policy.Call{}))
				time.Sleep(fresh + tt.after)
				upstream.respond = func(*http.Request) (*http.Response, error) {
					time.Sleep(time.Minute)
					return nil, errDown
				}
				if tt.refused {
					upstream.refusal = &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errDown}
				}
				resp, err := with(tt.asks).RoundTrip(newCall(t, `{}`, policy.Call{}))
				require.ErrorIs(t, err, tt.want)
				if err == nil {
					require.NoError(t, resp.Body.Close())
				}
			})
		})
	}
}

// idle is a transport with connections to close.
type idle struct {
	service
	closes int
}

func (i *idle) CloseIdleConnections() { i.closes++ }

func TestPredictionsForwardsCloseIdleConnections(t *testing.T) {
	upstream := &idle{}
	client := &http.Client{Transport: cache.Predictions(cache.PredictionsConfig{})(upstream)}
	client.CloseIdleConnections()
	assert.Equal(t, 1, upstream.closes)
	(&http.Client{Transport: cache.Predictions(cache.PredictionsConfig{})(&service{})}).CloseIdleConnections()
}

// A failure is for all who ask, unless it is too long to wait for its readers as a
// whole, ends in trailers or comes bit by bit.
func TestPredictionsFailuresForAll(t *testing.T) {
	tests := []struct {
		name   string
		status int
		size   int
		change func(*http.Response)
		calls  int64
	}{
		{"short", http.StatusServiceUnavailable, 1 << 10, nil, 1},
		{"long", http.StatusServiceUnavailable, 1<<10 + 1, nil, 3},
		{"with trailers", http.StatusServiceUnavailable, 1 << 10, func(resp *http.Response) { resp.Trailer = http.Header{"X-End": nil} }, 3},
		{"a stream", http.StatusServiceUnavailable, 1 << 10, func(resp *http.Response) { resp.Header.Set("Content-Type", "text/event-stream") }, 3},
		{"400", http.StatusBadRequest, 1 << 10, nil, 1},
		{"302, neither an answer nor a failure", http.StatusFound, 1 << 10, nil, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := &service{respond: func(*http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					resp := response(tt.status, strings.Repeat("x", tt.size))
					if tt.change != nil {
						tt.change(resp)
					}
					return resp, nil
				}}
				rt := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{MaxEntryBytes: 1 << 10}})(upstream)
				var group sync.WaitGroup
				for range 3 {
					group.Go(func() {
						_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
						assert.Len(t, text, tt.size)
					})
				}
				group.Wait()
				assert.Equal(t, tt.calls, upstream.calls.Load(), "calls")
			})
		})
	}
}

// So is an answer that was found to be cut short.
func TestPredictionsBrokenForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		rt := cache.Predictions(cache.PredictionsConfig{})(transportFunc(func(req *http.Request) (*http.Response, error) {
			calls.Add(1)
			_ = req.Body.Close()
			resp, err := transporttest.After(time.Second, transporttest.Cut(http.StatusOK, "bill"))(req)
			body.Buffer(resp, 1<<10)
			return resp, err
		}))
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				resp, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
				if assert.NoError(t, err) {
					_, err = io.ReadAll(resp.Body)
					assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
					_ = resp.Body.Close()
				}
			})
		}
		group.Wait()
		assert.EqualValues(t, 1, calls.Load())
	})
}

// A lifetime counts from the arrival of the header, also for one who joined later and
// was the first to read all of the answer.
func TestPredictionsAgeOfWhatWasJoinedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := transporttest.Stream(http.StatusOK, []transporttest.Chunk{{Data: "bill"}, {After: 10 * time.Second, Data: "ing"}})
		up := transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
			resp, err := stream(req)
			resp.TransferEncoding = []string{"chunked"}
			return resp, err
		})
		rt := cache.Predictions(cache.PredictionsConfig{})(up)
		first, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		require.NoError(t, first.Body.Close())
		resp, _ := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "10", resp.Header.Get("Age"))
		assert.Equal(t, 1, up.Calls())
	})
}

// An answer that depends on the credentials is not kept where an identity stands for
// them, be it that of several accounts.
func TestPredictionsVaryingByCredentials(t *testing.T) {
	for _, name := range []string{"Authorization", "cookie", "X-Api-Key"} {
		for identity, calls := range map[string]int64{"": 1, "me": 2} {
			upstream := &service{respond: func(*http.Request) (*http.Response, error) {
				resp := response(http.StatusOK, answer)
				resp.Header.Set("Vary", "Accept, "+name)
				return resp, nil
			}}
			rt := cache.Predictions(cache.PredictionsConfig{})(upstream)
			for range 2 {
				ask(t, rt, newCall(t, `{}`, policy.Call{Identity: identity}))
			}
			assert.Equal(t, calls, upstream.calls.Load(), "Vary: %s for %q", name, identity)
		}
	}
}

// Transports other than that of net/http may spell the names of an answer's fields in any
// way.
func TestPredictionsReadFieldNamesInAnyCase(t *testing.T) {
	tests := []struct {
		name, value string
		kept        bool
	}{
		{"cache-control", "no-store", false},
		{"vary", "User-Agent", false},
		{"content-type", "text/event-stream", false},
		{"sparekey-answer", "stale", false},
		{"age", "301", false},
		{"set-cookie", "a=b", true},
		{"connection", "X-Odd", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := &service{respond: func(*http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					resp := response(http.StatusOK, answer)
					resp.Header.Del("Content-Type")
					resp.Header[tt.name] = []string{tt.value}
					resp.Header["x-odd"] = []string{"odd"}
					return resp, nil
				}}
				rt := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{TTL: 5 * time.Minute, Jitter: -1}})(upstream)
				for n := range 2 {
					go func() {
						time.Sleep(time.Duration(n)) // the first goes first
						resp, _ := ask(t, rt, newCall(t, `{}`, policy.Call{}))
						if n == 1 && tt.name == "set-cookie" {
							assert.Empty(t, resp.Header[tt.name], "the other one's")
							assert.Empty(t, resp.Header.Values(tt.name))
						}
					}()
				}
				time.Sleep(5 * time.Second)
				before := upstream.calls.Load()
				resp, _ := ask(t, rt, newCall(t, `{}`, policy.Call{}))
				assert.Equal(t, tt.kept, upstream.calls.Load() == before)
				if tt.kept {
					assert.Empty(t, resp.Header[tt.name])
					assert.Empty(t, resp.Header.Values(tt.name))
					assert.Equal(t, tt.name != "connection", resp.Header.Get("X-Odd") == "odd")
				}
			})
		})
	}
}

// Who wants a live answer is counted as one for whom there was none in memory.
func TestPredictionsLiveAnswersAreMisses(t *testing.T) {
	store := cache.NewStore(cache.StoreConfig{})
	rt := cache.Predictions(cache.PredictionsConfig{Store: store})(&service{respond: answering(answer)})
	for range 2 {
		req := newCall(t, `{"data":"a"}`, policy.Call{})
		req.Header.Set("Cache-Control", "no-cache")
		ask(t, rt, req)
	}
	hits, stale, misses, bypasses := lookups(store)
	assert.Equal(t, [4]uint64{0, 0, 2, 0}, [4]uint64{hits, stale, misses, bypasses})
}
