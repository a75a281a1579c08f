package body

import (
	"errors"
	"net/http"
)

// errNoOutcome stands for the response that a transport owes when it has no error.
var errNoOutcome = errors.New("body: the transport returned neither a response nor an error")

// Send sends req through next. It makes up for transports that do not keep to
// the contract of [http.RoundTripper]: if next panics, the request's body is
// closed, since nobody else may do so; a response that is nil with a nil error
// becomes an error; one beside an error is closed; a body that is nil becomes
// [http.NoBody].
func Send(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	done := false
	defer func() {
		if !done {
			CloseRequest(req)
		}
	}()
	resp, err := next.RoundTrip(req)
	done = true
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close() // nobody else gets to see it
		}
		return nil, err
	case resp == nil:
		return nil, errNoOutcome
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	return resp, nil
}

// CloseIdle tells rt to close the connections that nobody uses, if it can: what a
// layer does with [http.Client.CloseIdleConnections] of the client above.
func CloseIdle(rt http.RoundTripper) {
	if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Refuse returns the error with which rt turns req away without sending it, such as
// that of an open breaker, if rt has a method of this name. The request is then over
// as after a RoundTrip: its body is closed, and the refusal was counted. Nil means that
// only a RoundTrip can tell; nothing has been done then. Layers that would hand on a
// refusal unchanged have the method and forward it.
func Refuse(rt http.RoundTripper, req *http.Request) error {
	if r, ok := rt.(interface{ Refuse(req *http.Request) error }); ok {
		return r.Refuse(req)
	}
	return nil
}
