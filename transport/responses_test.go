package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// refuse is a layer that refuses everything, for d to come.
func refuse(d time.Duration) transport.Layer {
	return func(http.RoundTripper) http.RoundTripper {
		return transport.Func(func(req *http.Request) (*http.Response, error) {
			_ = req.Body.Close()
			return nil, &policy.Refusal{Layer: "breaker", Reason: "breaker_open", RetryAt: time.Now().Add(d), Err: transport.ErrOpen}
		})
	}
}

// A refusal is a whole response, down to the fields that an SDK waits by.
func TestResponsesRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := transport.Chain(nil, transport.Responses(policy.Responses{Body: policy.OpenAIError}), refuse(2500*time.Millisecond))
		req := newRequest(t, t.Context(), http.MethodPost, "hello")
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())

		assert.Equal(t, "503 Service Unavailable", resp.Status)
		assert.Equal(t, int64(len(text)), resp.ContentLength)
		assert.Same(t, req, resp.Request)
		assert.Equal(t, http.Header{
			"Content-Type":   {"application/json"},
			"Content-Length": {"161"},
			"Date":           {"Sat, 01 Jan 2000 00:00:00 GMT"},
			"Retry-After":    {"3"}, // whole seconds, never too early
			"Retry-After-Ms": {"2500"},
			"X-Should-Retry": {"false"},
		}, resp.Header)
		assert.JSONEq(t, `{"error": {"message": "transport: circuit breaker is open, retry at 2000-01-01T00:00:02.5Z",
			"type": "service_unavailable_error", "param": null, "code": "breaker_open"}}`, string(text))
	})
}

// What an error says gets into the body only, whatever it is: the response is one
// response on a wire, too.
func TestResponsesHostileWords(t *testing.T) {
	const words = "a\r\nSet-Cookie: b=c\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\x00\xff"
	hostile := &policy.Error{
		Verdict: policy.Verdict{Class: policy.Internal, Code: words, Message: words, RequestID: words},
		Err:     &policy.Refusal{Layer: words, Reason: words, Err: errors.New(words)},
	}
	for name, body := range map[string]policy.ErrorBody{
		"plain": policy.PlainError, "openai": policy.OpenAIError, "anthropic": policy.AnthropicError,
		"azure": policy.AzureError, "gemini": policy.GeminiError,
	} {
		rt := transport.Responses(policy.Responses{Errors: true, Body: body})(transporttest.NewUpstream(transporttest.Fail(hostile)))
		resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		var wire bytes.Buffer
		require.NoError(t, resp.Write(&wire))
		reader := bufio.NewReader(&wire)
		again, err := http.ReadResponse(reader, nil)
		require.NoError(t, err, name)
		text, err := io.ReadAll(again.Body)
		require.NoError(t, err)
		assert.True(t, json.Valid(text), name)
		assert.Equal(t, 503, again.StatusCode)
		assert.Empty(t, again.Cookies())
		_, err = reader.ReadByte()
		assert.ErrorIs(t, err, io.EOF, "%s: there is one response", name)
	}
}

// Refusals that come at once share nothing.
func TestResponsesConcurrent(t *testing.T) {
	rt := transport.Chain(nil, transport.Responses(policy.Responses{Body: policy.GeminiError}), refuse(time.Minute))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodPost, "hello"))
			if !assert.NoError(t, err) {
				return
			}
			resp.Header.Set("Retry-After", "the caller's")
			text, err := io.ReadAll(resp.Body)
			assert.NoError(t, err)
			assert.True(t, json.Valid(text))
		})
	}
	wg.Wait()
}

func TestResponsesHead(t *testing.T) {
	rt := transport.Chain(nil, transport.Responses(policy.Responses{}), refuse(time.Second))
	req := newRequest(t, t.Context(), http.MethodHead, "")
	req.Body = http.NoBody
	status, text, err := send(t, rt, req)
	require.NoError(t, err)
	assert.Equal(t, 503, status)
	assert.Empty(t, text)
}

// A wait that nobody knows is not given.
func TestResponsesWithoutWait(t *testing.T) {
	rt := transport.Chain(transporttest.NewUpstream(transporttest.Fail(errDial)), transport.Responses(policy.Responses{Errors: true}))
	resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
	require.NoError(t, err)
	assert.Equal(t, 502, resp.StatusCode)
	assert.NotContains(t, resp.Header, "Retry-After")
	assert.NotContains(t, resp.Header, "Retry-After-Ms")
	assert.Equal(t, "false", resp.Header.Get("X-Should-Retry"))
}

// Errors that are no refusals stay as they are, unless they are wanted.
func TestResponsesErrors(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		upstream := transporttest.NewUpstream(transporttest.Fail(errReset))
		rt := transport.Chain(upstream, transport.Responses(policy.Responses{Errors: wanted}))
		status, text, err := get(t, rt)
		if wanted {
			require.NoError(t, err)
			assert.Equal(t, 502, status)
			assert.Contains(t, text, `"code":"interrupted"`)
		} else {
			assert.ErrorIs(t, err, errReset)
		}
	}
}

// A failed answer stays what it is but for the veto, which stands against what the
// server said; a good one is left alone.
func TestResponsesAnswers(t *testing.T) {
	for _, tt := range []struct {
		status int
		header []string
		want   http.Header
	}{
		{200, []string{"X-Should-Retry", "true"}, http.Header{"X-Should-Retry": {"true"}}},
		{302, nil, http.Header{}},
		{400, nil, http.Header{"X-Should-Retry": {"false"}}},
		{429, []string{"X-Should-Retry", "true", "Retry-After", "150"}, http.Header{"X-Should-Retry": {"false"}, "Retry-After": {"150"}}},
		{503, []string{"X-Should-Retry", "false"}, http.Header{"X-Should-Retry": {"false"}}},
	} {
		rt := transport.Responses(policy.Responses{Errors: true})(transporttest.NewUpstream(transporttest.Reply(tt.status, "text", tt.header...)))
		resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, tt.status, resp.StatusCode)
		assert.Equal(t, "text", string(text))
		assert.Equal(t, tt.want, resp.Header)
	}
}

// A transport may leave the header out.
func TestResponsesNoHeader(t *testing.T) {
	rt := transport.Responses(policy.Responses{})(transport.Func(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 500, Body: http.NoBody, Request: req}, nil
	}))
	resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
	require.NoError(t, err)
	assert.Equal(t, "false", resp.Header.Get("X-Should-Retry"))
}

// Who has left, or whose own time is up, gets the error and its cause.
func TestResponsesCallerGone(t *testing.T) {
	left := errors.New("left")
	synctest.Test(t, func(t *testing.T) {
		rt := transport.Responses(policy.Responses{Errors: true})(transporttest.NewUpstream(transporttest.Hang()))
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(left) })
		_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		require.ErrorIs(t, err, left)

		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, _, err = send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// In a stack, time that runs out is the stack's and becomes a response; what the
// trail says is what happened, not what the SDK was told.
func TestResponsesInStack(t *testing.T) {
	for _, tt := range []struct {
		name       string
		step       transporttest.Step
		wantStatus int
		wantCode   string
		wantClass  policy.Class
		wantTook   time.Duration
	}{
		{"time is up", transporttest.Hang(), 504, "timed_out", policy.TimedOut, 2500 * time.Millisecond},
		{"no connection", transporttest.Fail(errDial), 502, "unreachable", policy.Unreachable, 0},
		{"refused", transporttest.Fail(&policy.Refusal{Reason: "queue_full", Err: transport.ErrOpen}), 503, "queue_full", policy.Refused, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				classes := make(map[policy.Class]int)
				layer := transport.Standard(policy.Stack{
					Responses: &policy.Responses{Errors: true}, Total: 3 * time.Second, Retry: policy.Retry{Attempts: 1},
					Attempt: policy.Timeout{FirstByte: 2500 * time.Millisecond}, Limit: policy.Limit{MaxWait: time.Second},
				})
				ctx, trail := traced(t)
				start := time.Now()
				req := newRequest(t, ctx, http.MethodPost, "hello")
				around := func(next http.RoundTripper) http.RoundTripper { // sees what the layers around see
					return transport.Func(func(req *http.Request) (*http.Response, error) {
						resp, err := next.RoundTrip(req)
						classes[telemetry.Judge(resp.Request, resp, err, nil).Class]++
						return resp, err
					})
				}
				status, text, err := send(t, transport.Chain(transporttest.NewUpstream(tt.step), around, layer), req)
				require.NoError(t, err)
				assert.Equal(t, tt.wantStatus, status)
				assert.Contains(t, text, `"code":"`+tt.wantCode+`"`)
				assert.Equal(t, map[policy.Class]int{tt.wantClass: 1}, classes)
				assert.Empty(t, trail.Answer().Source, "no answer of the server")
				assert.Equal(t, tt.wantTook, time.Since(start))
			})
		})
	}
}

// The layer's answer carries the wait that the stack learnt of another layer.
func TestResponsesWaitOfTheTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := transport.Chain(transporttest.NewUpstream(transporttest.Fail(&policy.Error{
			Verdict: policy.Verdict{Class: policy.Internal, RequestID: "req_7"}, RetryAt: time.Now().Add(7 * time.Second), Err: errReset,
		})), transport.Responses(policy.Responses{Errors: true, Body: policy.AnthropicError}))
		resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		assert.Equal(t, "7", resp.Header.Get("Retry-After"))
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(string(text), `"request_id":"req_7"}`), string(text))
	})
}

// An error that does not know when to come back leaves that to the trail.
func TestResponsesWaitBesideTheError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := transport.Responses(policy.Responses{Errors: true})(transport.Func(func(req *http.Request) (*http.Response, error) {
			telemetry.FromContext(req.Context()).Stopped(telemetry.NoPatience, time.Now().Add(7*time.Second))
			return nil, &policy.Error{Verdict: policy.Verdict{Class: policy.Internal}, Err: errReset}
		}))
		ctx, _ := traced(t)
		resp, err := rt.RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, "7", resp.Header.Get("Retry-After"))
	})
}

// What the layers inside have given up on, a retry layer around does not repeat either.
func TestResponsesInsideRetry(t *testing.T) {
	upstream := transporttest.NewUpstream(transporttest.Fail(errDial))
	rt := transport.Chain(upstream, transport.Retry(policy.Retry{}), transport.Responses(policy.Responses{Errors: true}))
	ctx, _ := traced(t) // in which the verdict is kept
	status, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
	require.NoError(t, err)
	assert.Equal(t, 502, status)
	assert.Equal(t, 1, upstream.Calls())
}

// A stack tells of the layer, and it is where it should be.
func TestResponsesInspect(t *testing.T) {
	rt := transport.Chain(nil, transport.Standard(policy.Stack{Responses: &policy.Responses{}, Cache: &policy.Cache{}}))
	parts := transport.Inspect(rt)
	require.Greater(t, len(parts), 3)
	assert.Equal(t, []policy.Kind{policy.KindCall, policy.KindResponses, policy.KindCache},
		[]policy.Kind{parts[0].Kind, parts[1].Kind, parts[2].Kind})
	assert.NoError(t, transport.Lint(rt))
}
