package telemetry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// TestJudgeClientTimeout: http.Client.Timeout cancels beside the context, with
// an error that matches nothing. It is a timeout all the same, each time.
func TestJudgeClientTimeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer server.Close()
	client := &http.Client{
		Transport: telemetry.ObserveCall(telemetry.Config{})(server.Client().Transport),
		Timeout:   5 * time.Millisecond,
	}
	for range 30 {
		_, err := client.Post(server.URL, "text/plain", strings.NewReader("x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "sparekey: timed_out: ") // the client keeps nothing but the text
	}
}

// TestJudgeWhoEnded: the same error means different things by who ended the
// exchange.
func TestJudgeWhoEnded(t *testing.T) {
	slow := errors.New("slow")
	tests := []struct {
		name  string
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		err   error
		want  policy.Class
		spare bool
	}{
		{"the caller's deadline, with a cause of its own", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, slow)
		}, slow, policy.TimedOut, true},
		{"the caller, with a cause of his own", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(slow)
			return ctx, func() {}
		}, slow, policy.Canceled, false},
		{"somebody below, while the caller is still there", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return ctx, func() {}
		}, context.Canceled, policy.Canceled, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := tt.ctx(t.Context())
				defer cancel()
				time.Sleep(2 * time.Second)
				req := newRequest(t, ctx)
				assert.Equal(t, tt.want, telemetry.Judge(req, nil, tt.err, nil).Class)
				assert.Equal(t, tt.want, telemetry.JudgeBody(ctx, policy.Verdict{Class: policy.OK}, tt.err).Class)
				assert.Equal(t, tt.spare, telemetry.WantsSpare(req, tt.err, telemetry.Judge(req, nil, tt.err, nil)))
			})
		})
	}
}

// TestObserveStackBelow: an answer that a stack below made up stays one.
func TestObserveStackBelow(t *testing.T) {
	spare := telemetry.Answer{Source: telemetry.Static, Confidence: 0.1, Cause: policy.Internal}
	inner := telemetry.ObserveCall(telemetry.Config{})(roundTrip(func(req *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}
		telemetry.Mark(req, resp.Header, spare)
		return resp, nil
	}))
	resp, err := telemetry.ObserveCall(telemetry.Config{})(inner).RoundTrip(newRequest(t, t.Context()))
	require.NoError(t, err)
	assert.Equal(t, spare, telemetry.TrailOf(resp).Answer())
	assert.Equal(t, spare.Header(), resp.Header.Get(telemetry.HeaderName))
}

// TestObserveBrokenTransport: neither a response nor an error is an error, and a
// panic leaves no body open.
func TestObserveBrokenTransport(t *testing.T) {
	neither := roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil })
	_, err := stack(routing, neither).RoundTrip(newRequest(t, t.Context()))
	require.Error(t, err)

	closed := false
	req := newRequest(t, t.Context())
	req.Body = &closeNoter{Reader: strings.NewReader("x"), closed: &closed}
	panics := roundTrip(func(*http.Request) (*http.Response, error) { panic("below") })
	assert.PanicsWithValue(t, "below", func() { _, _ = stack(routing, panics).RoundTrip(req) })
	assert.True(t, closed, "the request's body is closed")
}

type closeNoter struct {
	io.Reader
	closed *bool
}

func (c *closeNoter) Close() error { *c.closed = true; return nil }
