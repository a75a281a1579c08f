package cache_test

import (
	"context"
	"fmt"
	"io"
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

// slowService answers after a second with the number of the call, or fails.
type slowService struct {
	service
	down, panics atomic.Bool
}

func newSlowService() *slowService {
	s := &slowService{}
	s.respond = func(req *http.Request) (*http.Response, error) {
		n := s.calls.Load()
		select {
		case <-time.After(time.Second):
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
		switch {
		case s.panics.Load():
			panic("below")
		case s.down.Load():
			return nil, errDown
		}
		return response(http.StatusOK, fmt.Sprint(n)), nil
	}
	return s
}

func swr(more policy.Cache) *cache.Memo {
	more.TTL, more.Jitter = time.Minute, -1
	if more.StaleWhileRevalidate == 0 {
		more.StaleWhileRevalidate = time.Hour
	}
	return cache.NewMemo(cache.PredictionsConfig{Cache: more})
}

func TestRefreshOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		memo := swr(policy.Cache{})
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(2 * time.Minute)
		start := time.Now()
		for range 20 {
			_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
			assert.Equal(t, "1", text)
		}
		assert.Zero(t, time.Since(start), "nobody waits")
		require.NoError(t, memo.Close())
		assert.Equal(t, time.Second, time.Since(start), "Close does")
		assert.EqualValues(t, 2, upstream.calls.Load(), "calls")
		assert.EqualValues(t, 1, memo.Stats().Refreshes)
		assert.EqualValues(t, 20, memo.Stats().Stale)
		_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "2", text)
		time.Sleep(2 * time.Minute)
		_, text = ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "2", text)
		synctest.Wait()
		assert.EqualValues(t, 2, upstream.calls.Load(), "none begins after Close")
	})
}

// Who is given the old answer sends nothing: the body of his request is closed.
func TestRefreshClosesTheCallersBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memo := swr(policy.Cache{})
		rt := memo.Wrap(newSlowService())
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(2 * time.Minute)
		req := newCall(t, `{}`, policy.Call{})
		own := &requestBody{Reader: strings.NewReader(`{}`)}
		req.Body = own
		ask(t, rt, req)
		require.NoError(t, memo.Close())
		assert.True(t, own.closed, "closed")
		assert.False(t, own.read, "read")
	})
}

func TestRefreshOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		memo := swr(policy.Cache{})
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
		time.Sleep(2 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		ctx, trail := telemetry.NewContext(ctx)
		req := newCallContext(t, ctx, `{"data":"x"}`, policy.Call{})
		ask(t, rt, req)
		cancel()
		req.Header.Set("X-Mine", "changed") // it is his again
		time.Sleep(2 * time.Second)
		synctest.Wait()
		_, text := ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
		assert.Equal(t, "2", text)
		assert.Zero(t, trail.AttemptCount())
	})
}

func TestRefreshBacksOff(t *testing.T) {
	for _, panics := range []bool{false, true} {
		t.Run(fmt.Sprint("panics ", panics), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := newSlowService()
				memo := swr(policy.Cache{RefreshBackoff: 10 * time.Second})
				rt := memo.Wrap(upstream)
				ask(t, rt, newCall(t, `{}`, policy.Call{}))
				time.Sleep(2 * time.Minute)
				upstream.down.Store(true)
				upstream.panics.Store(panics)
				upstream.calls.Store(0)
				for range 110 { // a second to fail and ten to wait, each
					_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
					assert.Equal(t, "1", text)
					time.Sleep(time.Second)
				}
				assert.EqualValues(t, 10, upstream.calls.Load(), "calls")
				require.NoError(t, memo.Close())
			})
		})
	}
}

// An answer that comes and is not one to keep is as good as none.
func TestRefreshBacksOffFromWhatIsNotKept(t *testing.T) {
	for name, after := range map[string]time.Duration{"stale": 2 * time.Minute, "fresh": 30*time.Second - 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := &service{respond: answering(answer)}
				memo := swr(policy.Cache{RefreshBackoff: 10 * time.Second, EagerRefresh: 0.9})
				rt := memo.Wrap(upstream)
				ask(t, rt, newCall(t, `{}`, policy.Call{}))
				time.Sleep(after)
				upstream.respond = answering("<html>Under maintenance</html>") // says that it is JSON
				upstream.calls.Store(0)
				for range 30 {
					_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
					assert.Equal(t, answer, text)
					time.Sleep(time.Second)
				}
				assert.EqualValues(t, 3, upstream.calls.Load(), "calls")
				require.NoError(t, memo.Close())
			})
		})
	}
}

// A body that panics behind a caller leaves nothing of the budget taken, be its answer
// one that nobody could have joined.
func TestRefreshOfABodyThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: answering(answer)}
		memo := swr(policy.Cache{RefreshBackoff: 1})
		rt := memo.Wrap(upstream)
		refreshed := func() {
			ask(t, rt, newCall(t, `{}`, policy.Call{}))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		refreshed()
		time.Sleep(time.Minute)
		upstream.respond = func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusOK, answer)
			resp.Header.Set("Cache-Control", "no-store") // from now on, calls go side by side
			return resp, nil
		}
		refreshed()
		upstream.respond = func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusOK, answer)
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(answer[:5]), panicking{}))
			return resp, nil
		}
		refreshed()
		assert.EqualValues(t, 3, upstream.calls.Load())
		assert.Zero(t, memo.Stats().InFlight)
		upstream.requireAllClosed(t)
	})
}

// panicking is a body that panics when it is read.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("below") }

// The backoff is for failures: what was fetched is fetched again when it is time.
func TestRefreshDoesNotBackOffFromWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		memo := swr(policy.Cache{RefreshBackoff: time.Hour})
		rt := memo.Wrap(upstream)
		for range 3 {
			ask(t, rt, newCall(t, `{}`, policy.Call{}))
			time.Sleep(2 * time.Minute)
		}
		assert.EqualValues(t, 3, upstream.calls.Load(), "calls")
		require.NoError(t, memo.Close())
	})
}

// A request of whose body there is no copy is not sent behind its caller, and counts as
// one that failed.
func TestRefreshWithoutACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		memo := swr(policy.Cache{RefreshBackoff: 10 * time.Second})
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(2 * time.Minute)
		req := newCall(t, `{}`, policy.Call{})
		req.Body = streamed{req.Body}
		again, copies := req.GetBody, 0
		req.GetBody = func() (io.ReadCloser, error) {
			if copies++; copies > 1 { // the first is to find the answer
				return nil, errDown
			}
			return again()
		}
		for _, after := range []time.Duration{0, 10*time.Second - 1} {
			time.Sleep(after)
			_, text := ask(t, rt, req)
			assert.Equal(t, "1", text)
			synctest.Wait()
			assert.EqualValues(t, 1, upstream.calls.Load(), "calls")
			req = newCall(t, `{}`, policy.Call{})
		}
		time.Sleep(time.Nanosecond)
		ask(t, rt, req)
		require.NoError(t, memo.Close())
		assert.EqualValues(t, 2, upstream.calls.Load(), "calls")
	})
}

// A request without a body is sent without one behind its caller, too.
func TestRefreshWithoutABody(t *testing.T) {
	for name, empty := range map[string]io.ReadCloser{"nil": nil, "NoBody": http.NoBody} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memo := swr(policy.Cache{})
				calls := 0
				rt := memo.Wrap(transportFunc(func(req *http.Request) (*http.Response, error) {
					calls++
					assert.Equal(t, empty, req.Body)
					return response(http.StatusOK, answer), nil
				}))
				for range 2 {
					req := newCall(t, "", policy.Call{})
					req.Body, req.GetBody = empty, nil
					ask(t, rt, req)
					time.Sleep(2 * time.Minute)
				}
				require.NoError(t, memo.Close())
				assert.Equal(t, 2, calls)
			})
		})
	}
}

func TestRefreshesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		memo := swr(policy.Cache{MaxRefreshes: 3})
		rt := memo.Wrap(upstream)
		everything := func() {
			for i := range 10 {
				ask(t, rt, newCall(t, fmt.Sprint(i), policy.Call{}))
			}
		}
		everything()
		time.Sleep(2 * time.Minute)
		upstream.calls.Store(0)
		everything()
		synctest.Wait()
		assert.EqualValues(t, 3, upstream.calls.Load(), "calls")
		require.NoError(t, memo.Close())
	})
}

func TestRefreshEager(t *testing.T) {
	for after, want := range map[time.Duration]int64{48*time.Second - 1: 1, 48 * time.Second: 2, 59 * time.Second: 2} {
		synctest.Test(t, func(t *testing.T) {
			upstream := newSlowService()
			memo := swr(policy.Cache{EagerRefresh: 0.2})
			rt := memo.Wrap(upstream)
			resp, _ := ask(t, rt, newCall(t, `{}`, policy.Call{}))
			assert.Empty(t, sourceOf(resp))
			time.Sleep(after)
			resp, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
			assert.Equal(t, "cache", sourceOf(resp))
			assert.Equal(t, "1", text)
			require.NoError(t, memo.Close())
			assert.Equal(t, want, upstream.calls.Load(), "calls %v after the first", after)
			_, text = ask(t, rt, newCall(t, `{}`, policy.Call{}))
			assert.Equal(t, fmt.Sprint(want), text)
		})
	}
}

// One who asks past all windows while an answer is fetched behind another joins.
func TestRefreshCanBeJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		memo := swr(policy.Cache{StaleWhileRevalidate: time.Minute, StaleIfError: -1})
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(2*time.Minute - 500*time.Millisecond) // half a second before the end
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(600 * time.Millisecond)
		start := time.Now()
		_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "2", text)
		assert.Equal(t, 400*time.Millisecond, time.Since(start))
		assert.EqualValues(t, 2, upstream.calls.Load(), "calls")
		require.NoError(t, memo.Close())
	})
}

// What joins a call whose answer is for its caller only is sent by itself.
func TestRefreshThatJoinedInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		memo := swr(policy.Cache{})
		numbered := upstream.respond
		upstream.respond = func(req *http.Request) (*http.Response, error) {
			resp, err := numbered(req)
			if upstream.calls.Load() == 2 {
				resp.Header.Set("Cache-Control", "no-store")
			}
			return resp, err
		}
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(2 * time.Minute)
		var group sync.WaitGroup
		group.Go(func() {
			_, text := ask(t, rt, newCallContext(t, policy.Strict(context.Background()), `{}`, policy.Call{}))
			assert.Equal(t, "2", text)
		})
		synctest.Wait()
		_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "1", text)
		require.NoError(t, memo.Close())
		group.Wait()
		assert.EqualValues(t, 3, upstream.calls.Load(), "calls")
		resp, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "cache", sourceOf(resp))
		assert.Equal(t, "3", text)
	})
}

func TestSoftTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{SoftTimeout: 100 * time.Millisecond, MaxRefreshes: 1, Jitter: -1}})
		rt := memo.Wrap(upstream)
		for _, text := range []string{"1", "2"} {
			ask(t, rt, newCall(t, text, policy.Call{}))
		}
		time.Sleep(time.Hour)
		type result struct {
			source, text string
			took         time.Duration
		}
		var mu sync.Mutex
		results := map[result]int{}
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				resp, err := rt.RoundTrip(newCallContext(t, ctx, fmt.Sprint(1+i/10), policy.Call{}))
				if assert.NoError(t, err) {
					text, err := io.ReadAll(resp.Body)
					assert.NoError(t, err)
					assert.NoError(t, resp.Body.Close())
					mu.Lock()
					results[result{sourceOf(resp), string(text), time.Since(start)}]++
					mu.Unlock()
				}
				cancel()
			})
		}
		group.Wait()
		require.NoError(t, memo.Close())
		upstream.requireAllClosed(t)
		assert.EqualValues(t, 4, upstream.calls.Load(), "calls")
		stale, live := 0, 0
		for r, n := range results {
			if r.source == "stale" {
				stale += n
				assert.Equal(t, 100*time.Millisecond, r.took)
			} else {
				live += n
				assert.Equal(t, time.Second, r.took, "one call may go on behind its callers, the other has its own")
			}
		}
		assert.Equal(t, []int{10, 10}, []int{stale, live})
		for _, text := range []string{"1", "2"} {
			resp, _ := ask(t, rt, newCall(t, text, policy.Call{}))
			assert.Equal(t, "cache", sourceOf(resp), "both answers are kept")
		}
	})
}

// What is given after SoftTimeout is within its window then, not only when the wait
// began.
func TestSoftTimeoutKeepsTheWindow(t *testing.T) {
	for before, want := range map[time.Duration]string{100*time.Millisecond + 1: "1", 100 * time.Millisecond: "2"} {
		synctest.Test(t, func(t *testing.T) {
			memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{
				TTL: time.Minute, StaleIfError: time.Minute, SoftTimeout: 100 * time.Millisecond, Jitter: -1,
			}})
			rt := memo.Wrap(newSlowService())
			ask(t, rt, newCall(t, `{}`, policy.Call{}))
			time.Sleep(2*time.Minute - before)
			_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
			assert.Equal(t, want, text, "asked %v before the end of the window", before)
			require.NoError(t, memo.Close())
		})
	}
}

// Nor does it matter that earlier answers were for one caller only, so that equal calls
// go side by side: nobody waits for longer than SoftTimeout.
func TestSoftTimeoutOfCallsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: answering(answer)}
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{SoftTimeout: time.Second}})
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(time.Hour)
		upstream.respond = func(*http.Request) (*http.Response, error) {
			took := 700 * time.Millisecond
			if upstream.calls.Load() == 4 {
				took = 3 * time.Second
			}
			time.Sleep(took)
			resp := response(http.StatusOK, answer)
			resp.Header.Set("Cache-Control", "no-store")
			return resp, nil
		}
		given := make(chan string, 2)
		for range 2 {
			go func() {
				start := time.Now()
				resp, _ := ask(t, rt, newCall(t, `{}`, policy.Call{}))
				given <- fmt.Sprint(time.Since(start), " ", sourceOf(resp))
			}()
		}
		assert.Equal(t, "700ms ", <-given)
		assert.Equal(t, "1s stale", <-given, "who joined in vain has waited already")
		time.Sleep(2 * time.Second)
		start := time.Now()
		resp, _ := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "stale", sourceOf(resp))
		assert.Equal(t, time.Second, time.Since(start), "later, by himself")
		require.NoError(t, memo.Close())
		upstream.requireAllClosed(t)
	})
}

// A call that goes on behind its caller has the time of one that began there.
func TestSoftTimeoutLeavesTheDeadlineBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: answering(`"old"`)}
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{SoftTimeout: time.Second}})
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(time.Hour)
		upstream.respond = func(req *http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			deadline, _ := req.Context().Deadline()
			return response(http.StatusOK, fmt.Sprintf("%q", time.Until(deadline))), nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		resp, _ := ask(t, rt, newCallContext(t, ctx, `{}`, policy.Call{}))
		assert.Equal(t, "stale", sourceOf(resp))
		require.NoError(t, memo.Close())
		_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, `"29s"`, text, "half a minute from the soft timeout on")
	})
}

// So has one that begins only then, since the call which the caller had joined brought
// nothing for him.
func TestSoftTimeoutThatJoinedInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: answering(answer)}
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{SoftTimeout: time.Second}})
		rt := memo.Wrap(upstream)
		ask(t, rt, newCall(t, `{}`, policy.Call{}))
		time.Sleep(time.Hour)
		upstream.respond = func(req *http.Request) (*http.Response, error) {
			if upstream.calls.Load() == 3 {
				<-req.Context().Done()
				return nil, context.Cause(req.Context())
			}
			time.Sleep(2 * time.Second)
			resp := response(http.StatusOK, answer)
			resp.Header.Set("Cache-Control", "no-store")
			return resp, nil
		}
		var group sync.WaitGroup
		group.Go(func() { ask(t, rt, newCallContext(t, policy.Strict(context.Background()), `{}`, policy.Call{})) })
		synctest.Wait()
		resp, _ := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, "stale", sourceOf(resp))
		start := time.Now()
		require.NoError(t, memo.Close())
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.EqualValues(t, 3, upstream.calls.Load(), "calls")
		group.Wait()
	})
}

// A call whose body cannot be read a second time does not go on behind its caller, who
// may use it for something else by then.
func TestSoftTimeoutWithoutACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newSlowService()
		rt := cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{SoftTimeout: 100 * time.Millisecond, Jitter: -1}})(upstream)
		ask(t, rt, newCall(t, "1", policy.Call{}))
		time.Sleep(time.Hour)
		req := newCall(t, "1", policy.Call{})
		req.Body = streamed{req.Body}
		again, copies := req.GetBody, 0
		req.GetBody = func() (io.ReadCloser, error) {
			if copies++; copies > 1 {
				return nil, errDown
			}
			return again()
		}
		start := time.Now()
		resp, _ := ask(t, rt, req)
		assert.Empty(t, sourceOf(resp))
		assert.Equal(t, time.Second, time.Since(start))
	})
}
