package nyckel_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// What a caller learns when the service says no, or says nothing.
func TestErrorOfService(t *testing.T) {
	refusedConn := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	tests := []struct {
		name     string
		step     transporttest.Step
		want     policy.Class
		status   int
		attempts int
		text     string
	}{
		{
			"bad request", answer(400, `{"message":"wrong data"}`), policy.Invalid, 400, 1,
			"sparekey: tickets: invalid: status 400: wrong data",
		},
		{
			"bad request with the other key", answer(400, `{"error":"wrong data"}`), policy.Invalid, 400, 1,
			"sparekey: tickets: invalid: status 400: wrong data",
		},
		{
			"token refused again and again", answer(401, `{"message":"no such token"}`), policy.Unauthenticated, 401, 1,
			"sparekey: tickets: unauthenticated: status 401: no such token",
		},
		{
			"quota", answer(402, `{"message":"billing"}`), policy.QuotaExceeded, 402, 1,
			"sparekey: tickets: quota_exceeded: status 402: billing",
		},
		{
			"not yours", answer(403, `{"message":null}`), policy.Forbidden, 403, 1,
			"sparekey: tickets: forbidden: status 403",
		},
		{
			"not there", answer(404, `{"message":"no such function"}`, "X-Request-Id", "r-1"), policy.NotFound, 404, 1,
			"sparekey: tickets: not_found: status 404: no such function (request r-1)",
		},
		{"conflict", answer(409, `{}`), policy.Conflict, 409, 1, "sparekey: tickets: conflict: status 409"},
		{
			"rate limit", answer(429, `{"message":"too many"}`), policy.RateLimited, 429, 3,
			"sparekey: tickets: rate_limited: status 429: too many (3 attempts)",
		},
		{
			"quota in a 429", answer(429, `{"message":"monthly quota used up"}`), policy.QuotaExceeded, 429, 1,
			"sparekey: tickets: quota_exceeded: status 429: monthly quota used up",
		},
		{
			"server error", answer(500, `{"message":"oh no"}`), policy.Internal, 500, 3,
			"sparekey: tickets: internal: status 500: oh no (3 attempts)",
		},
		{
			"page of a gateway", transporttest.Reply(502, "<html>\n<h1>Bad\tGateway</h1>", "Content-Type", "text/html"), policy.Internal, 502, 3,
			"sparekey: tickets: internal: status 502: <html> <h1>Bad Gateway</h1> (3 attempts)",
		},
		{"overloaded", answer(503, ""), policy.Overloaded, 503, 3, "sparekey: tickets: overloaded: status 503 (3 attempts)"},
		{"gateway timeout", answer(504, ""), policy.TimedOut, 504, 3, "sparekey: tickets: timed_out: status 504 (3 attempts)"},
		{"odd success", answer(204, ""), policy.Unknown, 204, 1, "sparekey: tickets: unknown: status 204: unexpected status"},
		{
			"redirect", answer(302, "", "Location", "https://elsewhere.test/"), policy.Unknown, 302, 1,
			"sparekey: tickets: unknown: status 302: unexpected status",
		},
		{
			"redirect that keeps the method", answer(307, "", "Location", "https://elsewhere.test/"), policy.Unknown, 307, 1,
			"sparekey: tickets: unknown: status 307: unexpected status",
		},
		{
			"nobody listens", transporttest.Fail(refusedConn), policy.Unreachable, 0, 3,
			"sparekey: tickets: unreachable: dial tcp: connection refused (3 attempts)",
		},
		{
			"connection broken", transporttest.Fail(syscall.ECONNRESET), policy.Interrupted, 0, 3,
			"sparekey: tickets: interrupted: connection reset by peer (3 attempts)",
		},
		{
			"stall", transporttest.Hang(), policy.TimedOut, 0, 3,
			"sparekey: tickets: timed_out: sparekey: total timeout: exchange exceeded 30s (3 attempts)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(tt.step)
				_, err := s.client(t, policy.Stack{}).Invoke(t.Context(), "tickets", nyckel.Text("hello"), nyckel.ModelID("canary"))
				var failure *nyckel.Error
				require.ErrorAs(t, err, &failure)
				assert.Equal(t, "tickets", failure.Function)
				assert.Equal(t, tt.want, failure.Verdict.Class)
				assert.Equal(t, tt.status, failure.Status)
				assert.Equal(t, tt.attempts, failure.Attempts)
				assert.Zero(t, failure.RetryAt)
				assert.EqualError(t, err, tt.text)
			})
		})
	}
}

func TestErrorRetryAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, stack := range []policy.Stack{{}, once} {
			s := newService(answer(http.StatusTooManyRequests, `{"message":"too many"}`, "Retry-After", "90"))
			_, err := s.client(t, stack).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			failure := policy.ErrorOf(err)
			require.NotNil(t, failure)
			assert.Equal(t, time.Now().Add(90*time.Second), failure.RetryAt)
			assert.Equal(t, 1, failure.Attempts)
			assert.EqualError(t, err, "sparekey: tickets: rate_limited: status 429: too many (retry at 2000-01-01T00:01:30Z)")
		}
	})
}

func TestErrorIs(t *testing.T) {
	t.Run("deadline of the caller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := newService(transporttest.Hang()).client(t, policy.Stack{}).Invoke(ctx, "tickets", nyckel.Text("hello"))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.True(t, policy.ErrorOf(err).Timeout())
		})
	})
	t.Run("time limit of the stack", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, err := newService(transporttest.Hang()).client(t, once).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			var limit *policy.TimeoutError
			require.ErrorAs(t, err, &limit)
			assert.Equal(t, "attempt", limit.Scope)
		})
	})
	t.Run("time limit of the caller's http.Client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newService(transporttest.Hang())
			client := s.client(t, policy.Stack{}, nyckel.WithHTTPClient(&http.Client{Transport: s, Timeout: 2 * time.Second}))
			start := time.Now()
			_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"), nyckel.ModelID("canary"))
			assert.Equal(t, 2*time.Second, time.Since(start))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			failure := policy.ErrorOf(err)
			require.NotNil(t, failure)
			assert.Equal(t, policy.TimedOut, failure.Verdict.Class)
			assert.Equal(t, "tickets", failure.Function)
			assert.Equal(t, 1, failure.Attempts)
			assert.NotContains(t, err.Error(), "canary")
		})
	})
	t.Run("cancellation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := newService().client(t, policy.Stack{}).Invoke(ctx, "tickets", nyckel.Text("hello"))
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, policy.Canceled, policy.ErrorOf(err).Verdict.Class)
		})
	})
	t.Run("open breaker", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := newService(answer(500, "")).client(t, policy.Stack{
				Retry: policy.Retry{Off: true}, Breaker: policy.Breaker{MinCalls: 1, OpenFor: 7 * time.Second, Jitter: -1},
			})
			_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			require.NotErrorIs(t, err, transport.ErrOpen)
			_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			require.ErrorIs(t, err, transport.ErrOpen)
			failure := policy.ErrorOf(err)
			assert.Equal(t, policy.Refused, failure.Verdict.Class)
			assert.Zero(t, failure.Attempts)
			assert.Equal(t, time.Now().Add(7*time.Second), failure.RetryAt)
		})
	})
	t.Run("error of the transport", func(t *testing.T) {
		sentinel := errors.New("no route")
		_, err := newService(transporttest.Fail(sentinel)).client(t, once).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		assert.ErrorIs(t, err, sentinel)
		assert.Equal(t, policy.Unknown, policy.ErrorOf(err).Verdict.Class)
	})
}

// The verdict in the error is the one that the stack acted on.
func TestErrorOwnClassifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(answer(http.StatusTeapot, "{}"))
		client := s.client(t, policy.Stack{Classify: func(o policy.Outcome) policy.Verdict {
			v := policy.Classify(o)
			if o.Status == http.StatusTeapot {
				v.Class, v.Again, v.Message = policy.Overloaded, policy.Anywhere, "steeping"
			}
			return v
		}})
		_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		assert.EqualError(t, err, "sparekey: tickets: overloaded: status 418: steeping (3 attempts)")
	})
}

// A redirect is not followed: the token and the text must not travel.
func TestRedirectIsNotFollowed(t *testing.T) {
	var hosts []string
	s := newService(answer(http.StatusTemporaryRedirect, "", "Location", "https://elsewhere.test/"))
	client := s.client(t, once, nyckel.WithHTTPClient(&http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return nil },
		Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
			hosts = append(hosts, req.URL.Host)
			return s.RoundTrip(req)
		}),
	}))
	_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
	require.Error(t, err)
	assert.Equal(t, "api.test api.test", strings.Join(hosts, " ")) // the token, the call
}
