package transporttest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestServer(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		body    string
		want    string
	}{
		{
			"echoes a body larger than the connection holds",
			func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) },
			strings.Repeat("0123456789", 100_000),
			strings.Repeat("0123456789", 100_000),
		},
		{
			"answers before the request is read",
			func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "early") },
			strings.Repeat("x", 200_000),
			"early",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, tt.handler)
				postThrice(t, server, tt.body, tt.want, 1)
			})
		})
		t.Run(tt.name+" over HTTP/2", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, tt.handler)
				server.UseHTTP2()
				postThrice(t, server, tt.body, tt.want, 2)
			})
		})
	}
}

func postThrice(t *testing.T, server *transporttest.Server, body, want string, major int) {
	t.Helper()
	for range 3 {
		resp, err := server.Client().Post(server.URL, "text/plain", strings.NewReader(body))
		require.NoError(t, err)
		require.Equal(t, major, resp.ProtoMajor)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, string(got))
	}
}

// Calls at the same time share a connection of HTTP/2.
func TestServerUseHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			_, _ = io.WriteString(w, r.Proto)
		}))
		server.UseHTTP2()
		call := func() {
			resp, err := server.Client().Get(server.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); string(got) != "HTTP/2.0" || err != nil {
				t.Errorf("the answer is %q, %v, want %q", got, err, "HTTP/2.0")
			}
		}
		call() // which dials; net/http may dial for each of several that come first
		var calls sync.WaitGroup
		start := time.Now()
		for range 50 {
			calls.Go(call)
		}
		calls.Wait()
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, 1, server.Conns())
	})
}

func TestServerCountsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.NotFoundHandler())
		get := func() *http.Response {
			resp, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			return resp
		}
		for range 3 {
			resp := get()
			_, err := io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		if got := server.Conns(); got != 1 {
			t.Errorf("Conns() = %d after three calls in turn, want 1", got)
		}
		first, second := get(), get()
		if got := server.Conns(); got != 2 {
			t.Errorf("Conns() = %d with two calls under way, want 2", got)
		}
		require.NoError(t, first.Body.Close())
		require.NoError(t, second.Body.Close())
	})
}

// What still runs when a bubble ends would fail the test.
func TestServerEndsWithItsBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		resp, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
	})
}

// A connection's deadlines are exact, too.
func TestServerConnDeadlines(t *testing.T) {
	tests := []struct {
		name string
		use  func(net.Conn, time.Time) error
	}{
		{"read", func(c net.Conn, at time.Time) error {
			require.NoError(t, c.SetReadDeadline(at))
			_, err := c.Read(make([]byte, 1))
			return err
		}},
		{"write to one who does not read", func(c net.Conn, at time.Time) error {
			require.NoError(t, c.SetWriteDeadline(at))
			_, err := c.Write(make([]byte, 1<<20))
			return err
		}},
		{"both", func(c net.Conn, at time.Time) error {
			require.NoError(t, c.SetDeadline(at))
			_, err := c.Read(make([]byte, 1))
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					t.Cleanup(func() { _ = conn.Close() })
				}))
				conn, err := server.Transport().DialContext(t.Context(), "tcp", "server.test:80")
				require.NoError(t, err)
				defer conn.Close()
				_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: server.test\r\n\r\n")
				require.NoError(t, err)

				start := time.Now()
				if err := tt.use(conn, start.Add(time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("error = %v, want os.ErrDeadlineExceeded", err)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("took %v, want 1s", took)
				}
			})
		})
	}
}

func TestServerClosed(t *testing.T) {
	var server *transporttest.Server
	t.Run("while it lasts", func(t *testing.T) {
		server = transporttest.NewServer(t, http.NotFoundHandler())
		text, err := fetch(t.Context(), server.Transport())
		require.NoError(t, err)
		require.Equal(t, "404 page not found\n", text)
	})
	if _, err := fetch(t.Context(), server.Transport()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error = %v, want net.ErrClosed", err)
	}
}

func TestServerTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Hour):
			case <-r.Context().Done():
			}
		}))
		client := server.Client()
		client.Timeout = time.Minute
		start := time.Now()
		_, err := client.Get(server.URL)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get() error = %v, want a timeout", err)
		}
		if got := time.Since(start); got != time.Minute {
			t.Errorf("Get() took %v, want 1m", got)
		}
	})
}

func TestUpstream(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name     string
		step     transporttest.Step
		want     string // what is read of the body
		wantErr  error  // of the round trip or of the body
		wantTook time.Duration
	}{
		{"reply", transporttest.Reply(200, "hello"), "hello", nil, 0},
		{"empty reply", transporttest.Reply(204, ""), "", nil, 0},
		{"fail", transporttest.Fail(boom), "", boom, 0},
		{"hang", transporttest.Hang(), "", context.DeadlineExceeded, time.Minute},
		{"late reply", transporttest.After(time.Second, transporttest.Reply(200, "hello")), "hello", nil, time.Second},
		{"reply just in time", transporttest.After(time.Minute-1, transporttest.Reply(200, "hello")), "hello", nil, time.Minute - 1},
		{"reply too late", transporttest.After(time.Minute+1, transporttest.Reply(200, "hello")), "", context.DeadlineExceeded, time.Minute},
		{"cut", transporttest.Cut(200, "hel"), "hel", io.ErrUnexpectedEOF, 0},
		{"stall", transporttest.Stall(200, "hel"), "hel", context.DeadlineExceeded, time.Minute},
		{"drip", transporttest.Drip(200, ".", 25*time.Second), "..", context.DeadlineExceeded, time.Minute},
		{"stream", transporttest.Stream(200, []transporttest.Chunk{{Data: "a"}, {After: time.Second, Data: "b"}}), "ab", nil, time.Second},
		{"stream that breaks", transporttest.Stream(200, []transporttest.Chunk{{Data: "a"}, {After: time.Second, Err: boom}}), "a", boom, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				upstream := transporttest.NewUpstream(tt.step)
				start := time.Now()
				got, err := fetch(ctx, upstream)
				if took := time.Since(start); took != tt.wantTook {
					t.Errorf("took %v, want %v", took, tt.wantTook)
				}
				if got != tt.want || !errors.Is(err, tt.wantErr) || (err == nil) != (tt.wantErr == nil) {
					t.Errorf("got %q, %v, want %q, %v", got, err, tt.want, tt.wantErr)
				}
			})
		})
	}
}

// fetch makes one request and reads its answer to the end.
func fetch(ctx context.Context, rt http.RoundTripper) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://up.test/", nil)
	if err != nil {
		return "", err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

func TestUpstreamBodyCloseEndsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Stall(200, ""))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://up.test/", nil)
		require.NoError(t, err)
		resp, err := upstream.RoundTrip(req)
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { _ = resp.Body.Close() })
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("ReadAll() error = %v, want http.ErrBodyReadAfterClose", err)
		}
	})
}

// Who closes a body has read of it what he will, whether or not there is more.
func TestUpstreamBodyIsOverWhenClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Stream(200, []transporttest.Chunk{{Data: "hello"}}))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://up.test/", nil)
		require.NoError(t, err)
		resp, err := upstream.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.ReadFull(resp.Body, make([]byte, 2))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		n, err := resp.Body.Read(make([]byte, 2))
		require.Zero(t, n)
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	})
}

func TestUpstreamEdges(t *testing.T) {
	t.Run("no steps", func(t *testing.T) {
		resp, err := (&http.Client{Transport: transporttest.NewUpstream()}).Get("http://up.test/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	})
	t.Run("panic", func(t *testing.T) {
		require.PanicsWithValue(t, "boom", func() {
			_, _ = fetch(t.Context(), transporttest.NewUpstream(transporttest.Panic("boom")))
		})
	})
	t.Run("a request body that breaks", func(t *testing.T) {
		boom := errors.New("boom")
		upstream := transporttest.NewUpstream()
		_, err := (&http.Client{Transport: upstream}).Post("http://up.test/", "text/plain", iotest.ErrReader(boom))
		require.ErrorIs(t, err, boom)
		require.Equal(t, 1, upstream.Calls())
	})
}

func TestUpstreamRemembersRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(201, ""), transporttest.Reply(202, ""))
		client := &http.Client{Transport: upstream}
		start := time.Now()
		for _, want := range []int{201, 202, 202} {
			resp, err := client.Post("http://up.test/path", "text/plain", strings.NewReader("hello"))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			if resp.StatusCode != want {
				t.Errorf("status = %d, want %d", resp.StatusCode, want)
			}
			time.Sleep(time.Second)
		}
		requests := upstream.Requests()
		require.Len(t, requests, upstream.Calls())
		last := requests[2]
		if last.Method != http.MethodPost || last.URL != "http://up.test/path" || last.Body != "hello" ||
			last.Header.Get("Content-Type") != "text/plain" || last.At.Sub(start) != 2*time.Second {
			t.Errorf("third request = %+v", last)
		}
	})
}

func TestBodies(t *testing.T) {
	var outside, inside transporttest.Bodies
	upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy"), transporttest.Reply(200, "hello"))
	again := outside.Wrap(replayer{inside.Wrap(upstream)})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://up.test/", strings.NewReader("ping"))
	require.NoError(t, err)

	resp, err := again.RoundTrip(req)
	require.NoError(t, err)
	for _, c := range []struct {
		name         string
		counter      *transporttest.Counter
		open, closed int
	}{
		{"outside requests, one of GetBody", &outside.Requests, 2, 2},
		{"outside responses", &outside.Responses, 1, 0},
		{"inside responses", &inside.Responses, 2, 0},
	} {
		if c.counter.Opened() != c.open || c.counter.Closed() != c.closed {
			t.Errorf("%s: %d opened, %d closed, want %d, %d", c.name, c.counter.Opened(), c.counter.Closed(), c.open, c.closed)
		}
	}
	require.NoError(t, resp.Body.Close())
	require.NoError(t, resp.Body.Close())
	outside.Check(t)

	var failed failures
	inside.Check(&failed)
	if len(failed.texts) != 1 || failed.texts[0] != "response bodies: 1 of 2 not closed" {
		t.Errorf("Check() said %q, want that one response is open", failed.texts)
	}
}

// What came of a 101 is still a connection.
func TestBodiesUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_, _ = io.Copy(conn, conn)
		}))
		var bodies transporttest.Bodies
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		resp, err := bodies.Wrap(server.Transport()).RoundTrip(req)
		require.NoError(t, err)
		conn, ok := resp.Body.(io.ReadWriteCloser)
		require.True(t, ok, "the body is a %T", resp.Body)
		_, err = io.WriteString(conn, "hello")
		require.NoError(t, err)
		p := make([]byte, 5)
		_, err = io.ReadFull(conn, p)
		require.NoError(t, err)
		require.Equal(t, "hello", string(p))
		require.NoError(t, conn.Close())
		bodies.Check(t)
	})
}

// replayer sends each request twice and forgets the first answer.
type replayer struct{ next http.RoundTripper }

func (r replayer) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := r.next.RoundTrip(req); err != nil {
		return nil, err
	}
	again := req.Clone(req.Context())
	again.Body, _ = req.GetBody()
	return r.next.RoundTrip(again)
}
