package peers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A server's wait is kept in each of its forms, and one that nobody can mean
// ends the call instead of starting a storm, or a sleep of a day.
func TestRetryAfter(t *testing.T) {
	const (
		own   = 7 * time.Millisecond // the peers' backoff
		never = -1                   // the answer is handed on at once
	)
	tests := []struct {
		header                        string
		failsafe, retryable, sparekey time.Duration
	}{
		{"2", 2 * time.Second, 2 * time.Second, 2 * time.Second},
		{"1.5", own, own, 1500 * time.Millisecond},
		{"Sat, 01 Jan 2000 00:00:02 GMT", own, 2 * time.Second, 2 * time.Second},
		{"Saturday, 01-Jan-00 00:00:02 GMT", own, own, 2 * time.Second},
		{"Sat Jan  1 00:00:02 2000", own, own, 2 * time.Second},
		{"86400", 24 * time.Hour, 24 * time.Hour, never},
		{"9223372037", 0, 0, never}, // seconds, which overflow in nanoseconds
	}
	scenario := func(header string) func(*testing.T, transport.Layer) time.Duration {
		return func(t *testing.T, layer transport.Layer) time.Duration {
			upstream := transporttest.NewUpstream(
				transporttest.Reply(http.StatusServiceUnavailable, "", "Retry-After", header),
				transporttest.Reply(http.StatusOK, ""))
			_, _, err := call(t, transport.Chain(upstream, layer), newGet(t.Context()))
			require.NoError(t, err)
			requests := upstream.Requests()
			if len(requests) == 1 {
				return never
			}
			return requests[1].At.Sub(requests[0].At)
		}
	}
	failsafe := func() transport.Layer {
		return policies(failsafehttp.NewRetryPolicyBuilder().WithBackoff(own, time.Second).Build())
	}
	retryable := func() transport.Layer { return retryableFrom(own) }
	sparekey := func() transport.Layer { return transport.Standard(policy.Stack{Total: -1}) }
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			observe(t, scenario(tt.header),
				with("failsafehttp", failsafe, tt.failsafe),
				with("go-retryablehttp", retryable, tt.retryable),
				with("sparekey", sparekey, tt.sparekey))
		})
	}
}

// A wait that outlasts the caller's deadline is a sleep for nothing: the caller
// is better off with the answer, now.
func TestWaitBeyondDeadline(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) result {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			upstream := transporttest.NewUpstream(
				transporttest.Reply(http.StatusServiceUnavailable, "", "Retry-After", "3600"))
			got, _, _ := call(t, transport.Chain(upstream, layer), newGet(ctx))
			return got
		},
		with("failsafehttp", failsafeRetry, result{0, time.Second}),
		with("go-retryablehttp", retryableClient, result{0, time.Second}),
		with("sparekey", sparekeyStandard, result{http.StatusServiceUnavailable, 0}),
	)
}

// When the attempts run out, what the server said last is what the caller should
// get, and an error should tell no secrets.
func TestLastAnswer(t *testing.T) {
	type end struct {
		Status int
		Text   string
		Leaks  bool // the error's text has a cookie in it
	}
	observe(t,
		func(t *testing.T, layer transport.Layer) end {
			upstream := transporttest.NewUpstream(
				transporttest.Reply(http.StatusServiceUnavailable, "why", "Set-Cookie", "session=secret"))
			got, text, err := call(t, transport.Chain(upstream, layer), newGet(t.Context()))
			return end{got.Status, text, err != nil && strings.Contains(err.Error(), "secret")}
		},
		with("failsafehttp", failsafeRetry, end{Leaks: true}),
		with("go-retryablehttp", retryableClient, end{}),
		with("sparekey", sparekeyStandard, end{Status: http.StatusServiceUnavailable, Text: "why"}),
	)
}

// A POST whose fate is unknown is not sent again, unless somebody said that it
// may be.
func TestPostIsNotRepeated(t *testing.T) {
	type sent struct{ Plain, WithKey int }
	observe(t,
		func(t *testing.T, layer transport.Layer) sent {
			count := func(key string) int {
				upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusInternalServerError, ""))
				req := newPost(t.Context(), "order")
				if key != "" {
					req.Header.Set("Idempotency-Key", key)
				}
				_, _, _ = call(t, transport.Chain(upstream, layer), req)
				return upstream.Calls()
			}
			return sent{count(""), count("order-1")}
		},
		with("failsafehttp", failsafeRetry, sent{3, 3}),
		with("go-retryablehttp", retryableClient, sent{5, 5}),
		with("rehttp", rehttpRetry, sent{3, 3}),
		with("sparekey", sparekeyStandard, sent{1, 3}),
	)
}

// A certificate that is not trusted will not be trusted a moment later.
func TestBadCertificateIsNotRepeated(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) int {
			upstream := transporttest.NewUpstream(transporttest.Fail(
				&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}))
			_, _, err := call(t, transport.Chain(upstream, layer), newGet(t.Context()))
			require.Error(t, err)
			return upstream.Calls()
		},
		with("failsafehttp", failsafeRetry, 3),
		with("go-retryablehttp", retryableClient, 1),
		with("sparekey", sparekeyStandard, 1),
	)
}

// A caller who gives up during a wait must find his own cancellation.
func TestCancelDuringWait(t *testing.T) {
	type end struct {
		After    time.Duration
		Canceled bool
	}
	observe(t,
		func(t *testing.T, layer transport.Layer) end {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusBadGateway, ""))
			got, _, err := call(t, transport.Chain(upstream, layer), newGet(ctx))
			require.Error(t, err)
			return end{got.After, errors.Is(err, context.Canceled)}
		},
		with("rehttp", func() transport.Layer { return rehttpLayer(2 * time.Second) }, end{100 * time.Millisecond, false}),
		with("sparekey", func() transport.Layer {
			return transport.Retry(policy.Retry{Backoff: policy.Backoff{Base: 2 * time.Second}, Random: func() float64 { return 0.9 }})
		}, end{100 * time.Millisecond, true}),
	)
}

// A call that fails is no reason to close the idle connections of all others,
// to whichever host.
func TestIdleConnectionsAreLeftAlone(t *testing.T) {
	observe(t,
		func(t *testing.T, layer transport.Layer) int {
			upstream := &idleCounter{RoundTripper: transporttest.NewUpstream(
				transporttest.Reply(http.StatusServiceUnavailable, ""))}
			_, _, _ = call(t, transport.Chain(upstream, layer), newGet(t.Context()))
			return upstream.closed
		},
		with("go-retryablehttp", retryableClient, 1),
		with("sparekey", sparekeyStandard, 0),
	)
}

type idleCounter struct {
	http.RoundTripper
	closed int
}

func (c *idleCounter) CloseIdleConnections() { c.closed++ }

// A budget that is spent must be known before the wait, and must not cost the
// caller the server's answer.
func TestSpentBudget(t *testing.T) {
	const wait = 300 * time.Millisecond
	observe(t,
		func(t *testing.T, layer transport.Layer) result {
			upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusServiceUnavailable, "why"))
			got, _, _ := call(t, transport.Chain(upstream, layer), newGet(t.Context()))
			return got
		},
		with("failsafehttp", func() transport.Layer {
			spent := budget.NewBuilder().WithMaxRate(-1).WithMinConcurrency(0).Build()
			return policies(failsafehttp.NewRetryPolicyBuilder().
				WithDelay(wait).WithBudget(spent).ReturnLastFailure().Build())
		}, result{0, wait}),
		with("sparekey", func() transport.Layer {
			spent := policy.Budget{Ratio: -1, PerSecond: -1, Burst: 0.5} // never a whole token
			return transport.Retry(policy.Retry{Throttled: policy.Backoff{Base: wait}, Budget: spent})
		}, result{http.StatusServiceUnavailable, 0}),
	)
}
