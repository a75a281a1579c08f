package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func requestBodyRules() []rule {
	return []rule{
		{
			Rule{
				Name: "the request's body is closed",
				Text: "The body is closed on every path, also where the request is refused, cancelled or not sent at all. " +
					"It may be a file or a pipe with a writer at its other end.",
				Source: `net/http.RoundTripper: "RoundTrip must always close the body, including on errors"`,
			},
			requestBodyClosed,
			both,
		},
		{
			Rule{
				Name: "an upload is not held back",
				Text: "A body that is written while it is sent reaches the wire as it is written. A layer that " +
					"reads it ahead delays the start by as long as the writing takes, and holds all of it in memory.",
				Source: `RFC 9112 section 7.1: chunked coding "enables content streams of unknown size to be transferred as a sequence of length-delimited buffers"`,
			},
			uploadStreams,
			both,
		},
		{
			Rule{
				Name: "a small upload takes one write",
				Text: "net/http writes the header together with the body if the body is of a type that it knows, one of a " +
					"bytes or strings reader, also within io.NopCloser. Of any other it sends the header by itself, in a packet of its own.",
				Source: `net/http knows these types "to avoid unnecessary TCP packets on the wire": go.dev/issue/22088`,
			},
			uploadInOne,
			http1,
		},
		{
			Rule{
				Name: "trailers of the request are sent",
				Text: "The values of announced trailers are those that the caller sets while the body is read. " +
					"A deep copy of the request misses them.",
				Source: `net/http.Request.Trailer: "the map values can be updated while the request body is read"`,
			},
			requestTrailers,
			both,
		},
	}
}

// A source is the body of a request that was not made of a string.
type source struct {
	io.Reader
	closed atomic.Bool
}

func (s *source) Close() error {
	s.closed.Store(true)
	return nil
}

func requestBodyClosed(p *probe) {
	const gone = -1 // a limit that passed before the call
	broken := errors.New("the request's body fails")
	tests := []struct {
		name  string
		limit time.Duration // of the context
		body  func() io.Reader
		step  Step
		times int
	}{
		{"an answer", time.Minute, hello, Reply(http.StatusOK, "fine"), 1},
		{"answers of which some may be kept", time.Minute, helloJSON, Reply(http.StatusOK, "fine"), 3},
		{"a status of 400", time.Minute, hello, Reply(http.StatusBadRequest, "no"), 1},
		{"a status of 503", time.Minute, hello, Reply(http.StatusServiceUnavailable, "busy"), 1},
		{"many failures, so that some are refused", time.Hour, hello, Fail(errReset), 50},
		{"an answer that is cut short", time.Minute, hello, Cut(http.StatusOK, "hel"), 1},
		{"a body that fails", time.Minute, func() io.Reader { return iotest.ErrReader(broken) }, Reply(http.StatusOK, "fine"), 1},
		{"a context that was over", gone, hello, Hang(), 1},
		{"a deadline", 5 * time.Second, hello, Hang(), 1},
		{"a deadline before a retry", 20 * time.Millisecond, hello, Reply(http.StatusServiceUnavailable, "busy"), 1},
	}
	for _, tt := range tests {
		for _, replayable := range []bool{true, false} {
			rt := p.over(p.wire(p.upstream(tt.step)))
			for range tt.times {
				ctx, cancel := context.WithTimeout(p.Context(), tt.limit)
				body := &source{Reader: tt.body()}
				req := p.post(ctx, base, body)
				if replayable {
					req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(hello()), nil }
				}
				do(rt, req)
				synctest.Wait()
				if !body.closed.Load() {
					p.Errorf("the body is open after %s", tt.name)
				}
				cancel()
			}
		}
	}
}

func hello() io.Reader     { return strings.NewReader("hello") }
func helloJSON() io.Reader { return strings.NewReader(`{"data":"hello"}`) }

func uploadStreams(p *probe) {
	got := make(chan string)
	server := p.server(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for part := make([]byte, 100); ; {
			n, err := r.Body.Read(part)
			if n > 0 {
				select {
				case got <- string(part[:n]):
				case <-p.Context().Done(): // it came too late
				}
			}
			if err != nil {
				return
			}
		}
	}))
	reader, writer := io.Pipe()
	context.AfterFunc(p.Context(), func() { _ = reader.Close() }) // it never fails
	go func() {
		defer func() { _ = writer.Close() }() // it never fails
		for i := range 5 {
			part := fmt.Sprint("part ", i)
			if _, err := io.WriteString(writer, part); p.Context().Err() != nil {
				return // it was not sent, as is told
			} else if err != nil {
				p.Errorf("the body was closed before its end, when %s was written", part)
				return
			}
			select {
			case arrived := <-got:
				if arrived != part {
					p.Errorf("%q arrived, want %q", arrived, part)
				}
			case <-time.After(time.Minute): // by now it should have, but the rest may follow
				p.Errorf("%s did not arrive before there was more", part)
			}
		}
	}()
	o := do(p.over(server.Transport()), p.post(p.Context(), server.URL, reader))
	synctest.Wait() // who writes has seen whether the layer closed the body
	if !o.is(p, http.StatusOK, "") {
		p.Errorf("the upload came to %v, want 200", o)
	}
}

func uploadInOne(p *probe) {
	server := NewServer(p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	dial, writes := server.Transport().DialContext, new(atomic.Int64)
	server.Transport().DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &countingConn{conn, writes}, err
	}
	rt := p.over(server.Transport())
	for i, body := range []io.Reader{strings.NewReader("hello"), bytes.NewReader([]byte("hello")), bytes.NewBufferString("hello")} {
		writes.Store(0)
		if o := do(rt, p.post(p.Context(), fmt.Sprintf("%s/%d", server.URL, i), body)); !o.is(p, http.StatusOK, "") {
			p.Errorf("an upload came to %v, want 200", o)
		}
		if n := writes.Load(); n > 1 {
			p.Errorf("an upload of 5 bytes from a %T took %d writes", body, n)
		}
	}
}

// countingConn is a connection that counts what is written at once.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func requestTrailers(p *probe) {
	server := p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, r.Trailer.Get("X-Sum"))
	}))
	trailer := http.Header{"X-Sum": nil}
	req := p.post(p.Context(), server.URL, io.MultiReader(strings.NewReader("hello"), last(func() { trailer.Set("X-Sum", "42") })))
	req.Trailer = trailer
	if o := do(p.over(server.Transport()), req); !o.is(p, http.StatusOK, "42") {
		p.Errorf("an answer that says which trailer came with the request came to %v, want status 200, \"42\"", o)
	}
}

// last is a reader that calls a func when it is read, and ends.
type last func()

func (f last) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
