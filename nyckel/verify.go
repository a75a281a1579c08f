package nyckel

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport"
)

// verify returns the layer that looks into answers. One that is none of what was
// asked for, such as a page that a proxy sends with a status of 200, becomes an error
// here, below the stack: so it is asked for again or replaced, and no cache keeps it.
// Answers that the failover of the stack translates are left to that.
func verify(f *policy.Failover) transport.Layer {
	translated := translatedBy(f)
	return func(next http.RoundTripper) http.RoundTripper { return verifier(next, translated) }
}

func verifier(next http.RoundTripper, translated func(*url.URL) bool) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		resp, err := body.Send(next, req)
		if err != nil || resp.StatusCode != http.StatusOK || translated(req.URL) {
			return resp, err
		}
		expected, ok := req.Context().Value(checkerKey{}).(checker)
		if !ok { // of no use but for its status
			return resp, nil
		}
		err = body.Buffer(resp, expected.limit())
		wire := resp.Body
		switch ctx := req.Context(); {
		case err != nil && ctx.Err() != nil:
			_ = wire.Close() // it has failed already
			return nil, context.Cause(ctx)
		case err != nil:
			return resp, nil // a body that breaks is the stack's business
		}
		defer wire.Close()
		content, err := io.ReadAll(io.LimitReader(wire, expected.limit()+1))
		if err != nil {
			return nil, err
		}
		if err := expected.check(content); err != nil {
			return nil, err
		}
		resp.Body = body.Bytes(content)
		return resp, nil
	})
}
