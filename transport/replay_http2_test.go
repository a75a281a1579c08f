package transport_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// HTTP/2 resets the stream of an upload that a server has answered early, and
// closes the body with a read under way.
func TestRetryEarlyAnswerOverHTTP2(t *testing.T) {
	data := numbered(300 << 10)
	for _, early := range []int64{0, 3, 100 << 10} {
		var requests atomic.Int64
		got := make(chan []byte, 1)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 1 {
				_, _ = io.CopyN(io.Discard, r.Body, early)
				w.WriteHeader(http.StatusServiceUnavailable)
				return // the rest of the body is not wanted
			}
			all, _ := io.ReadAll(r.Body)
			got <- all
		}))
		server.EnableHTTP2 = true
		server.StartTLS()
		source, sink := io.Pipe()
		go func() {
			_, err := sink.Write(data)
			_ = sink.CloseWithError(err)
		}()
		body := newUpload(t, source)
		req := uploading(t, t.Context(), body, -1)
		req.URL.Scheme, req.URL.Host = "https", server.Listener.Addr().String()
		rt := transport.Retry(policy.Retry{Throttled: policy.Backoff{Base: time.Microsecond}})(server.Client().Transport)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 200, resp.StatusCode)
		assert.Equal(t, 2, resp.ProtoMajor)
		assert.True(t, bytes.Equal(data, <-got), "the server got another body")
		require.NoError(t, resp.Body.Close())
		server.Close()
		<-body.ended // net/http closes it in its own time
		assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
	}
}
