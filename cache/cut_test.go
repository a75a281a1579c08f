package cache_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// TestMemoKeepsNoPartOfAnAnswer has a server cut an answer of 64 KiB at any point,
// and callers leave at any point, on each version of HTTP.
func TestMemoKeepsNoPartOfAnAnswer(t *testing.T) {
	const size, step = 64 << 10, 512
	text := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	protocols := []struct {
		name  string
		http2 bool
		write func(w http.ResponseWriter, part []byte, whole bool)
		keeps bool // a whole answer
	}{
		{"HTTP/1.0", false, hijacked("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n", false), false},
		{"HTTP/1.0 with a length", false, hijacked(fmt.Sprintf("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size), false), true},
		{"HTTP/1.1 with a length", false, hijacked(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size), false), true},
		{"HTTP/1.1 chunked", false, hijacked("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", true), true},
		{"HTTP/2", true, aborted, true},
	}
	for _, protocol := range protocols {
		t.Run(protocol.name, func(t *testing.T) {
			t.Parallel()
			cut := size
			server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				protocol.write(w, text[:cut], cut == size)
			}))
			if protocol.http2 {
				server.UseHTTP2()
			} else { // the server hangs up, which the client may learn too late
				server.Transport().DisableKeepAlives = true
			}
			send := func(rt http.RoundTripper) *http.Response {
				req := newCall(t, `{}`, policy.Call{})
				target, err := req.URL.Parse(server.URL)
				require.NoError(t, err)
				req.URL, req.Host = target, ""
				resp, err := rt.RoundTrip(req)
				require.NoError(t, err)
				return resp
			}
			for cut = 0; cut <= size; cut += step {
				memo := cache.NewMemo(cache.PredictionsConfig{})
				resp := send(memo.Wrap(server.Transport()))
				got, err := io.ReadAll(resp.Body)
				require.NoError(t, resp.Body.Close())
				want := 0
				if protocol.keeps && cut == size {
					want = 1
				}
				require.Equal(t, want, memo.Stats().Entries, "entries after a cut at %d", cut)
				require.Zero(t, memo.Stats().InFlight)
				if protocol.keeps {
					require.Equal(t, cut < size, err != nil, "the reader learns of a cut at %d", cut)
				}
				require.True(t, bytes.HasPrefix(text, got))
			}
			cut = size
			for left := 0; left < size; left += step {
				memo := cache.NewMemo(cache.PredictionsConfig{})
				resp := send(memo.Wrap(server.Transport()))
				_, err := io.ReadFull(resp.Body, make([]byte, left))
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Zero(t, memo.Stats().Entries, "entries when the caller left after %d", left)
			}
			for _, bound := range []int64{1, step, size - 1} { // over-long
				memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{MaxEntryBytes: bound}})
				resp := send(memo.Wrap(server.Transport()))
				got, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, text, got)
				assert.Zero(t, memo.Stats().Entries, "entries of at most %d", bound)
			}
		})
	}
}

// hijacked returns what writes a part of an answer under a header and then breaks
// the connection off.
func hijacked(header string, chunked bool) func(http.ResponseWriter, []byte, bool) {
	return func(w http.ResponseWriter, part []byte, whole bool) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = conn.Close() }() // the other end may be first
		out := &strings.Builder{}
		out.WriteString(header)
		for len(part) > 0 {
			n := min(len(part), 1000)
			if chunked {
				fmt.Fprintf(out, "%x\r\n", n)
			}
			out.Write(part[:n])
			if chunked {
				out.WriteString("\r\n")
			}
			part = part[n:]
		}
		if chunked && whole {
			out.WriteString("0\r\n\r\n")
		}
		_, _ = io.WriteString(conn, out.String())
	}
}

// aborted writes a part of an answer and then resets the stream.
func aborted(w http.ResponseWriter, part []byte, whole bool) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(part)
	_ = http.NewResponseController(w).Flush()
	if !whole {
		panic(http.ErrAbortHandler)
	}
}
