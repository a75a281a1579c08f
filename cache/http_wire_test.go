package cache_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// wires are the ways in which the end of an answer shows on the wire. Each serves
// text up to a cut.
var wires = map[string]struct {
	serve http.HandlerFunc // given the text in the header Text and the cut in the header Cut
	http2 bool
	whole bool // its end can be told from a cut
}{
	"HTTP/1.0":         {raw("HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\n"), false, false},
	"HTTP/1.1 length":  {handle(true), false, true},
	"HTTP/1.1 chunked": {handle(false), false, true},
	"HTTP/2 length":    {handle(true), true, true},
	"HTTP/2":           {handle(false), true, true},
}

const wireText = 64 << 10

func cutOf(r *http.Request) (n int) {
	_, _ = fmt.Sscan(r.Header.Get("Cut"), &n)
	return n
}

func handle(announced bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if announced {
			w.Header().Set("Content-Length", fmt.Sprint(wireText))
		}
		cut := cutOf(r)
		_, _ = w.Write([]byte(strings.Repeat("x", cut)))
		if cut < wireText {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
}

func raw(head string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = conn.Close() }()
		writeRaw(buf.Writer, head+strings.Repeat("x", cutOf(r)))
	}
}

func writeRaw(w *bufio.Writer, text string) {
	_, _ = w.WriteString(text)
	_ = w.Flush()
}

// TestHTTPCutAnswers cuts an answer at many points: only what came whole is stored,
// and the caller gets what came.
func TestHTTPCutAnswers(t *testing.T) {
	for name, wire := range wires {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, wire.serve)
				if wire.http2 {
					server.UseHTTP2()
				}
				store := cache.NewStore(cache.StoreConfig{})
				rt := cache.HTTP(cache.HTTPConfig{Store: store})(server.Transport())
				for cut := 0; cut <= wireText; cut += 512 {
					req := get(t, fmt.Sprint("Cut: ", cut))
					req.URL.Scheme, req.URL.Host = "http", "server.test"
					req.URL.Path = fmt.Sprint("/", cut)
					resp, err := rt.RoundTrip(req)
					if err != nil {
						assert.Zero(t, cut, "cut before the header was sent")
						continue
					}
					text, err := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					assert.Len(t, text, cut)
					if wire.whole {
						assert.Equal(t, cut < wireText, err != nil, "cut at %d", cut)
					}
				}
				want := 0
				if wire.whole {
					want = 1
				}
				assert.Equal(t, want, store.Stats().Entries)
				assert.Zero(t, store.Stats().InFlight)
			})
		})
	}
}

// An answer that its reader leaves before its end is not stored.
func TestHTTPAbandonedAnswers(t *testing.T) {
	for name, wire := range wires {
		for _, read := range []int{0, 1, wireText / 2, wireText - 1} {
			t.Run(fmt.Sprintf("%s at %d", name, read), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Cache-Control", "max-age=60")
						for i := range wireText {
							_, _ = w.Write([]byte("x"))
							if i+1 == read || i == 0 {
								_ = http.NewResponseController(w).Flush()
							}
							if i+1 == max(read, 1) {
								time.Sleep(time.Second) // the rest is yet to come
							}
						}
					}))
					if wire.http2 {
						server.UseHTTP2()
					}
					store := cache.NewStore(cache.StoreConfig{})
					rt := cache.HTTP(cache.HTTPConfig{Store: store})(server.Transport())
					req := get(t)
					req.URL.Scheme, req.URL.Host = "http", "server.test"
					resp, err := rt.RoundTrip(req)
					require.NoError(t, err)
					_, err = io.CopyN(io.Discard, resp.Body, int64(read))
					require.NoError(t, err)
					_ = resp.Body.Close()
					time.Sleep(2 * time.Second)
					assert.Zero(t, store.Stats().Entries)
					assert.Zero(t, store.Stats().InFlight)
				})
			})
		}
	}
}

// The bytes of an answer reach its reader as they come, those of an event stream
// included.
func TestHTTPFirstByte(t *testing.T) {
	for _, contentType := range []string{"text/plain", "text/event-stream"} {
		t.Run(contentType, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Cache-Control", "max-age=60")
					w.Header().Set("Content-Type", contentType)
					for range 3 {
						_, _ = io.WriteString(w, "data: x\n\n")
						_ = http.NewResponseController(w).Flush()
						time.Sleep(time.Second)
					}
				}))
				rt := cache.HTTP(cache.HTTPConfig{})(server.Transport())
				req := get(t)
				req.URL.Scheme, req.URL.Host = "http", "server.test"
				start := time.Now()
				resp, err := rt.RoundTrip(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				for i := range 3 {
					_, err := io.ReadFull(resp.Body, make([]byte, len("data: x\n\n")))
					require.NoError(t, err)
					assert.Equal(t, time.Duration(i)*time.Second, time.Since(start))
				}
				_, err = io.ReadAll(resp.Body)
				require.NoError(t, err)
			})
		})
	}
}

// A request that surely did not reach the origin has changed nothing there. One that was
// refused may have been sent before, by a layer that repeats it.
func TestHTTPForgetsWhatMayHaveChanged(t *testing.T) {
	open := &policy.Refusal{Layer: "breaker", Reason: "breaker_open"}
	tests := map[string]struct {
		err     error
		sent    bool // before
		forgets bool
	}{
		"refused":                    {open, false, false},
		"nobody there":               {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false, false},
		"sent, and then refused":     {open, true, true},
		"cut off":                    {io.ErrUnexpectedEOF, false, true},
		"an error that nobody knows": {errDown, false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, handle(true))
				origin := server.Transport()
				rt := cache.HTTP(cache.HTTPConfig{})(transportFunc(func(req *http.Request) (*http.Response, error) {
					if req.Method == http.MethodGet {
						return origin.RoundTrip(req)
					}
					if tt.sent {
						resp, err := origin.RoundTrip(req)
						require.NoError(t, err)
						require.NoError(t, resp.Body.Close())
					}
					return nil, tt.err
				}))
				to := func(method string, header ...string) *http.Request {
					req := get(t, header...)
					req.Method, req.URL.Scheme = method, "http"
					return req
				}
				ask(t, rt, to(http.MethodGet, fmt.Sprint("Cut: ", wireText)))
				_, err := rt.RoundTrip(to(http.MethodPut))
				require.ErrorIs(t, err, tt.err)
				resp, _ := ask(t, rt, to(http.MethodGet, "Cache-Control: only-if-cached"))
				assert.Equal(t, tt.forgets, resp.StatusCode == http.StatusGatewayTimeout)
			})
		})
	}
}
