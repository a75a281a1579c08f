package body

import (
	"errors"
	"net/http"
)

// errNoOutcome is what a transport that breaks its contract comes to.
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

// Refuse returns the error with which rt turns req away at once, for a reason that
// it knows without asking anybody, such as an open breaker. The request is then over
// as after a RoundTrip: its body is closed, and the refusal was counted. It returns
// nil, with nothing done, if that is to be seen from a RoundTrip only. Layers forward
// it, as far as what they do leaves a refusal as it is.
func Refuse(rt http.RoundTripper, req *http.Request) error {
	if r, ok := rt.(interface{ Refuse(req *http.Request) error }); ok {
		return r.Refuse(req)
	}
	return nil
}
