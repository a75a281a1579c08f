package transport_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"runtime/pprof"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Package context starts a goroutine for each context that is derived from one of
// another kind, unless that knows how to tell it of its end. Those of our layers
// do, and net/http, which derives from them, has none for a body that is open.
func TestLayersNeedNoGoroutineToWatchContexts(t *testing.T) {
	hedge := policy.Hedge{Delay: 10 * time.Millisecond, Ratio: 1}
	for name, layer := range map[string]func() transport.Layer{
		"total": func() transport.Layer { return transport.Timeout(policy.Timeout{Total: time.Minute}) },
		"idle": func() transport.Layer {
			return transport.Timeout(policy.Timeout{FirstByte: time.Minute, Idle: time.Minute})
		},
		"retry":   func() transport.Layer { return transport.Retry(policy.Retry{}) },
		"hedge":   func() transport.Layer { return eager(hedge) },
		"default": func() transport.Layer { return transport.Standard(policy.Default()) },
		"hedge around timeouts": func() transport.Layer {
			return func(next http.RoundTripper) http.RoundTripper {
				return transport.Chain(next, transport.Timeout(policy.Timeout{Scope: "total", Total: time.Minute}), eager(hedge), transport.Retry(policy.Retry{}), transport.Timeout(policy.Timeout{}))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					time.Sleep(20 * time.Millisecond) // for a hedge to begin
					_, _ = io.WriteString(w, ": wait\n\n")
					_ = http.NewResponseController(w).Flush()
					<-req.Context().Done()
				}))
				rt := transport.Chain(server.Transport(), layer())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				before := watchers(t)
				for range 5 {
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
					require.NoError(t, err)
					resp, err := rt.RoundTrip(req)
					require.NoError(t, err)
					defer resp.Body.Close()
				}
				synctest.Wait()
				assert.Equal(t, before, watchers(t))
			})
		})
	}
}

// watchers returns how many goroutines only wait for the end of some context.
func watchers(t *testing.T) int {
	t.Helper()
	var stacks bytes.Buffer
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&stacks, 2))
	return bytes.Count(stacks.Bytes(), []byte("created by context.(*cancelCtx).propagateCancel"))
}
