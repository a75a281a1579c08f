package body_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// Who gets an answer need not ask whether it has a body.
func TestSendAnswerWithoutBody(t *testing.T) {
	resp, err := body.Send(tripper(func() (*http.Response, error) { return &http.Response{}, nil }), new(http.Request))
	require.NoError(t, err)
	assert.Equal(t, http.NoBody, resp.Body)
}

func TestSendNothing(t *testing.T) {
	resp, err := body.Send(tripper(func() (*http.Response, error) { return nil, nil }), new(http.Request))
	assert.Nil(t, resp)
	assert.Error(t, err)
}

// The body of a request is closed by whoever gets it, unless that panics.
func TestSendClosesAfterPanic(t *testing.T) {
	for want, outcome := range []tripper{
		func() (*http.Response, error) { return new(http.Response), nil },
		func() (*http.Response, error) { panic("boom") },
	} {
		src := newSource("abc", io.EOF)
		func() {
			defer func() { _ = recover() }()
			_, _ = body.Send(outcome, &http.Request{Body: src})
		}()
		assert.Equal(t, want, src.closed)
	}
}
