package nyckel

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport"
)

// maxAnswer bounds the answer that is read, in bytes.
const maxAnswer = 1 << 20

// verify is the layer that looks into answers. One that is no prediction, such
// as a page that a proxy sends with a status of 200, becomes an error here,
// below the stack: so it is asked for again or replaced, and no cache keeps it.
func verify(next http.RoundTripper) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		resp, err := body.Send(next, req)
		if err != nil || resp.StatusCode != http.StatusOK {
			return resp, err
		}
		err = body.Buffer(resp, maxAnswer)
		wire := resp.Body
		switch ctx := req.Context(); {
		case err != nil && ctx.Err() != nil:
			_ = wire.Close() // it has failed already
			return nil, context.Cause(ctx)
		case err != nil:
			return resp, nil // a body that breaks is the stack's business
		}
		defer wire.Close()
		content, err := io.ReadAll(io.LimitReader(wire, maxAnswer+1))
		if err != nil {
			return nil, err
		}
		if _, err := read(content); err != nil {
			return nil, err
		}
		resp.Body = body.Bytes(content)
		return resp, nil
	})
}

// read returns the prediction that an answer is. What is no JSON did not come
// from the service itself, and asking again may help; what is JSON of another
// form stays so.
func read(content []byte) (*Prediction, error) {
	var verdict policy.Verdict
	prediction, err := decode(content)
	switch {
	case len(content) > maxAnswer:
		err = fmt.Errorf("longer than %d bytes", maxAnswer)
	case err == nil:
		return prediction, nil
	case !json.Valid(content):
		verdict = policy.Verdict{Class: policy.Internal, Again: policy.Anywhere}
	}
	verdict.Executed = policy.Executed
	return nil, &policy.Error{Verdict: verdict, Status: http.StatusOK, Err: fmt.Errorf("malformed answer: %w", err)}
}
