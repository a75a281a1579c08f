package policy_test

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// The error of a request's own body says nothing of the server, whatever it is; what is
// around it may.
func TestClassifyRequestBodyError(t *testing.T) {
	const overloaded = policy.Overloaded
	other := &policy.Error{Verdict: policy.Verdict{Class: overloaded}, Err: io.EOF}
	of := func(err error) error { return &policy.RequestBodyError{Err: err} }
	for _, tt := range []struct {
		err  error
		want policy.Class
	}{
		{of(io.ErrUnexpectedEOF), policy.Unknown},
		{&url.Error{Op: "Post", Err: of(io.ErrUnexpectedEOF)}, policy.Unknown},
		{of(other), policy.Unknown},
		{of(&policy.Refusal{Reason: "breaker_open"}), policy.Unknown},
		{of(fmt.Errorf("the caller: %w", context.Canceled)), policy.Canceled},
		{&policy.Error{Verdict: policy.Verdict{Class: overloaded}, Err: of(io.EOF)}, overloaded},
		{&policy.Error{Verdict: policy.Verdict{Class: policy.Canceled}, Err: of(other)}, policy.Canceled},
	} {
		assert.Equal(t, policy.Verdict{Class: tt.want}, policy.Classify(policy.Outcome{Err: tt.err}), "%v", tt.err)
	}
	assert.EqualError(t, of(io.ErrUnexpectedEOF), "the request's body: unexpected EOF")
}
