package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
)

var errOpen = errors.New("transport: circuit breaker is open")

func TestErrorText(t *testing.T) {
	secret := &url.Error{Op: "Post", URL: "https://api.test/v1?externalId=jane%40doe.test", Err: io.EOF}
	tests := []struct {
		name string
		err  policy.Error
		want string
	}{
		{"least", policy.Error{}, "sparekey: unknown"},
		{"class", policy.Error{Verdict: policy.Verdict{Class: policy.Internal}}, "sparekey: internal"},
		{"one attempt is not worth a word", policy.Error{Verdict: policy.Verdict{Class: policy.Internal}, Attempts: 1}, "sparekey: internal"},
		{
			"all",
			policy.Error{
				Function: "ticket_routing",
				Verdict:  policy.Verdict{Class: policy.RateLimited, Code: "slow_down", Message: "Too many requests", RequestID: "req_1"},
				Status:   429,
				Attempts: 3,
				RetryAt:  noon.Add(90 * time.Second).In(time.FixedZone("", 3600)),
				Err:      io.EOF,
			},
			"sparekey: ticket_routing: rate_limited: status 429: Too many requests: EOF (3 attempts, request req_1, retry at 2026-03-14T12:01:30Z)",
		},
		{
			"to come back is said once, and not too early",
			policy.Error{RetryAt: noon.Add(1), Err: fmt.Errorf("call: %w", &policy.Refusal{Err: errOpen, RetryAt: noon.Add(1)})},
			"sparekey: unknown: call: transport: circuit breaker is open, retry at 2026-03-14T12:00:00.001Z",
		},
		{"no URL", policy.Error{Err: secret}, "sparekey: unknown: EOF"},
		{"no URL further in", policy.Error{Err: fmt.Errorf("token: %w", fmt.Errorf("refresh: %w", secret))}, "sparekey: unknown: token: refresh: EOF"},
		{"no URL within a URL's error", policy.Error{Err: &url.Error{Op: "Get", URL: "https://proxy.test?key=1", Err: secret}}, "sparekey: unknown: EOF"},
		{"no URL beside another error", policy.Error{Err: errors.Join(net.ErrClosed, secret)}, "sparekey: unknown: use of closed network connection; EOF"},
		{"a reason of a proxy's making", policy.Error{Err: errors.New("No\rsparekey: ok\x1b[2J\u2028.")}, "sparekey: unknown: No sparekey: ok [2J ."},
		{"inner error without a text", policy.Error{Err: fmt.Errorf("layer%w", errors.New(""))}, "sparekey: unknown: layer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error() =\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestErrorChain(t *testing.T) {
	refusal := &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errOpen}
	inner := &policy.Error{Function: "f", Err: refusal}
	err := error(&url.Error{Op: "Post", URL: "https://api.test", Err: inner})

	if !errors.Is(err, errOpen) {
		t.Error("errors.Is does not find the sentinel of the refusal")
	}
	if got, ok := errors.AsType[*policy.Refusal](err); !ok || got != refusal {
		t.Errorf("errors.AsType = %v, want the refusal", got)
	}
	if got := policy.ErrorOf(err); got != inner {
		t.Errorf("ErrorOf = %v, want the Error inside", got)
	}
	if got := policy.ErrorOf(refusal); got != nil {
		t.Errorf("ErrorOf = %v, want nil", got)
	}
	if got := policy.ErrorOf(nil); got != nil {
		t.Errorf("ErrorOf(nil) = %v, want nil", got)
	}
}

func TestErrorTimeout(t *testing.T) {
	tests := []struct {
		name string
		err  *policy.Error
		want bool
	}{
		{"by the verdict", &policy.Error{Verdict: policy.Verdict{Class: policy.TimedOut}, Status: 504}, true},
		{"by the error", &policy.Error{Verdict: policy.Verdict{Class: policy.Unreachable}, Err: &net.DNSError{IsTimeout: true}}, true},
		{"deadline", &policy.Error{Err: context.DeadlineExceeded}, true},
		{"canceled", &policy.Error{Verdict: policy.Verdict{Class: policy.Canceled}, Err: context.Canceled}, false},
		{"broken", &policy.Error{Verdict: policy.Verdict{Class: policy.Interrupted}, Err: io.EOF}, false},
		{"answered", &policy.Error{Verdict: policy.Verdict{Class: policy.Internal}, Status: 500}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Timeout(); got != tt.want {
				t.Errorf("Timeout() = %v, want %v", got, tt.want)
			}
			wrapped := &url.Error{Op: "Post", URL: "https://api.test", Err: tt.err}
			if got := wrapped.Timeout(); got != tt.want {
				t.Errorf("Timeout() of the *url.Error around it = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRefusalText(t *testing.T) {
	refusal := &policy.Refusal{Err: errOpen}
	if got, want := refusal.Error(), "transport: circuit breaker is open"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	refusal.RetryAt = noon.Add(1500 * time.Millisecond)
	if got, want := refusal.Error(), "transport: circuit breaker is open, retry at 2026-03-14T12:00:01.5Z"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestTimeoutError(t *testing.T) {
	limit := &policy.TimeoutError{Scope: "attempt", Phase: "first byte", Limit: 10 * time.Second}
	if got, want := limit.Error(), "sparekey: attempt timeout: first byte exceeded 10s"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	err := error(&url.Error{Op: "Post", URL: "https://api.test", Err: limit})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("errors.Is(err, context.DeadlineExceeded) = false")
	}
	if errors.Is(err, context.Canceled) {
		t.Error("errors.Is(err, context.Canceled) = true")
	}
	if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
		t.Error("it is no net.Error with a timeout")
	}
	if e, ok := errors.AsType[net.Error](error(limit)); !ok || !e.Timeout() || !e.(interface{ Temporary() bool }).Temporary() {
		t.Error("it is no net.Error with a timeout that may pass")
	}
	if got, ok := errors.AsType[*policy.TimeoutError](err); !ok || got.Phase != "first byte" {
		t.Errorf("errors.AsType = %v, want the limit", got)
	}
}

// A layer of another module may have no sentinel.
func TestRefusalWithoutSentinel(t *testing.T) {
	refusal := &policy.Refusal{Layer: "tenants", Reason: "unpaid"}
	if got, want := refusal.Error(), "tenants: unpaid"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	refusal.RetryAt = noon
	if got, want := refusal.Error(), "tenants: unpaid, retry at 2026-03-14T12:00:00Z"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if f, ok := (policy.Responses{}).Failure(refusal, policy.Classify(policy.Outcome{Err: refusal}), time.Time{}, noon); !ok || f.Code != "unpaid" {
		t.Errorf("Failure = %+v, %v", f, ok)
	}
}
