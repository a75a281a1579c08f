package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// asking is a transport that answers, and watches the request's context as those
// that wait do.
type asking struct{}

func (asking) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	default:
		return answer(req, http.StatusOK, "fine"), nil
	}
}

// watching is a layer that watches each request's context from the start, as net/http
// does.
func watching(next http.RoundTripper) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		_ = req.Context().Done()
		return next.RoundTrip(req)
	})
}

// allocations returns how many a call with ctx makes.
func allocations(t *testing.T, ctx context.Context, rt http.RoundTripper) int {
	t.Helper()
	req := newRequest(t, ctx, http.MethodGet, "")
	return int(testing.AllocsPerRun(1000, func() { roundTrip(rt, req) }))
}

// TestTimeoutAllocations keeps what the benchmarks show: an exchange is one
// object, and its timer is made for who waits.
func TestTimeoutAllocations(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tests := []struct {
		name string
		cfg  policy.Timeout
		base http.RoundTripper
		most int
	}{
		{"an attempt", policy.Timeout{}, answering{}, 1},
		{"all limits", policy.Timeout{Total: time.Hour}, answering{}, 1},
		{"no limit", policy.Timeout{FirstByte: -1, Idle: -1}, asking{}, 0},
		{"an attempt that is watched", policy.Timeout{}, asking{}, 6},
		{"all limits, watched", policy.Timeout{Total: time.Hour}, asking{}, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bare := allocations(t, ctx, tt.base)
			if got := allocations(t, ctx, transport.Timeout(tt.cfg)(tt.base)) - bare; got > tt.most {
				t.Errorf("%d allocations beyond the transport's, want at most %d", got, tt.most)
			}
		})
	}
}

// In the standard stack the limit of the call costs one object, whether or not
// the context is watched.
func TestStandardTotalAllocations(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, base := range map[string]http.RoundTripper{"answers": answering{}, "watches the context": asking{}} {
		without := allocations(t, ctx, transport.Standard(policy.Stack{Total: -1})(base))
		with := allocations(t, ctx, transport.Standard(policy.Stack{})(base))
		if got := with - without; got > 1 {
			t.Errorf("a transport that %s: %d allocations for the total, want one", name, got)
		}
	}
}

// A limit that cannot come before the caller's deadline costs nothing.
func TestTimeoutAfterTheCallersDeadline(t *testing.T) {
	const second = time.Second
	none := time.Duration(-1)
	tests := []struct {
		name     string
		cfg      policy.Timeout
		deadline time.Duration // of the caller; zero for none
		want     bool          // that the request passes as it is
	}{
		{"sooner than any limit", policy.Timeout{Total: 3 * second, FirstByte: 2 * second, Idle: 2 * second}, second, true},
		{"with the first byte", policy.Timeout{FirstByte: second}, second, true},
		{"after the first byte", policy.Timeout{FirstByte: second}, second + 1, false},
		{"with the whole", policy.Timeout{Total: second, FirstByte: none, Idle: none}, second, true},
		{"after the whole", policy.Timeout{Total: second, FirstByte: none, Idle: none}, second + 1, false},
		{"with the first idle", policy.Timeout{FirstByte: none, Idle: second}, second, true},
		{"after the first idle", policy.Timeout{FirstByte: none, Idle: second}, second + 1, false},
		{"between two limits", policy.Timeout{FirstByte: second, Idle: 3 * second}, 2 * second, false},
		{"none", policy.Timeout{}, 0, false},
		{"none, and no limit", policy.Timeout{FirstByte: none, Idle: none}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				req := newRequest(t, ctx, http.MethodGet, "")
				var sent *http.Request
				rt := transport.Timeout(tt.cfg)(transport.Func(func(req *http.Request) (*http.Response, error) {
					sent = req
					return answering{}.RoundTrip(req)
				}))
				_, _, err := send(t, rt, req)
				require.NoError(t, err)
				assert.Equal(t, tt.want, sent == req, "the request passes as it is")
			})
			if tt.want && tt.deadline > 0 {
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				assert.Equal(t, allocations(t, ctx, asking{}), allocations(t, ctx, transport.Timeout(tt.cfg)(asking{})), "allocations")
			}
		})
	}
}

// The caller's deadline ends an exchange that passed as it is.
func TestTimeoutAfterTheCallersDeadlineNames(t *testing.T) {
	for phase, step := range map[string]transporttest.Step{
		"before the header": transporttest.Hang(),
		"in the body":       transporttest.Stall(http.StatusOK, "hel"),
	} {
		t.Run(phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				since := elapsed()
				rt := transport.Timeout(policy.Timeout{FirstByte: time.Second, Idle: time.Second})(transporttest.NewUpstream(step))
				_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				if ours, ok := errors.AsType[*policy.TimeoutError](err); ok {
					t.Errorf("error = %v, want the caller's own", ours)
				}
				assert.Equal(t, time.Second, since())
			})
		})
	}
}

// How a layer below sees the context of its request end.
func TestTimeoutContext(t *testing.T) {
	total := policy.Timeout{Total: time.Second, FirstByte: -1, Idle: -1}
	firstByte := policy.Timeout{FirstByte: time.Second}
	waits := map[string]func(*testing.T, context.Context){
		"that looks without waiting": func(_ *testing.T, ctx context.Context) { time.Sleep(time.Second) },
		"that waits":                 func(_ *testing.T, ctx context.Context) { <-ctx.Done() },
		"that waits several times at once": func(_ *testing.T, ctx context.Context) {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { <-ctx.Done() })
			}
			all.Wait()
		},
		"that begins to wait late": func(_ *testing.T, ctx context.Context) {
			time.Sleep(time.Second / 2)
			<-ctx.Done()
		},
		"that begins to wait when time is up": func(_ *testing.T, ctx context.Context) {
			time.Sleep(time.Second)
			<-ctx.Done()
		},
		"that looks before it waits": func(t *testing.T, ctx context.Context) {
			assert.NoError(t, ctx.Err())
			assert.NoError(t, context.Cause(ctx))
			<-ctx.Done()
		},
		"that derives one": func(t *testing.T, ctx context.Context) {
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			<-derived.Done()
			assert.Equal(t, context.Cause(ctx), context.Cause(derived), "the cause of the derived context")
		},
		"that is to be told": func(_ *testing.T, ctx context.Context) {
			told := make(chan struct{})
			context.AfterFunc(ctx, func() { close(told) })
			<-told
		},
	}
	for _, tt := range []struct {
		name      string
		cfg       policy.Timeout
		wantErr   error
		wantPhase string
	}{
		{"total", total, context.DeadlineExceeded, "exchange"},
		{"first byte", firstByte, context.Canceled, "first byte"},
	} {
		for name, wait := range waits {
			t.Run(tt.name+", below "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					rt := transport.Timeout(tt.cfg)(transport.Func(func(req *http.Request) (*http.Response, error) {
						ctx := req.Context()
						deadline, ok := ctx.Deadline()
						assert.Equal(t, tt.cfg.Total > 0, ok, "there is a deadline")
						if ok {
							assert.Equal(t, time.Second, deadline.Sub(start))
						}
						wait(t, ctx)
						assert.Equal(t, time.Second, time.Since(start))
						assert.Equal(t, tt.wantErr, ctx.Err())
						checkTimeout(t, "cause", context.Cause(ctx), &policy.TimeoutError{Scope: "attempt", Phase: tt.wantPhase, Limit: time.Second})
						return nil, errReset
					}))
					_, _, err := get(t, rt)
					checkTimeout(t, "error", err, &policy.TimeoutError{Scope: "attempt", Phase: tt.wantPhase, Limit: time.Second})
				})
			})
		}
	}
}

// The deadline is the total's or the caller's, whichever comes first.
func TestTimeoutContextDeadline(t *testing.T) {
	const second = time.Second
	for caller, want := range map[time.Duration]time.Duration{2 * second: 2 * second, 4 * second: 3 * second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caller)
			defer cancel()
			start := time.Now()
			rt := transport.Timeout(policy.Timeout{Total: 3 * second, FirstByte: second})(transport.Func(func(req *http.Request) (*http.Response, error) {
				deadline, ok := req.Context().Deadline()
				assert.True(t, ok, "there is a deadline")
				assert.Equal(t, want, deadline.Sub(start))
				return answering{}.RoundTrip(req)
			}))
			_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
			require.NoError(t, err)
		})
	}
}

type fruitKey struct{}

// The values of the caller's context are there before and after somebody waits
// for its end, and so is the caller's cause.
func TestTimeoutContextOfTheCaller(t *testing.T) {
	mine := errors.New("mine")
	for name, derive := range map[string]func(context.Context) (context.Context, context.CancelCauseFunc){
		"package context": context.WithCancelCause,
		"another kind": func(ctx context.Context) (context.Context, context.CancelCauseFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			return &family{Context: ctx}, cancel
		},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := derive(t.Context())
					parent = context.WithValue(parent, fruitKey{}, "pear")
					_, _, err := send(t, transport.Timeout(policy.Timeout{Total: time.Minute})(transport.Func(func(req *http.Request) (*http.Response, error) {
						ctx := req.Context()
						if asked {
							ctx.Done()
						}
						assert.Equal(t, "pear", ctx.Value(fruitKey{}))
						cancel(mine)
						synctest.Wait()
						assert.Equal(t, context.Canceled, ctx.Err())
						<-ctx.Done()
						assert.Equal(t, "pear", ctx.Value(fruitKey{}))
						return nil, context.Cause(parent)
					})), newRequest(t, parent, http.MethodGet, ""))
					assert.Equal(t, context.Cause(parent), err)
				})
			})
		}
	}
}

// A context of another kind that can tell its children is asked to: no goroutine
// has to wait for its end.
func TestTimeoutContextBelowAnotherKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent := &family{Context: t.Context()}
		rt := transport.Timeout(policy.Timeout{})(transport.Func(func(req *http.Request) (*http.Response, error) {
			assert.Equal(t, int64(0), parent.children.Load(), "children before anybody waits")
			req.Context().Done()
			assert.Equal(t, int64(1), parent.children.Load(), "children while somebody waits")
			return answering{}.RoundTrip(req)
		}))
		_, _, err := send(t, rt, newRequest(t, parent, http.MethodGet, ""))
		require.NoError(t, err)
		assert.Equal(t, int64(0), parent.children.Load(), "children in the end")
	})
}

// What still holds the context when the exchange is over finds it canceled.
func TestTimeoutContextAfterTheExchange(t *testing.T) {
	for name, asked := range map[string]struct{ before, first bool }{
		"waited for":                {before: true},
		"not waited for":            {},
		"waited for only when over": {first: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ctx context.Context
				rt := transport.Timeout(policy.Timeout{Total: time.Minute})(transport.Func(func(req *http.Request) (*http.Response, error) {
					if ctx = req.Context(); asked.before {
						ctx.Done()
					}
					return answering{}.RoundTrip(req)
				}))
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				require.NoError(t, ctx.Err(), "with the body unread")
				_, err = io.ReadAll(resp.Body)
				require.NoError(t, err)
				if asked.first {
					<-ctx.Done()
				}
				assert.Equal(t, context.Canceled, ctx.Err())
				assert.Equal(t, context.Canceled, context.Cause(ctx))
				<-ctx.Done()
				time.Sleep(time.Hour)
				assert.Equal(t, context.Canceled, ctx.Err(), "after the deadline")
			})
		})
	}
}

// The idle limit counts from each read, however long the limit on the first byte
// would have run.
func TestTimeoutIdleAfterAWhile(t *testing.T) {
	for _, thinks := range []time.Duration{0, time.Second / 2, 5 * time.Second, time.Minute} {
		for _, firstByte := range []time.Duration{-1, time.Millisecond, 10 * time.Second, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				step := transporttest.Stream(http.StatusOK, []transporttest.Chunk{{Data: "a"}, {After: time.Second - 1, Data: "b"}, {After: time.Hour, Data: "c"}})
				rt := transport.Timeout(policy.Timeout{FirstByte: firstByte, Idle: time.Second})(transporttest.NewUpstream(step))
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				defer resp.Body.Close()
				for _, want := range []string{"a", "b"} {
					time.Sleep(thinks)
					p := make([]byte, 1)
					_, err := resp.Body.Read(p)
					require.NoError(t, err)
					require.Equal(t, want, string(p))
				}
				time.Sleep(thinks)
				since := elapsed()
				_, err = resp.Body.Read(make([]byte, 1))
				checkTimeout(t, "the last read", err, &policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: time.Second})
				if took := since(); took != time.Second {
					t.Errorf("after %v, first byte %v: took %v, want 1s", thinks, firstByte, took)
				}
			})
		}
	}
}

// A body that nobody reads is ended by the total all the same.
func TestTimeoutUnreadBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ctx context.Context
		rt := transport.Timeout(policy.Timeout{Total: time.Minute})(transport.Func(func(req *http.Request) (*http.Response, error) {
			ctx = req.Context()
			return asking{}.RoundTrip(req)
		}))
		since := elapsed()
		resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		defer resp.Body.Close()
		<-ctx.Done()
		assert.Equal(t, time.Minute, since())
		assert.Equal(t, context.DeadlineExceeded, ctx.Err())
	})
}
