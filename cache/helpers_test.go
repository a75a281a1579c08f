package cache_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
)

const (
	invokeURL = "https://api.test/v1/functions/tickets/invoke"
	answer    = `{"labelName":"billing","confidence":0.93}`
)

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// service is a transport that answers by a func and counts what goes through.
type service struct {
	respond func(*http.Request) (*http.Response, error)
	calls   atomic.Int64
	opened  atomic.Int64 // bodies of responses
	closed  atomic.Int64
}

// RoundTrip reads and closes the request's body, as net/http does.
func (s *service) RoundTrip(req *http.Request) (*http.Response, error) {
	s.calls.Add(1)
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	resp, err := s.respond(req)
	if resp != nil {
		s.opened.Add(1)
		resp.Body = &countedBody{ReadCloser: resp.Body, closed: &s.closed}
	}
	return resp, err
}

// requireAllClosed fails the test if a response's body is still open.
func (s *service) requireAllClosed(t *testing.T) {
	t.Helper()
	require.Equal(t, s.opened.Load(), s.closed.Load(), "response bodies closed")
}

type countedBody struct {
	io.ReadCloser
	closed *atomic.Int64
	done   atomic.Bool
}

func (b *countedBody) Close() error {
	if b.done.CompareAndSwap(false, true) {
		b.closed.Add(1)
	}
	return b.ReadCloser.Close()
}

// response returns a JSON response as net/http would.
func response(status int, text string) *http.Response {
	return &http.Response{
		Status:        http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(strings.NewReader(text)),
		ContentLength: int64(len(text)),
	}
}

func answering(text string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return response(http.StatusOK, text), nil }
}

var errDown = errors.New("the service is down")

func failing(*http.Request) (*http.Response, error) { return nil, errDown }

// newCall returns a prediction request with its owner's word.
func newCall(t testing.TB, text string, call policy.Call) *http.Request {
	t.Helper()
	return newCallContext(t, context.Background(), text, call)
}

func newCallContext(t testing.TB, ctx context.Context, text string, call policy.Call) *http.Request {
	t.Helper()
	call.Replayable = true
	ctx = policy.WithCall(ctx, call)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, invokeURL, strings.NewReader(text))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// ask sends the request, reads the answer and closes it.
func ask(t testing.TB, rt http.RoundTripper, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(text)
}

// lookups are the figures of a store that tell how requests were answered.
func lookups(s *cache.Store) (hits, stale, misses, bypasses uint64) {
	stats := s.Stats()
	return stats.Hits, stats.Stale, stats.Misses, stats.Bypasses
}

// streamed is a body of which nobody can know that it is in memory.
type streamed struct{ io.ReadCloser }
