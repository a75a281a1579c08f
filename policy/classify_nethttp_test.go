package policy_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// What net/http says only in texts, and what a server can make look like it.
func TestClassifyTexts(t *testing.T) {
	const graceful = "http2: Transport received Server's graceful shutdown GOAWAY"
	unknown := policy.Verdict{}
	written := func(inner string) string {
		return "http2: Transport: cannot retry err [" + inner + "] after Request.Body was written; define Request.GetBody to avoid this error"
	}
	closed := func(debug string) string {
		return fmt.Sprintf("http2: server sent GOAWAY and closed the connection; LastStreamID=7, ErrCode=NO_ERROR, debug=%q", debug)
	}
	tests := []struct {
		text string
		want policy.Verdict
	}{
		{graceful, unreachable},
		{written(graceful), unreachable},
		{"http2: Transport received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM", unreachable},
		{"http2: client conn not usable", unreachable},
		{"http2: client conn could not be established", unreachable},
		{written("stream error: stream ID 3; REFUSED_STREAM"), unreachable},
		{written("stream error: stream ID 3; REFUSED_STREAM; received from peer"), unreachable},
		{"net/http: TLS handshake timeout", unreachable},

		{closed(""), interrupted},
		{closed(graceful), interrupted},
		{"http2: client connection lost", interrupted},
		{"http2: client conn is closed", interrupted},
		{"http: server closed idle connection", interrupted},
		{"net/http: HTTP/1.x transport connection broken: malformed HTTP response \"http: ContentLength=3 with Body length 5\"", interrupted},
		{"net/http: HTTP/1.x transport connection broken: http: ContentLength=3 with Body length", interrupted},

		{"net/http: HTTP/1.x transport connection broken: http: ContentLength=3 with Body length 5", unknown},
		{written("stream error: stream ID 3; PROTOCOL_ERROR; received from peer"), unknown},
		{written(closed(graceful)), unknown},
		{"http2: client connection force closed via ClientConn.Close", unknown},
		{"the server said: " + graceful, unknown},
		{"the server said: net/http: TLS handshake timeout", unknown},
		{"the server said: http2: client connection lost", unknown},

		{"Internal Server Error", interrupted},
		{"Bad Gateway", interrupted},
		{"Service Unavailable", interrupted},
		{"Gateway Timeout", interrupted},
		{"bad gateway", unknown},
		{"Bad Gateway: 502", unknown},
		{"Forbidden", unknown},
		{"Proxy Authentication Required", unknown},
		{"unknown status code", unknown},
		{"502", unknown},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			err := errors.New(tt.text)
			for _, err := range []error{err, &url.Error{Op: "Post", URL: "http://up.test", Err: fmt.Errorf("layer: %w", err)}} {
				assert.Equal(t, tt.want, policy.Classify(policy.Outcome{Err: err}), "%v", err)
			}
		})
	}
	joined := errors.Join(errors.New("one"), fmt.Errorf("two: %w", errors.New(graceful)))
	assert.Equal(t, unreachable, policy.Classify(policy.Outcome{Err: joined}), "one of several")
	assert.Equal(t, unknown, policy.Classify(policy.Outcome{Err: otherError("Bad Gateway")}), "an error of another type")
}

type otherError string

func (e otherError) Error() string { return string(e) }

// listen serves one connection at a time, and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// post sends a POST whose body can be read once, and returns its error.
func post(t *testing.T, transport *http.Transport, url string) error {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, io.NopCloser(strings.NewReader("hello")))
	require.NoError(t, err)
	resp, err := transport.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.Error(t, err)
	return err
}

// TestClassifyGoAway: net/http's errors for what a server says with GOAWAY, made
// by net/http.
func TestClassifyGoAway(t *testing.T) {
	const rstStream, settings, goAway = 3, 4, 7
	const noError, refusedStream, enhanceYourCalm = 0, 7, 11
	tests := []struct {
		name   string
		answer []byte
		text   string
		want   policy.Verdict
	}{
		{"shuts down, the request untouched", frame(goAway, 0, 0, noError), "graceful shutdown GOAWAY", unreachable},
		{"turns the connection away", frame(goAway, 0, 0, enhanceYourCalm), "ErrCode:ENHANCE_YOUR_CALM", unreachable},
		{"turns the request away", frame(rstStream, 1, refusedStream), "REFUSED_STREAM", unreachable},
		{"shuts down after it got the request", frame(goAway, 0, 1, noError), "closed the connection; LastStreamID=1", interrupted},
		{"fails after it got the request", frame(goAway, 0, 1, enhanceYourCalm), "closed the connection; LastStreamID=1", interrupted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := listen(t, func(conn net.Conn) {
				_, _ = conn.Write(frame(settings, 0))
				awaitBody(conn)
				_, _ = conn.Write(tt.answer)
				if tt.want == interrupted {
					_ = conn.(*net.TCPConn).CloseWrite()
				}
				_, _ = io.Copy(io.Discard, conn) // the client closes
			})
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			err := post(t, &http.Transport{Protocols: protocols}, "http://"+address)
			assert.ErrorContains(t, err, tt.text)
			assert.Equal(t, tt.want, policy.Classify(policy.Outcome{Err: err}))
		})
	}
}

// frame returns an HTTP/2 frame without flags (RFC 9113 section 4.1).
func frame(kind byte, stream uint32, payload ...uint32) []byte {
	f := []byte{0, 0, byte(4 * len(payload)), kind, 0}
	for _, word := range append([]uint32{stream}, payload...) {
		f = binary.BigEndian.AppendUint32(f, word)
	}
	return f
}

// awaitBody reads what an HTTP/2 client sends up to the end of a request's body.
func awaitBody(conn net.Conn) {
	const preface, head, data, endStream = 24, 9, 0, 1
	r := bufio.NewReader(conn)
	_, _ = r.Discard(preface)
	for {
		h := make([]byte, head)
		if _, err := io.ReadFull(r, h); err != nil {
			return
		}
		_, _ = r.Discard(int(h[0])<<16 | int(h[1])<<8 | int(h[2]))
		if h[3] == data && h[4]&endStream != 0 {
			return
		}
	}
}

// TestClassifyProxyAnswer: what a proxy says to a CONNECT, made by net/http.
func TestClassifyProxyAnswer(t *testing.T) {
	tests := []struct {
		answer string
		want   policy.Verdict
	}{
		{"HTTP/1.1 502 Bad Gateway\r\n\r\n", interrupted},
		{"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", interrupted},
		{"HTTP/1.1 503 try 504 or 429\r\n\r\n", policy.Verdict{}},
		{"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", policy.Verdict{}},
		{"HTTP/1.1 403 Forbidden\r\n\r\n", policy.Verdict{}},
		{"HTTP/1.1 500\r\n\r\n", policy.Verdict{}},
		{"", interrupted},
	}
	for _, tt := range tests {
		t.Run(strings.TrimSpace(tt.answer), func(t *testing.T) {
			proxy := listen(t, func(conn net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, tt.answer)
			})
			via := http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})
			err := post(t, &http.Transport{Proxy: via}, "https://up.test")
			assert.Equal(t, tt.want, policy.Classify(policy.Outcome{Err: err}), "%v", err)
		})
	}
}

// A server that answers with what is not HTTP is a server that failed: what it did
// with the request nobody knows.
func TestClassifyNoHTTP(t *testing.T) {
	answers := map[string]string{
		"no status line":  "hello\r\n\r\n",
		"status":          "HTTP/1.1 abc OK\r\n\r\n",
		"negative length": "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
		"two lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"coding":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: nonsense\r\n\r\n",
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			go func() {
				req, err := http.ReadRequest(bufio.NewReader(server))
				if err == nil {
					_ = req.Body.Close()
					_, _ = io.WriteString(server, answer)
				}
				_ = server.Close()
			}()
			rt := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
			t.Cleanup(rt.CloseIdleConnections)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://service.test/", nil)
			require.NoError(t, err)
			resp, err := rt.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			require.Error(t, err)
			assert.Equal(t, interrupted, policy.Classify(policy.Outcome{Err: err}), err)
		})
	}
}
