package transport

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// lenders are the layers of a call and its attempts, 15 s for the one and no more
// than that for the others, around a transport that keeps the contexts that it
// gets.
func lenders(between Layer) (rt http.RoundTripper, sent func() []context.Context) {
	var contexts []context.Context
	call, attempt := timeouts(15*time.Second, policy.Timeout{FirstByte: 10 * time.Second, Idle: time.Minute})
	return Chain(Func(func(req *http.Request) (*http.Response, error) {
		contexts = append(contexts, req.Context())
		req.Context().Done()
		return &http.Response{StatusCode: http.StatusOK, Body: body.Bytes([]byte("fine"))}, nil
	}), call, between, attempt), func() []context.Context { return contexts }
}

func lent(t *testing.T, ctx context.Context) bool {
	t.Helper()
	x, ok := ctx.(*exchange)
	require.True(t, ok, "the context of an attempt is a %T, want an exchange", ctx)
	return x.whole != nil
}

func request(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://up.test/", strings.NewReader(""))
	require.NoError(t, err)
	return req
}

// An attempt keeps the total of the call, which then has no timer, if it ends as
// the call does.
func TestLend(t *testing.T) {
	type key struct{}
	tests := []struct {
		name   string
		derive func(context.Context) (context.Context, context.CancelFunc)
		want   bool
	}{
		{"the call's own context", func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }, true},
		{"with a value", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithValue(ctx, key{}, 1), func() {}
		}, true},
		{"with an end of its own", context.WithCancel, false},
		{"with a deadline of its own", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 12*time.Second)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var call, derived context.Context
				var cancel context.CancelFunc
				rt, sent := lenders(func(next http.RoundTripper) http.RoundTripper {
					return Func(func(req *http.Request) (*http.Response, error) {
						call = req.Context()
						derived, cancel = tt.derive(call)
						return next.RoundTrip(req.WithContext(derived))
					})
				})
				resp, err := rt.RoundTrip(request(t))
				require.NoError(t, err)
				defer resp.Body.Close()
				ctx := sent()[0]
				assert.Equal(t, tt.want, lent(t, ctx), "the attempt keeps the total")
				assert.Equal(t, derived.Value(key{}), ctx.Value(key{}), "the value, with somebody waiting")
				x, _ := call.(*exchange)
				assert.Equal(t, tt.want, x.timer == nil, "the call has no timer")
				if !tt.want {
					cancel()
					<-ctx.Done()
					assert.Equal(t, context.Canceled, context.Cause(ctx), "the end of the derived context reaches the attempt")
				}
			})
		})
	}
}

// Of two attempts at once, one keeps the total, and it holds for both.
func TestLendToOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first *http.Response
		rt, sent := lenders(func(next http.RoundTripper) http.RoundTripper {
			return Func(func(req *http.Request) (*http.Response, error) {
				var err error
				first, err = next.RoundTrip(req)
				require.NoError(t, err)
				return next.RoundTrip(req)
			})
		})
		resp, err := rt.RoundTrip(request(t))
		require.NoError(t, err)
		defer resp.Body.Close()
		defer first.Body.Close()
		require.Len(t, sent(), 2)
		assert.True(t, lent(t, sent()[0]), "the first")
		assert.False(t, lent(t, sent()[1]), "the second")
		time.Sleep(15*time.Second - 1)
		synctest.Wait()
		for _, ctx := range sent() {
			assert.NoError(t, ctx.Err())
		}
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		for _, ctx := range sent() {
			select {
			case <-ctx.Done():
			default:
				t.Error("a context goes on after the total")
			}
			assert.Equal(t, &policy.TimeoutError{Scope: "total", Phase: "exchange", Limit: 15 * time.Second}, context.Cause(ctx))
		}
	})
}

// One attempt after the other keeps the total.
func TestLendToEachInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, sent := lenders(func(next http.RoundTripper) http.RoundTripper {
			return Func(func(req *http.Request) (*http.Response, error) {
				first, err := next.RoundTrip(req)
				require.NoError(t, err)
				require.NoError(t, first.Body.Close())
				time.Sleep(time.Second)
				return next.RoundTrip(req)
			})
		})
		resp, err := rt.RoundTrip(request(t))
		require.NoError(t, err)
		defer resp.Body.Close()
		for _, ctx := range sent() {
			assert.True(t, lent(t, ctx))
		}
		since := time.Now()
		<-sent()[1].Done()
		assert.Equal(t, 14*time.Second, time.Since(since))
	})
}

// The end of the call is that of an attempt that nobody ended.
func TestLendEndsWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, sent := lenders(func(next http.RoundTripper) http.RoundTripper {
			return Func(func(req *http.Request) (*http.Response, error) {
				_, err := next.RoundTrip(req)
				require.NoError(t, err)
				panic("boom")
			})
		})
		assert.PanicsWithValue(t, "boom", func() { _, _ = rt.RoundTrip(request(t)) })
		require.True(t, lent(t, sent()[0]))
		select {
		case <-sent()[0].Done():
		default:
			t.Error("the attempt's context goes on")
		}
		assert.Equal(t, context.Canceled, context.Cause(sent()[0]))
	})
}
