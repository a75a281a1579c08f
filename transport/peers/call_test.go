package peers_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// The texts of a call.
var (
	question       = []byte(pad(`{"data":"my card was charged twice, `, `"}`, 200))
	prediction     = pad(`{"labelName":"billing","labelId":"label_`, `","confidence":0.93}`, 100)
	longPrediction = pad(`{"labelName":"billing","confidence":0.93,"note":"`, `"}`, 1<<10)
	overloaded     = `{"message":"The service is overloaded. Try again later."}`
)

func pad(head, tail string, size int) string {
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

// newRequest builds the request of a call: a prediction, or for GET the same
// without a question.
func newRequest(ctx context.Context, method string) *http.Request {
	const url = "http://service.test/v1/functions/tickets/invoke"
	var body io.Reader
	if method == "" {
		method, body = http.MethodPost, bytes.NewReader(question)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		panic(err) // the URL is right
	}
	if body != nil {
		req.Header["Content-Type"] = typeJSON
	}
	return req
}

var typeJSON = []string{"application/json"}

// callContext returns a context for the calls of one goroutine, one after
// another. It can be canceled, as those of servers can, and says that the calls
// may be repeated.
func callContext(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ctx = context.WithValue(ctx, turnKey{}, new(int))
	return policy.WithCall(ctx, policy.Call{Replayable: true})
}

// turnKey is the key of a count of the requests made with a context.
type turnKey struct{}

// answering is a transport that answers at once.
func answering(_ testing.TB, answer string) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		closeBody(req)
		return reply(req, http.StatusOK, answer), nil
	})
}

// failingOnce is a transport whose answer to every other request is a 503.
func failingOnce(_ testing.TB, answer string) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		closeBody(req)
		turn := req.Context().Value(turnKey{}).(*int)
		if *turn++; *turn%2 == 1 {
			return reply(req, http.StatusServiceUnavailable, overloaded), nil
		}
		return reply(req, http.StatusOK, answer), nil
	})
}

// unreachable is a transport to a server that is down.
func unreachable(testing.TB, string) http.RoundTripper {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		closeBody(req)
		return nil, refused
	})
}

// loopback is a transport to a server on this machine, whoever the request is
// for.
func loopback(t testing.TB, answer string) http.RoundTripper {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = typeJSON
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	network := &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
		},
	}
	t.Cleanup(network.CloseIdleConnections)
	return network
}

// askTwice is a caller who repeats a request by hand.
func askTwice(next http.RoundTripper) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		again := req.WithContext(req.Context())
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
		return next.RoundTrip(again)
	})
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// reply is a response as net/http hands them out: of known length, with a body
// that is a reader and nothing else.
func reply(req *http.Request, status int, text string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": typeJSON, "Cache-Control": cacheable, "Date": today},
		Body:          &content{text},
		ContentLength: int64(len(text)),
		Request:       req,
	}
}

// What a cache asks for.
var (
	cacheable = []string{"max-age=86400"}
	today     = []string{time.Now().UTC().Format(http.TimeFormat)}
)

type content struct{ left string }

func (c *content) Read(p []byte) (int, error) {
	if c.left == "" {
		return 0, io.EOF
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (*content) Close() error { return nil }
