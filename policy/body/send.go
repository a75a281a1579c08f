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
