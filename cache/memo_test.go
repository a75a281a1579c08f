package cache_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// TestMemoWindows asks at each edge of each window, with each of them on and off
// and a service that answers, is slow, or is down.
func TestMemoWindows(t *testing.T) {
	const fresh, revalidate, spare, soft, slow = time.Hour, 2 * time.Hour, 3 * time.Hour, 2 * time.Second, 5 * time.Second
	edges := []time.Duration{fresh, fresh + revalidate, fresh + spare}
	for mask := range 8 {
		cfg := policy.Cache{TTL: fresh, StaleIfError: -1, Jitter: -1}
		if mask&1 != 0 {
			cfg.StaleWhileRevalidate = revalidate
		}
		if mask&2 != 0 {
			cfg.StaleIfError = spare
		}
		if mask&4 != 0 {
			cfg.SoftTimeout = soft
		}
		for _, state := range []string{"up", "slow", "down"} {
			for _, edge := range edges {
				for _, off := range []time.Duration{-time.Second, 0, time.Second} {
					for _, strict := range []bool{false, true} {
						age := edge + off
						name := fmt.Sprintf("revalidate %v, stale %v, soft %v, %s, at %v, strict %v",
							cfg.StaleWhileRevalidate, cfg.StaleIfError, cfg.SoftTimeout, state, age, strict)
						t.Run(name, func(t *testing.T) {
							want := windowModel(cfg, state, age, strict, slow)
							synctest.Test(t, func(t *testing.T) { checkWindow(t, cfg, state, age, strict, slow, want) })
						})
					}
				}
			}
		}
	}
}

// given is what a caller gets: the source, "live" or "" for an error, the detail,
// how long it took, and how many calls there were in the end.
type given struct {
	source, detail string
	took           time.Duration
	calls          int64
}

// windowModel says in the plainest way what a Memo does.
func windowModel(cfg policy.Cache, state string, age time.Duration, strict bool, slow time.Duration) given {
	past := age - cfg.TTL
	if past < 0 {
		return given{"cache", "", 0, 0}
	}
	if past < cfg.StaleWhileRevalidate && !strict {
		return given{"stale", "stale-while-revalidate", 0, 1}
	}
	spare := past < cfg.StaleIfError && !strict
	switch {
	case state == "slow" && spare && cfg.SoftTimeout > 0 && past+cfg.SoftTimeout < cfg.StaleIfError:
		return given{"stale", "soft-timeout", cfg.SoftTimeout, 1}
	case state == "slow":
		return given{"live", "", slow, 1}
	case state == "down" && spare:
		return given{"stale", "stale-if-error", 0, 1}
	case state == "down":
		return given{"", "", 0, 1}
	}
	return given{"live", "", 0, 1}
}

func checkWindow(t *testing.T, cfg policy.Cache, state string, age time.Duration, strict bool, slow time.Duration, want given) {
	upstream := &service{respond: answering(`"old"`)}
	memo := cache.NewMemo(cache.PredictionsConfig{Cache: cfg})
	rt := memo.Wrap(upstream)
	ask(t, rt, newCall(t, `{}`, policy.Call{}))
	upstream.calls.Store(0)
	upstream.respond = func(req *http.Request) (*http.Response, error) {
		if state == "down" {
			return nil, errDown
		}
		if state == "slow" {
			time.Sleep(slow)
		}
		return response(http.StatusOK, `"new"`), nil
	}
	time.Sleep(age)

	ctx := t.Context()
	if strict {
		ctx = policy.Without(ctx, policy.RungStale)
	}
	start := time.Now()
	resp, err := rt.RoundTrip(newCallContext(t, ctx, `{}`, policy.Call{}))
	got := given{took: time.Since(start)}
	if err == nil {
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		got.source, _, _ = strings.Cut(resp.Header.Get(telemetry.HeaderName), ";")
		_, got.detail, _ = strings.Cut(resp.Header.Get("Cache-Status"), "detail=")
		if got.source == "" {
			got.source = "live"
		}
		assert.Equal(t, got.source == "live", string(text) == `"new"`)
	} else {
		require.ErrorIs(t, err, errDown)
	}
	require.NoError(t, memo.Close())
	got.calls = upstream.calls.Load()
	assert.Equal(t, want, got)
	upstream.requireAllClosed(t)

	if want.calls > 0 && state != "down" { // what was fetched is kept, behind the caller, too
		resp, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, `"new"`, text)
		assert.Equal(t, "cache", sourceOf(resp))
	}
}

func sourceOf(resp *http.Response) string {
	source, _, _ := strings.Cut(resp.Header.Get(telemetry.HeaderName), ";")
	return source
}

func TestMemoMerges(t *testing.T) {
	for _, identities := range []int{1, 10} {
		t.Run(fmt.Sprint(identities, " identities"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					resp := response(http.StatusOK, fmt.Sprintf("%q", policy.CallOf(req.Context()).Identity))
					resp.Header.Set("Set-Cookie", "mine")
					return resp, nil
				}}
				memo := cache.NewMemo(cache.PredictionsConfig{})
				rt := memo.Wrap(upstream)
				var group sync.WaitGroup
				var cookies atomic.Int64
				for i := range 50 {
					group.Go(func() {
						identity := fmt.Sprint("i", i%identities)
						ctx, trail := telemetry.NewContext(t.Context())
						resp, text := ask(t, rt, newCallContext(t, ctx, `{}`, policy.Call{Identity: identity}))
						assert.Equal(t, fmt.Sprintf("%q", identity), text)
						if resp.Header.Get("Set-Cookie") != "" {
							cookies.Add(1)
							assert.Empty(t, resp.Header.Get("Cache-Status"))
							assert.Empty(t, trail.Notes())
						} else {
							assert.Equal(t, "sparekey; fwd=miss; collapsed", resp.Header.Get("Cache-Status"))
							assert.Equal(t, []telemetry.Note{{Layer: "cache", Reason: telemetry.NotAlone}}, trail.Notes())
						}
					})
				}
				group.Wait()
				assert.EqualValues(t, identities, upstream.calls.Load(), "calls")
				assert.EqualValues(t, identities, cookies.Load(), "first callers")
				stats := memo.Stats()
				assert.EqualValues(t, identities, stats.Misses)
				assert.EqualValues(t, 50-identities, stats.Joined)
				assert.EqualValues(t, 50-identities, stats.UncapturedHits)
				assert.Equal(t, identities, stats.Entries)
				assert.Zero(t, stats.InFlight)
			})
		})
	}
}

// What is said to who joined is about his call alone, and not kept though he reads the
// answer first.
func TestMemoKeepsAnswersAsTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cache.Predictions(cache.PredictionsConfig{})(&service{respond: func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return response(http.StatusOK, answer), nil
		}})
		go func() {
			first, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
			if assert.NoError(t, err) {
				assert.NoError(t, first.Body.Close())
			}
		}()
		synctest.Wait()
		resp, _ := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "sparekey; fwd=miss; collapsed", resp.Header.Get("Cache-Status"))
		resp, _ = ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Regexp(t, `^sparekey; hit; ttl=\d+$`, resp.Header.Get("Cache-Status"))
	})
}

// Who joins gets his own header, even of an answer that has none.
func TestMemoMergesAnswersWithoutHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := cache.Predictions(cache.PredictionsConfig{})(transportFunc(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(answer))}, nil
		}))
		go ask(t, rt, newCall(t, `{}`, policy.Call{}))
		synctest.Wait()
		resp, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, answer, text)
		assert.Equal(t, http.Header{"Cache-Status": {"sparekey; fwd=miss; collapsed"}}, resp.Header)
	})
}

// A Memo whose transport is its own comes to the end of what it wraps.
func TestMemoAboveItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: answering(answer)}
		memo := cache.NewMemo(cache.PredictionsConfig{})
		rt := memo.Wrap(memo.Wrap(memo.Wrap(upstream)))
		for _, want := range []string{"", "cache"} {
			resp, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
			assert.Equal(t, answer, text)
			assert.Equal(t, want, sourceOf(resp))
		}
		assert.EqualValues(t, 1, upstream.calls.Load(), "calls")
		synctest.Wait()
		upstream.requireAllClosed(t)
	})
}

// Callers that really run side by side, too, make one call: who looked before the
// answer was stored looks again before he sends.
func TestMemoMergesInParallel(t *testing.T) {
	for range 200 {
		upstream := &service{respond: answering(answer)}
		rt := cache.NewMemo(cache.PredictionsConfig{}).Wrap(upstream)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
				assert.Equal(t, answer, text)
			})
		}
		group.Wait()
		require.EqualValues(t, 1, upstream.calls.Load(), "calls")
	}
}

// TestMemoKeepsIdentitiesApart has callers of several identities, told by the call
// or by what the request carries, ask the same by random schedules of a service
// that answers with who asks, is slow, fails and recovers.
func TestMemoKeepsIdentitiesApart(t *testing.T) {
	const schedules, callers, calls = 200, 8, 6
	for seed := range uint64(schedules) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			var mu sync.Mutex
			draw := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n)
			}
			upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
				select {
				case <-time.After(time.Duration(draw(3000)) * time.Millisecond):
				case <-req.Context().Done():
					return nil, context.Cause(req.Context())
				}
				if draw(4) == 0 {
					return nil, errDown
				}
				return response(http.StatusOK, fmt.Sprintf("%q", whoAsks(req))), nil
			}}
			memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{
				TTL: 2 * time.Second, StaleIfError: 4 * time.Second, StaleWhileRevalidate: time.Second,
				SoftTimeout: time.Second, EagerRefresh: 0.5,
			}})
			rt := memo.Wrap(upstream)
			var group sync.WaitGroup
			for range callers {
				who := draw(4)
				group.Go(func() {
					for range calls {
						time.Sleep(time.Duration(draw(2000)) * time.Millisecond)
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+draw(5000))*time.Millisecond)
						req := identify(newCallContext(t, ctx, `{}`, policy.Call{}), who)
						resp, err := rt.RoundTrip(req)
						if err == nil {
							text, err := io.ReadAll(resp.Body)
							if err == nil {
								assert.Equal(t, fmt.Sprintf("%q", whoAsks(req)), string(text), "seed %d", seed)
							} else {
								assert.Equal(t, ctx.Err(), err, "at the header") // his time was up at once with it
							}
							assert.NoError(t, resp.Body.Close())
						}
						cancel()
					}
				})
			}
			group.Wait()
			require.NoError(t, memo.Close())
			synctest.Wait()
			upstream.requireAllClosed(t)
			assert.Zero(t, memo.Stats().InFlight)
		})
	}
}

// identify makes req one of an identity, which each number tells in another way.
func identify(req *http.Request, who int) *http.Request {
	switch who {
	case 0:
		req.Header.Set("Authorization", "Bearer a")
	case 1:
		req.Header.Set("Cookie", "session=b")
	case 2, 3:
		call := policy.CallOf(req.Context())
		call.Identity = fmt.Sprint("tenant ", who)
		return req.WithContext(policy.WithCall(req.Context(), call))
	}
	return req
}

func whoAsks(req *http.Request) string {
	return req.Header.Get("Authorization") + req.Header.Get("Cookie") + policy.CallOf(req.Context()).Identity
}

func TestMemoStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: answering(answer)}
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{Jitter: -1}, HandOnFailures: true})
		rt := memo.Wrap(upstream)
		call := func() *http.Request { return newCall(t, `{"data":"x"}`, policy.Call{}) }
		_, _, ok := memo.Stale(call(), false)
		assert.False(t, ok, "nothing is known")
		ask(t, rt, call())
		_, _, ok = memo.Stale(call(), true)
		assert.False(t, ok, "what is fresh may be the live answer itself")
		_, about, ok := memo.Stale(call(), false)
		assert.True(t, ok, "it came while the live one was waited for")
		assert.Zero(t, about.Age)
		time.Sleep(5 * time.Minute)
		_, _, ok = memo.Stale(call(), true)
		assert.True(t, ok, "it is past its lifetime")
		time.Sleep(55 * time.Minute)

		upstream.respond = failing
		_, err := rt.RoundTrip(call())
		require.ErrorIs(t, err, errDown, "the failure is handed on")

		before := memo.Stats()
		spent := call()
		spent.Body = nil
		for _, shadow := range []bool{true, false} {
			resp, about, ok := memo.Stale(spent, shadow)
			require.True(t, ok)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, answer, string(text))
			assert.Equal(t, telemetry.Answer{Source: telemetry.Stale, Age: time.Hour}, about)
			assert.Equal(t, "sparekey; hit; ttl=-3300; detail=stale-if-error", resp.Header.Get("Cache-Status"))
			assert.Equal(t, "3600", resp.Header.Get("Age"))
			assert.Empty(t, resp.Header.Get(telemetry.HeaderName), "the ladder marks it")
			if shadow {
				assert.Equal(t, before, memo.Stats())
			} else {
				assert.Equal(t, before.Stale+1, memo.Stats().Stale)
			}
		}
		for name, req := range map[string]*http.Request{
			"excluded":   newCallContext(t, policy.Without(t.Context(), policy.RungStale), `{"data":"x"}`, policy.Call{}),
			"strict":     newCallContext(t, policy.Strict(t.Context()), `{"data":"x"}`, policy.Call{}),
			"another":    newCall(t, `{"data":"y"}`, policy.Call{}),
			"of another": newCall(t, `{"data":"x"}`, policy.Call{Identity: "her"}),
			"own record": newCall(t, `{"data":"x","externalId":"1"}`, policy.Call{}),
			"wants no cache": func() *http.Request {
				req := call()
				req.Header.Set("Cache-Control", "no-cache")
				return req
			}(),
		} {
			_, _, ok := memo.Stale(req, false)
			assert.False(t, ok, name)
		}
		time.Sleep(24 * time.Hour)
		_, _, ok = memo.Stale(call(), false)
		assert.False(t, ok, "it is past all use")
	})
}

func TestMemoOnlyUncaptured(t *testing.T) {
	upstream := &service{respond: answering(answer)}
	memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{OnlyUncaptured: true}})
	rt := memo.Wrap(upstream)
	for _, query := range []string{"", "capture=true", "capture=false"} {
		for range 2 {
			req := newCall(t, `{}`, policy.Call{})
			req.URL.RawQuery = query
			ask(t, rt, req)
		}
	}
	assert.EqualValues(t, 5, upstream.calls.Load(), "calls")
	stats := memo.Stats()
	assert.Equal(t, []uint64{1, 1, 4, 0}, []uint64{stats.Hits, stats.Misses, stats.Bypasses, stats.UncapturedHits})
}

// ticket returns the call that each of purges purges the answer to.
func ticket(t *testing.T) *http.Request {
	t.Helper()
	return newCall(t, `{}`, policy.Call{Function: "tickets", Identity: "me"})
}

var purges = map[string]func(*testing.T, *cache.Memo){
	"all":      func(_ *testing.T, m *cache.Memo) { m.Purge() },
	"function": func(_ *testing.T, m *cache.Memo) { m.PurgeFunction("tickets") },
	"identity": func(_ *testing.T, m *cache.Memo) { m.PurgeIdentity("me") },
	"request":  func(t *testing.T, m *cache.Memo) { require.NoError(t, m.PurgeRequest(ticket(t))) },
}

// What was purged while a call was under way does not stand in for its answer.
func TestMemoPurgedIsNotGiven(t *testing.T) {
	askFailing := func(t *testing.T, soft time.Duration, purge func(*testing.T, *cache.Memo)) (*http.Response, error) {
		upstream := &service{respond: answering(answer)}
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{SoftTimeout: soft}})
		rt := memo.Wrap(upstream)
		ask(t, rt, ticket(t))
		time.Sleep(time.Hour)
		upstream.respond = func(*http.Request) (*http.Response, error) {
			time.Sleep(3 * time.Second)
			return nil, errDown
		}
		time.AfterFunc(time.Second, func() { purge(t, memo) })
		defer func() { require.NoError(t, memo.Close()) }()
		return rt.RoundTrip(ticket(t))
	}
	for name, purge := range purges {
		for _, soft := range []time.Duration{0, 2 * time.Second} {
			t.Run(fmt.Sprintf("%s, soft timeout %v", name, soft), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, err := askFailing(t, soft, purge)
					require.ErrorIs(t, err, errDown)
				})
			})
		}
	}
	t.Run("of another", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			resp, err := askFailing(t, 0, func(_ *testing.T, m *cache.Memo) { m.PurgeFunction("mails") })
			require.NoError(t, err)
			assert.Equal(t, "stale", sourceOf(resp))
		})
	})
}

func TestMemoPurges(t *testing.T) {
	for name, purge := range purges {
		t.Run(name, func(t *testing.T) {
			// At each step of a call, which sends its header after 2 s and ends after 4 s.
			for _, at := range []time.Duration{time.Second, 3 * time.Second, 5 * time.Second} {
				synctest.Test(t, func(t *testing.T) {
					var calls atomic.Int64
					upstream := transportFunc(func(req *http.Request) (*http.Response, error) {
						n := calls.Add(1)
						_ = req.Body.Close()
						time.Sleep(2 * time.Second)
						resp := response(http.StatusOK, "")
						resp.Header.Set("Content-Type", "text/plain")
						r, w := io.Pipe()
						resp.Body, resp.ContentLength = r, 1
						time.AfterFunc(2*time.Second, func() { fmt.Fprint(w, n); _ = w.Close() })
						return resp, nil
					})
					memo := cache.NewMemo(cache.PredictionsConfig{})
					rt := memo.Wrap(upstream)
					var group sync.WaitGroup
					group.Go(func() {
						_, text := ask(t, rt, ticket(t))
						assert.Equal(t, "1", text)
					})
					time.Sleep(at)
					purge(t, memo)
					_, text := ask(t, rt, ticket(t))
					assert.Equal(t, "2", text, "purged after %v", at)
					group.Wait()
					_, text = ask(t, rt, ticket(t))
					assert.Equal(t, "2", text, "what was asked for before does not come back")
				})
			}
		})
	}
	t.Run("a request that is passed by", func(t *testing.T) {
		assert.Error(t, cache.NewMemo(cache.PredictionsConfig{}).PurgeRequest(newCall(t, `{"stream":true}`, policy.Call{})))
	})
}
