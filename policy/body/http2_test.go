package body_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// overHTTP2 calls test, in a bubble, with an answer of an HTTP/2 server that begins
// with start and ends, or breaks, when the path says so.
func overHTTP2(t *testing.T, path, start string, test func(*testing.T, *http.Response)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, start)
			_ = http.NewResponseController(w).Flush()
			switch r.URL.Path {
			case "/reset":
				panic(http.ErrAbortHandler)
			case "/stall":
				<-r.Context().Done()
			}
		}))
		server.UseHTTP2()
		resp, err := server.Client().Get(server.URL + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 2, resp.ProtoMajor)
		test(t, resp)
	})
}

// A body of HTTP/2 has no WriteTo, and gets none, and ends as others do.
func TestWatchHTTP2(t *testing.T) {
	for _, tt := range []struct {
		path string
		end  func(error) bool
	}{
		{"/", func(err error) bool { return errors.Is(err, io.EOF) }},
		{"/reset", func(err error) bool { return strings.Contains(err.Error(), "stream error") }},
	} {
		overHTTP2(t, tt.path, "hello", func(t *testing.T, resp *http.Response) {
			var told ends
			body.Watch(resp, &told)
			_, writes := resp.Body.(io.WriterTo)
			assert.False(t, writes, "the body has a WriteTo")
			data, _ := io.ReadAll(resp.Body) // told has the error
			assert.Equal(t, "hello", string(data))
			require.NoError(t, resp.Body.Close())
			require.Len(t, told, 1)
			assert.True(t, tt.end(told[0]), "the body of %s ended in %v", tt.path, told[0])
		})
	}
}

// Close ends a read of a stalled stream, and the watchers hear of it once.
func TestWatchHTTP2CloseEndsRead(t *testing.T) {
	overHTTP2(t, "/stall", "hello", func(t *testing.T, resp *http.Response) {
		var told ends
		body.Watch(resp, &told)
		start := time.Now()
		time.AfterFunc(time.Second, func() { _ = resp.Body.Close() })
		data, err := io.ReadAll(resp.Body)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, "hello", string(data))
		require.Error(t, err)
		synctest.Wait()
		assert.Equal(t, ends{body.ErrAbandoned}, told)
	})
}

// What was peeked at is read again, before the rest or before the reset.
func TestPeekHTTP2(t *testing.T) {
	overHTTP2(t, "/reset", "hello", func(t *testing.T, resp *http.Response) {
		assert.Equal(t, "hel", string(body.Peek(t.Context(), resp, 3, time.Second)))
		data, err := io.ReadAll(resp.Body)
		assert.Equal(t, "hello", string(data))
		require.ErrorContains(t, err, "stream error")
		require.False(t, errors.Is(err, io.EOF))
	})
}

// A stalled stream is discarded in the time that there is for it.
func TestDiscardHTTP2(t *testing.T) {
	overHTTP2(t, "/stall", "hello", func(t *testing.T, resp *http.Response) {
		start := time.Now()
		body.Discard(context.Background(), resp, 1<<10, 50*time.Millisecond)
		assert.Equal(t, 50*time.Millisecond, time.Since(start))
		_, err := resp.Body.Read(make([]byte, 1))
		require.Error(t, err)
	})
}
