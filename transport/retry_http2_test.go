package transport_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// An upload that an HTTP/2 server refused can be sent again from a recording,
// where net/http has none.
func TestRetryRefusedUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("http2: Transport: cannot retry err [stream error: stream ID 1; REFUSED_STREAM; received from peer] " +
			"after Request.Body was written; define Request.GetBody to avoid this error")
		upstream := transporttest.NewUpstream(transporttest.Fail(refused), transporttest.Reply(http.StatusOK, "fine"))
		body := io.MultiReader(strings.NewReader("hello")) // without GetBody
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.test", body)
		require.NoError(t, err)
		resp, err := transport.Retry(policy.Retry{})(upstream).RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 2, upstream.Calls())
		assert.Equal(t, "hello", upstream.Requests()[1].Body)
	})
}

// A thousand calls of which each takes three attempts share one connection of
// HTTP/2: no answer that was dropped keeps its stream or a part of the window,
// whether its body came whole, is too long, or never ends.
func TestRetryKeepsHTTP2Connection(t *testing.T) {
	const calls = 1000
	page := strings.Repeat("x", 4<<10)
	dropped := map[string]http.HandlerFunc{
		"whole":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) },
		"long":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(page, 25)) },
		"endless": func(w http.ResponseWriter, r *http.Request) { neverEnds(w, r, page) },
	}
	for name, answer := range dropped {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int64
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if requests.Add(1)%3 != 0 {
						w.WriteHeader(http.StatusServiceUnavailable)
						answer(w, r)
						return
					}
					_, _ = io.WriteString(w, "fine")
				}))
				server.UseHTTP2()
				server.Transport().HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10}
				var bodies transporttest.Bodies
				client := transport.Wrap(server.Client(), transport.Retry(policy.Retry{Budget: policy.Budget{Off: true}}), bodies.Wrap)
				for range calls {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
					require.NoError(t, err)
					status, text, err := send(t, viaClient{client}, req)
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, status)
					require.Equal(t, "fine", text)
				}
				assert.EqualValues(t, 3*calls, requests.Load())
				assert.Equal(t, 3*calls, bodies.Responses.Opened())
				bodies.Check(t)
				assert.Equal(t, 1, server.Conns())
			})
		})
	}
}

// neverEnds begins a body and never ends it.
func neverEnds(w http.ResponseWriter, r *http.Request, start string) {
	_, _ = io.WriteString(w, start)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}
