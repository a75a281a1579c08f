package transport

import (
	"io"
	"net/http"

	"github.com/sparekey/sparekey/policy/body"
)

// A Layer wraps a transport. It is an alias, so any foreign wrapper of this form
// is a Layer.
type Layer = func(next http.RoundTripper) http.RoundTripper

// Func is a func as a transport.
type Func func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f Func) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Chain puts layers around base; the first is the outermost. A nil base is
// [http.DefaultTransport], a nil layer is left out. The result forwards
// CloseIdleConnections to base, whatever the layers are.
func Chain(base http.RoundTripper, layers ...Layer) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	rt := base
	for i := len(layers) - 1; i >= 0; i-- {
		if layers[i] != nil {
			rt = forward(layers[i](rt), rt)
		}
	}
	return rt
}

// Wrap returns a copy of client whose transport is wrapped in layers. The client
// itself stays as it is; both use the same connections. A nil client stands for
// a new one.
//
// What the client does by itself, it does around the layers: its Timeout is a deadline
// of the caller's, upon which net/http may put an error of its own in the place of the
// [policy.Error]; and each redirect that it follows is a call of its own, with a total
// timeout, attempts and a trail of its own.
func Wrap(client *http.Client, layers ...Layer) *http.Client {
	if client == nil {
		client = &http.Client{}
	}
	wrapped := *client
	wrapped.Transport = Chain(client.Transport, layers...)
	return &wrapped
}

// idleCloser is what [http.Client.CloseIdleConnections] looks for.
type idleCloser interface{ CloseIdleConnections() }

// forward returns rt, which wraps next, as one that forwards
// CloseIdleConnections to next if it does not do so by itself.
func forward(rt, next http.RoundTripper) http.RoundTripper {
	if _, ok := rt.(idleCloser); ok {
		return rt
	}
	return &forwarder{RoundTripper: rt, next: next}
}

type forwarder struct {
	http.RoundTripper
	next http.RoundTripper
}

func (f *forwarder) CloseIdleConnections() { body.CloseIdle(f.next) }

// broken reports whether a body that ended in err was cut short by something else
// than its reader.
func broken(err error) bool {
	return err != io.EOF && err != body.ErrAbandoned //nolint:errorlint // they come as they are: what wraps io.EOF is a failure
}
