package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// Each provider's form, to the letter, for each status that a response of ours may
// have.
func TestErrorBodies(t *testing.T) {
	open := policy.Failure{Status: 503, Code: "breaker_open", Message: `it's "open"`, Wait: 1500 * ms}
	rate := policy.Failure{Status: 429, Code: "rate_limit", Message: "m"}
	late := policy.Failure{Status: 504, Code: "timed_out", Message: "m", RequestID: "req_1"}
	dead := policy.Failure{Status: 502, Code: "unreachable", Message: "m"}
	tests := []struct {
		name string
		body policy.ErrorBody
		of   policy.Failure
		want string
	}{
		{"plain", policy.PlainError, open, `{"message":"it's \"open\"","code":"breaker_open"}`},
		{"openai 503", policy.OpenAIError, open, `{"error":{"message":"it's \"open\"","type":"service_unavailable_error","param":null,"code":"breaker_open"}}`},
		{"openai 429", policy.OpenAIError, rate, `{"error":{"message":"m","type":"rate_limit_error","param":null,"code":"rate_limit"}}`},
		{"openai 504", policy.OpenAIError, late, `{"error":{"message":"m","type":"timeout_error","param":null,"code":"timed_out"}}`},
		{"openai 502", policy.OpenAIError, dead, `{"error":{"message":"m","type":"server_error","param":null,"code":"unreachable"}}`},
		{"anthropic 503", policy.AnthropicError, open, `{"type":"error","error":{"type":"overloaded_error","message":"it's \"open\"","details":{"error_code":"breaker_open"}}}`},
		{"anthropic 429", policy.AnthropicError, rate, `{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"rate_limit"}}}`},
		{"anthropic 504", policy.AnthropicError, late, `{"type":"error","error":{"type":"timeout_error","message":"m","details":{"error_code":"timed_out"}},"request_id":"req_1"}`},
		{"anthropic 502", policy.AnthropicError, dead, `{"type":"error","error":{"type":"api_error","message":"m","details":{"error_code":"unreachable"}}}`},
		{"azure", policy.AzureError, open, `{"error":{"code":"503","message":"it's \"open\"","innererror":{"code":"breaker_open"}}}`},
		{"gemini 503", policy.GeminiError, open, `{"error":{"code":503,"message":"it's \"open\"","status":"UNAVAILABLE","details":[` +
			`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"breaker_open","domain":"sparekey"},` +
			`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}`},
		{"gemini 429", policy.GeminiError, rate, `{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[` +
			`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"rate_limit","domain":"sparekey"}]}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, string(tt.body(tt.of)))
		})
	}
}

// A response of ours reads as what it says when it meets a classifier that does
// not know that it is ours: no quota, and not to be repeated.
func TestErrorBodiesClassified(t *testing.T) {
	bodies := map[string]policy.ErrorBody{
		"plain": policy.PlainError, "openai": policy.OpenAIError, "anthropic": policy.AnthropicError,
		"azure": policy.AzureError, "gemini": policy.GeminiError,
	}
	for name, body := range bodies {
		for status, want := range map[int]policy.Class{
			429: policy.RateLimited, 502: policy.Internal, 503: policy.Overloaded, 504: policy.TimedOut,
		} {
			f := policy.Failure{Status: status, Code: "breaker_open", Message: "transport: circuit breaker is open"}
			v := policy.Classify(policy.Outcome{Status: status, Header: map[string][]string{"X-Should-Retry": {"false"}}, Body: body(f)})
			assert.Equal(t, want, v.Class, "%s %d", name, status)
			assert.Equal(t, policy.Nobody, v.Again, "%s %d", name, status)
			assert.Equal(t, f.Message, v.Message, "%s %d", name, status)
		}
	}
}

// What becomes of each kind of error.
func TestResponsesFailure(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	refused := func(reason string, retryAt time.Time) error {
		return &policy.Refusal{Layer: "l", Reason: reason, RetryAt: retryAt, Err: errors.New("said no")}
	}
	all := policy.Responses{Errors: true}
	tests := []struct {
		name       string
		cfg        policy.Responses
		err        error
		retryAt    time.Time // as others have it
		wantStatus int       // zero means that the error stays one
		wantCode   string
		wantWait   time.Duration
	}{
		{"an open breaker", policy.Responses{}, refused("breaker_open", now.Add(3*sec)), time.Time{}, 503, "breaker_open", 3 * sec},
		{"a rate", policy.Responses{}, refused("rate_limit", now.Add(ms)), time.Time{}, 429, "rate_limit", ms},
		{"a full queue", policy.Responses{}, refused("queue_full", time.Time{}), time.Time{}, 503, "queue_full", 0},
		{"a refusal within an error", policy.Responses{}, fmt.Errorf("x: %w", refused("throttled", time.Time{})), now.Add(sec), 503, "throttled", sec},
		{"the refusal knows best", policy.Responses{}, refused("breaker_open", now.Add(3*sec)), now.Add(9 * sec), 503, "breaker_open", 3 * sec},
		{"a wait that is over", policy.Responses{}, refused("breaker_open", now.Add(-sec)), time.Time{}, 503, "breaker_open", 0},
		{"a long wait", policy.Responses{}, refused("breaker_open", now.Add(150*sec)), time.Time{}, 503, "breaker_open", 60 * sec},
		{"a long wait with another bound", policy.Responses{MaxWait: 100 * sec}, refused("breaker_open", now.Add(150*sec)), time.Time{}, 503, "breaker_open", 100 * sec},
		{"a long wait without a bound", policy.Responses{MaxWait: -1}, refused("breaker_open", now.Add(150*sec)), time.Time{}, 503, "breaker_open", 150 * sec},
		{"another error", policy.Responses{}, context.DeadlineExceeded, time.Time{}, 0, "", 0},
		{"time is up", all, &policy.TimeoutError{Scope: "total"}, time.Time{}, 504, "timed_out", 0},
		{"no connection", all, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, now.Add(sec), 502, "unreachable", sec},
		{"no known error", all, errors.New("odd"), time.Time{}, 502, "unknown", 0},
		{"a refusal among all", all, refused("rate_limit", time.Time{}), time.Time{}, 429, "rate_limit", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := policy.Classify(policy.Outcome{Err: tt.err, Now: now})
			f, ok := tt.cfg.Failure(tt.err, v, tt.retryAt, now)
			require.Equal(t, tt.wantStatus != 0, ok)
			assert.Equal(t, tt.wantStatus, f.Status)
			assert.Equal(t, tt.wantCode, f.Code)
			assert.Equal(t, tt.wantWait, f.Wait)
		})
	}
}

// The message is one line of bounded length, and shows no query.
func TestResponsesFailureMessage(t *testing.T) {
	err := &url.Error{Op: "Get", URL: "http://up.test/?key=secret", Err: errors.New("one\ntwo " + strings.Repeat("x", 400))}
	f, ok := policy.Responses{Errors: true}.Failure(err, policy.Verdict{}, time.Time{}, time.Now())
	require.True(t, ok)
	assert.True(t, strings.HasPrefix(f.Message, "one two xxx"), f.Message)
	assert.LessOrEqual(t, len(f.Message), 300)
	assert.NotContains(t, f.Message, "secret")
}

// FuzzErrorBodies: whatever an error says, a provider's form of it is JSON on one
// line.
func FuzzErrorBodies(f *testing.F) {
	f.Add("one\r\nSet-Cookie: a=b\n\n<script>", "breaker\x00\xff\"open", "req\u2028\r\n", int64(-1))
	f.Add("insufficient_quota, see billing", "insufficient_quota", "", int64(1500))
	f.Fuzz(func(t *testing.T, message, code, id string, wait int64) {
		for p, body := range map[policy.Provider]policy.ErrorBody{
			policy.ProviderNyckel: policy.PlainError, policy.ProviderOpenAI: policy.OpenAIError, policy.ProviderAnthropic: policy.AnthropicError,
			policy.ProviderAzureOpenAI: policy.AzureError, policy.ProviderGemini: policy.GeminiError,
		} {
			for _, status := range []int{429, 502, 503, 504} {
				text := body(policy.Failure{Status: status, Code: code, Message: message, RequestID: id, Wait: time.Duration(wait)})
				assert.True(t, json.Valid(text), "%s: %q", p, text)
				assert.NotContains(t, string(text), "\n")
				checkWords(t, policy.ClassifierFor(p)(policy.Outcome{Status: status, Body: text, Now: noon}))
			}
		}
	})
}
