package transporttest

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/sparekey/sparekey/policy/body"
)

// Bodies counts the bodies that pass a place in a stack: put Wrap among the
// layers. Outermost it sees what the caller sends and gets, innermost what the
// transport sends and gives. Its zero value is ready to use. It is safe for
// concurrent use.
//
// A request's body is no longer of a type that net/http knows, so that net/http
// sends the header by itself: do not measure with Bodies in place.
type Bodies struct {
	// Requests and Responses are the bodies in either direction. An empty one
	// that is nil or [http.NoBody] does not count.
	Requests, Responses Counter
}

// A Counter counts bodies.
type Counter struct{ opened, closed atomic.Int64 }

// Opened returns how many bodies there were.
func (c *Counter) Opened() int { return int(c.opened.Load()) }

// Closed returns how many of them were closed, once or more.
func (c *Counter) Closed() int { return int(c.closed.Load()) }

// Wrap is a layer that counts.
func (b *Bodies) Wrap(next http.RoundTripper) http.RoundTripper {
	return &counting{bodies: b, next: next}
}

// Check fails the test if a body is open. A transport may close the body of a
// request a little after its round trip: in a bubble, call synctest.Wait first.
func (b *Bodies) Check(t testing.TB) {
	t.Helper()
	for _, d := range []struct {
		name string
		*Counter
	}{{"request", &b.Requests}, {"response", &b.Responses}} {
		if opened, closed := d.Opened(), d.Closed(); opened != closed {
			t.Errorf("%s bodies: %d of %d not closed", d.name, opened-closed, opened)
		}
	}
}

type counting struct {
	bodies *Bodies
	next   http.RoundTripper
}

func (c *counting) CloseIdleConnections() { body.CloseIdle(c.next) }

func (c *counting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(c.request(req))
	if err != nil {
		return nil, err
	}
	if resp.Body != nil && resp.Body != http.NoBody {
		resp.Body = c.bodies.Responses.count(resp.Body)
	}
	return resp, nil
}

// request returns a copy of req with its body and those of GetBody counted.
func (c *counting) request(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		return req
	}
	counted := req.WithContext(req.Context())
	counted.Body = c.bodies.Requests.count(req.Body)
	if req.GetBody != nil {
		counted.GetBody = func() (io.ReadCloser, error) {
			fresh, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			return c.bodies.Requests.count(fresh), nil
		}
	}
	return counted
}

func (c *Counter) count(rc io.ReadCloser) io.ReadCloser {
	c.opened.Add(1)
	b := &counted{ReadCloser: rc, counter: c}
	if w, ok := rc.(io.Writer); ok { // the connection itself, after a 101
		return struct {
			*counted
			io.Writer
		}{b, w}
	}
	return b
}

type counted struct {
	io.ReadCloser
	counter *Counter
	once    atomic.Bool
}

func (b *counted) Close() error {
	if b.once.CompareAndSwap(false, true) {
		b.counter.closed.Add(1)
	}
	return b.ReadCloser.Close()
}
