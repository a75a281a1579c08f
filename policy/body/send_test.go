package body_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy/body"
)

type tripper func() (*http.Response, error)

func (f tripper) RoundTrip(*http.Request) (*http.Response, error) { return f() }

// A response beside an error is one that nobody closes.
func TestSendResponseBesideError(t *testing.T) {
	src, boom := newSource("abc", io.EOF), errors.New("boom")
	for _, stray := range []*http.Response{response(src), {}} {
		resp, err := body.Send(tripper(func() (*http.Response, error) { return stray, boom }), &http.Request{})
		assert.Nil(t, resp)
		assert.Equal(t, boom, err)
	}
	assert.Equal(t, 1, src.closed)
}
