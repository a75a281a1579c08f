package transport_test

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

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// operated returns a stack for a function, with a cache, around an upstream that
// is well.
func operated(function string) (http.RoundTripper, *transporttest.Upstream) {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, `{"labelName":"billing"}`))
	return transport.Chain(upstream, transport.Standard(policy.Stack{Function: function, Cache: &policy.Cache{Jitter: -1}})), upstream
}

// predict asks for a prediction. With "", the call names no function.
func predict(t *testing.T, rt http.RoundTripper, function string) error {
	t.Helper()
	ctx := policy.WithCall(t.Context(), policy.Call{Function: function, Replayable: true})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://up.test/invoke", strings.NewReader(`{"data":"x"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: rt}).Do(req)
	if err == nil {
		err = drain(resp)
	}
	return err
}

func drain(resp *http.Response) error {
	defer resp.Body.Close()
	_, err := io.Copy(io.Discard, resp.Body)
	return err
}

func breakerOf(t *testing.T, rt http.RoundTripper) policy.BreakerSnapshot {
	t.Helper()
	all := transport.Breakers(rt)
	require.Len(t, all, 1)
	return all[0].Snapshot()
}

func TestOperatorIsolates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		search, _ := operated("search")
		other, _ := operated("other")
		operator := transport.Operator{other, search, nil}
		require.NoError(t, predict(t, search, "search"))
		require.NoError(t, predict(t, other, "other"))

		assert.False(t, operator.Isolate("search", "nobody.test:80", "x", time.Time{}), "no such breaker")
		assert.False(t, operator.Isolate("nothing", "up.test:80", "x", time.Time{}), "no such function")
		assert.False(t, operator.Release("nothing", "up.test:80"))
		require.Equal(t, policy.Closed, breakerOf(t, search).State)

		until := time.Now().Add(15 * time.Minute)
		require.True(t, operator.Isolate("search", "up.test:80", "moving house", until))
		state := breakerOf(t, search)
		assert.Equal(t, policy.Isolated, state.State)
		assert.Equal(t, "moving house", state.Reason)
		assert.Equal(t, until, state.Until)
		assert.Equal(t, policy.Closed, breakerOf(t, other).State, "another function's")

		time.Sleep(15*time.Minute - time.Nanosecond)
		assert.Equal(t, policy.Isolated, breakerOf(t, search).State)
		time.Sleep(2 * time.Nanosecond)
		assert.Equal(t, policy.HalfOpen, breakerOf(t, search).State, "it ends by itself")

		require.True(t, operator.Isolate("search", "up.test:80", "again", time.Time{}))
		require.True(t, operator.Release("search", "up.test:80"))
		assert.Equal(t, policy.HalfOpen, breakerOf(t, search).State)
	})
}

func TestOperatorPurges(t *testing.T) {
	for _, named := range []string{"search", ""} {
		t.Run(fmt.Sprintf("calls that name %q", named), func(t *testing.T) {
			rt, upstream := operated("search")
			other, others := operated("other")
			operator := transport.Operator{other, rt}
			for range 2 {
				require.NoError(t, predict(t, rt, named))
				require.NoError(t, predict(t, other, "other"))
			}
			require.Equal(t, 1, upstream.Calls(), "the second is answered from memory")

			assert.False(t, operator.Purge("nothing"))
			require.True(t, operator.Purge("search"))
			require.NoError(t, predict(t, rt, named))
			require.NoError(t, predict(t, other, "other"))
			assert.Equal(t, 2, upstream.Calls())
			assert.Equal(t, 1, others.Calls(), "another function's answers stay")
		})
	}
	t.Run("a stack for any function", func(t *testing.T) {
		rt, upstream := operated("")
		require.NoError(t, predict(t, rt, "search"))
		require.True(t, transport.Operator{rt}.Purge(""))
		require.NoError(t, predict(t, rt, "search"))
		assert.Equal(t, 2, upstream.Calls())
	})
	t.Run("a stack without a cache", func(t *testing.T) {
		rt := transport.Chain(nil, telemetry.ObserveCall(telemetry.Config{Function: "search"}))
		assert.False(t, transport.Operator{rt}.Purge("search"))
	})
}

// An operator takes a host out of use for a while.
func ExampleOperator() {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, "hello"))
	client := transport.Wrap(&http.Client{Transport: upstream}, transport.Standard(policy.Stack{Function: "search"}))
	if resp, err := client.Get("http://up.test/"); err == nil {
		_ = resp.Body.Close()
	}

	operator := transport.Operator{client.Transport}
	fmt.Println(operator.Isolate("search", "up.test:80", "maintenance", time.Now().Add(15*time.Minute)))
	_, err := client.Get("http://up.test/")
	fmt.Println(errors.Is(err, transport.ErrIsolated))
	fmt.Println(operator.Release("search", "up.test:80"), operator.Release("search", "other.test:80"))
	// Output:
	// true
	// true
	// true false
}
