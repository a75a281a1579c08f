package peers_test

import (
	"context"
	"errors"
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

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// An answer that is dropped for a retry must be read and closed, else its
// connection is lost: 50 calls that are repeated once should need one.
func TestDiscardedAnswers(t *testing.T) {
	tests := []struct {
		name                          string
		size                          int
		failsafe, retryable, sparekey int
	}{
		{"2 KiB", 2 << 10, 51, 1, 1},
		{"8 KiB", 8 << 10, 51, 51, 1},
	}
	connections := func(size int) func(*testing.T, transport.Layer) int {
		return func(t *testing.T, layer transport.Layer) int {
			var requests atomic.Int64
			server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if requests.Add(1)%2 == 1 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				_, _ = io.WriteString(w, strings.Repeat("x", size))
			}))
			rt := transport.Chain(server.Transport(), layer)
			for range 50 {
				got, _, err := call(t, rt, newGet(t.Context()))
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, got.Status)
			}
			return server.Conns()
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			observe(t, connections(tt.size),
				with("failsafehttp", failsafeRetry, tt.failsafe),
				with("go-retryablehttp", retryableClient, tt.retryable),
				with("sparekey", sparekeyUnbounded, tt.sparekey))
		})
	}
}

// A body that drips must not hold up the retry that throws it away.
func TestDiscardedDrip(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) int {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			upstream := transporttest.NewUpstream(
				transporttest.Drip(http.StatusServiceUnavailable, "x", 100*time.Millisecond),
				transporttest.Reply(http.StatusOK, ""))
			got, _, _ := call(t, transport.Chain(upstream, layer), newGet(ctx))
			return got.Status
		},
		with("go-retryablehttp", retryableClient, 0), // all of the caller's time
		with("rehttp", rehttpRetry, 0),
		with("sparekey", sparekeyStandard, http.StatusOK),
	)
}

// An upload must reach the server as it is made: here its first byte is there at
// once and the rest takes a second.
func TestUploadIsStreamed(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) time.Duration {
			start := time.Now()
			upload, producer := io.Pipe()
			go func() {
				_, _ = io.WriteString(producer, "first")
				time.Sleep(time.Second)
				_, _ = io.WriteString(producer, "last")
				_ = producer.Close()
			}()
			var first time.Duration
			rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
				_, _ = req.Body.Read(make([]byte, 1))
				first = time.Since(start)
				_, _ = io.Copy(io.Discard, req.Body)
				_ = req.Body.Close()
				return reply(req, http.StatusOK, ""), nil
			}), layer)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://service.test/", upload)
			require.NoError(t, err)
			_, _, err = call(t, rt, req)
			require.NoError(t, err)
			return first
		},
		with("failsafehttp", failsafeRetry, time.Second),
		with("failsafehttp with a timeout only", failsafeTimeout, time.Second),
		with("go-retryablehttp", retryableClient, time.Second),
		with("rehttp", rehttpRetry, time.Second),
		with("sparekey", sparekeyStandard, time.Duration(0)),
	)
}

// A body that can be had again through GetBody need not be copied, least of all
// by a call that is not repeated.
func TestReplayableBodyIsNotCopied(t *testing.T) {
	upload := strings.Repeat("x", 10<<20)
	observe(t,
		func(t *testing.T, layer transport.Layer) bool {
			rt := transport.Chain(answering(t, prediction), layer)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := call(t, rt, newPost(t.Context(), upload))
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			return after.TotalAlloc-before.TotalAlloc < uint64(len(upload))
		},
		with("failsafehttp", failsafeRetry, false),
		with("go-retryablehttp", retryableClient, false),
		with("rehttp", rehttpRetry, false),
		with("sparekey", sparekeyStandard, true),
	)
}

// A round tripper closes the request's body and leaves the request as it is.
func TestRequestContract(t *testing.T) {
	type kept struct{ Closed, Unchanged bool }
	observe(t,
		func(t *testing.T, layer transport.Layer) kept {
			var bodies transporttest.Bodies
			req := newPost(t.Context(), "question")
			var changed bool
			rt := transport.Chain(transporttest.NewUpstream(), bodies.Wrap, func(next http.RoundTripper) http.RoundTripper {
				return transport.Func(func(req *http.Request) (*http.Response, error) {
					before := req.Body
					resp, err := layer(next).RoundTrip(req)
					changed = req.Body != before
					return resp, err
				})
			})
			_, _, err := call(t, rt, req)
			require.NoError(t, err)
			return kept{Closed: bodies.Requests.Closed() == bodies.Requests.Opened(), Unchanged: !changed}
		},
		with("failsafehttp", failsafeRetry, kept{}),
		with("go-retryablehttp", retryableClient, kept{}),
		with("rehttp", rehttpRetry, kept{Closed: true}),
		with("sparekey", sparekeyStandard, kept{Closed: true, Unchanged: true}),
	)
}

// An answer that breaks off is a failed attempt like any other.
func TestCutAnswerIsRepeated(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) string {
			upstream := transporttest.NewUpstream(
				transporttest.Cut(http.StatusOK, "the who"),
				transporttest.Reply(http.StatusOK, "the whole"))
			_, text, _ := call(t, transport.Chain(upstream, layer), newGet(t.Context()))
			return text
		},
		with("failsafehttp", failsafeRetry, "the who"),
		with("go-retryablehttp", retryableClient, "the who"),
		with("rehttp", rehttpRetry, "the who"),
		with("sparekey", sparekeyStandard, "the whole"),
	)
}

// A timeout that ends at the header leaves the caller alone with a body that
// stalls. This one has an hour.
func TestStalledBody(t *testing.T) {
	type end struct {
		After   time.Duration
		Timeout bool
	}
	observe(t,
		func(t *testing.T, layer transport.Layer) end {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			upstream := transporttest.NewUpstream(transporttest.Stall(http.StatusOK, "start"))
			got, _, err := call(t, transport.Chain(upstream, layer), newGet(ctx))
			return end{got.After, isTimeout(err)}
		},
		with("failsafehttp", failsafeTimeout, end{time.Hour, true}),
		with("sparekey", func() transport.Layer { return transport.Timeout(policy.Timeout{}) }, end{30 * time.Second, true}),
	)
}

// The error of a timeout must be one to those who ask.
func TestTimeoutError(t *testing.T) {
	type seen struct{ Timeout, DeadlineExceeded bool }
	observe(t,
		func(t *testing.T, layer transport.Layer) seen {
			upstream := transporttest.NewUpstream(transporttest.Hang())
			_, _, err := call(t, transport.Chain(upstream, layer), newGet(t.Context()))
			require.Error(t, err)
			return seen{isTimeout(err), errors.Is(err, context.DeadlineExceeded)}
		},
		with("failsafehttp", failsafeTimeout, seen{}),
		with("sparekey", func() transport.Layer { return transport.Timeout(policy.Timeout{}) }, seen{true, true}),
	)
}

// After a 101 the body is the connection: who hides its Write breaks the upgrade.
func TestUpgrade(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) bool {
			upstream := transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
				resp := reply(req, http.StatusSwitchingProtocols, "")
				resp.Body = struct {
					io.ReadCloser
					io.Writer
				}{http.NoBody, io.Discard}
				return resp, nil
			})
			resp, err := transport.Chain(upstream, layer).RoundTrip(newGet(t.Context()))
			require.NoError(t, err)
			_, ok := resp.Body.(io.Writer)
			assert.NoError(t, resp.Body.Close())
			return ok
		},
		with("failsafehttp", failsafeRetry, false),
		with("go-retryablehttp", retryableClient, true),
		with("sparekey", sparekeyStandard, true),
	)
}

// What a call leaves in a context that lasts longer than it, as a server's does,
// stays until that ends. A hundred calls are repeated once each.
func TestContextsAreReleased(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) bool {
			parent := &foreign{Context: t.Context(), done: make(chan struct{})}
			defer close(parent.done)
			before := runtime.NumGoroutine()
			rt := transport.Chain(failingOnce(t, prediction), layer)
			for range 100 {
				ctx := context.WithValue(parent, turnKey{}, new(int))
				got, _, err := call(t, rt, newGet(ctx))
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, got.Status)
			}
			synctest.Wait()
			return runtime.NumGoroutine() < before+100
		},
		with("failsafehttp", func() transport.Layer { return policies(retryOf(), timeoutOf(time.Second)) }, false),
		with("sparekey", sparekeyUnbounded, true),
	)
}

// foreign is a context of a type that package context does not know: each context
// that is derived from it and not yet canceled has a goroutine.
type foreign struct {
	context.Context
	done chan struct{}
}

func (f *foreign) Done() <-chan struct{} { return f.done }

func (f *foreign) Err() error {
	select {
	case <-f.done:
		return context.Canceled
	default:
		return nil
	}
}
