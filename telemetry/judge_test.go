package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// counting returns a classifier that counts its calls.
func counting(calls *int) policy.Classifier {
	return func(o policy.Outcome) policy.Verdict {
		*calls++
		return policy.Classify(o)
	}
}

func TestJudgeDecidesOnce(t *testing.T) {
	for name, next := range map[string]roundTrip{
		"answer": upstream(429, `{"message":"Slow down"}`),
		"error":  failing(io.EOF),
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			cfg := telemetry.Config{Classify: counting(&calls)}
			judging := func(next http.RoundTripper) http.RoundTripper {
				return roundTrip(func(req *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(req)
					for range 3 {
						telemetry.Judge(req, resp, err, nil) // another classifier comes too late
					}
					return resp, err
				})
			}
			resp, err := stack(cfg, next, judging, judging).RoundTrip(newRequest(t, t.Context()))
			if err == nil {
				text, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Equal(t, `{"message":"Slow down"}`, string(text), "the body is as it came")
			}
			assert.Equal(t, 1, calls)
		})
	}
}

func TestJudgeOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got policy.Outcome
		classify := func(o policy.Outcome) policy.Verdict { got = o; return policy.Verdict{} }
		req := newRequest(t, t.Context())

		long := strings.Repeat("x", 2*policy.PeekBytes)
		resp := answer(500, long)
		resp.Header.Set("X-Request-Id", "req_1")
		telemetry.Judge(req, resp, nil, classify)
		assert.Equal(t, policy.Outcome{Status: 500, Header: resp.Header, Body: []byte(long[:policy.PeekBytes]), Now: time.Now()}, got)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, long, string(text))

		resp = answer(400, "abc")
		telemetry.Judge(req, resp, nil, classify)
		assert.Equal(t, policy.Outcome{Status: 400, Header: resp.Header, Body: []byte("abc"), Now: time.Now()}, got, "the first status of an error")

		resp = answer(200, "abc")
		rc := resp.Body
		telemetry.Judge(req, resp, nil, classify)
		assert.Equal(t, policy.Outcome{Status: 200, Header: resp.Header}, got)
		assert.Equal(t, rc, resp.Body, "the body of a good answer is not touched")

		telemetry.Judge(req, nil, io.EOF, classify)
		assert.Equal(t, policy.Outcome{Err: io.EOF, Now: time.Now()}, got)
	})
}

// TestJudgeStalledBody: an error body that does not come holds nobody up for
// longer than a tenth of a second.
func TestJudgeStalledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr, pw := io.Pipe()
		resp := answer(503, "")
		resp.Body = pr
		time.AfterFunc(time.Second, func() {
			_, _ = io.WriteString(pw, "late")
			_ = pw.Close()
		})
		start := time.Now()
		v := telemetry.Judge(newRequest(t, t.Context()), resp, nil, nil)
		assert.Equal(t, 100*time.Millisecond, time.Since(start))
		assert.Equal(t, policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere}, v)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "late", string(text))
	})
}

func TestJudgeCancellation(t *testing.T) {
	limit := &policy.TimeoutError{Scope: "total", Phase: "exchange", Limit: time.Second}
	timedOut := policy.Verdict{Class: policy.TimedOut, Again: policy.Anywhere}
	canceled := policy.Verdict{Class: policy.Canceled}
	interrupted := policy.Verdict{Class: policy.Interrupted, Again: policy.Anywhere}
	with := func(cause error) func(context.Context) context.Context {
		return func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(cause)
			return ctx
		}
	}
	tests := []struct {
		name string
		ctx  func(context.Context) context.Context
		err  error
		want policy.Verdict
	}{
		{"nobody gave up", func(ctx context.Context) context.Context { return ctx }, syscall.ECONNRESET, interrupted},
		{"the caller gave up", with(nil), context.Canceled, canceled},
		{"for a reason", with(errors.New("user left")), errors.New("user left"), canceled},
		{"and the transport says something else", with(nil), syscall.ECONNRESET, canceled},
		{"our limit", with(limit), limit, timedOut},
		{"our limit, and the transport says something else", with(limit), syscall.ECONNRESET, timedOut},
		{"the caller's deadline", func(ctx context.Context) context.Context {
			ctx, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
			cancel()
			return ctx
		}, context.DeadlineExceeded, timedOut},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := tt.ctx(t.Context())
			assert.Equal(t, tt.want, telemetry.Judge(newRequest(t, ctx), nil, tt.err, nil))

			want := tt.want
			want.Executed = policy.Executed
			ok := policy.Verdict{Class: policy.OK}
			assert.Equal(t, want, telemetry.JudgeBody(ctx, ok, tt.err), "in the body")
			assert.Equal(t, ok, telemetry.JudgeBody(ctx, ok, io.EOF), "after a body that came whole")
		})
	}
}

// TestJudgeRefusal: a refusal is one, even if time ran out or the caller left
// before anybody looked at it. Inside another error it is not what ended the call.
func TestJudgeRefusal(t *testing.T) {
	refusal := &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errors.New("open")}
	refused := policy.Verdict{Class: policy.Refused, Again: policy.Elsewhere, Executed: policy.NotExecuted}
	limit := &policy.TimeoutError{Scope: "attempt", Phase: "first byte", Limit: time.Second}
	for name, cause := range map[string]error{"the caller left": nil, "a limit": limit} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			req := newRequest(t, ctx)
			assert.Equal(t, refused, telemetry.Judge(req, nil, refusal, nil))
			assert.NotEqual(t, policy.Refused, telemetry.Judge(req, nil, fmt.Errorf("token: %w", refusal), nil).Class)
		})
	}
	t.Run("by a classifier of one's own", func(t *testing.T) {
		want := policy.Verdict{Class: policy.Overloaded}
		classify := func(o policy.Outcome) policy.Verdict {
			assert.Same(t, refusal, o.Err)
			return want
		}
		assert.Equal(t, want, telemetry.Judge(newRequest(t, t.Context()), nil, refusal, classify))
	})
}

func TestJudgeBody(t *testing.T) {
	ok := policy.Verdict{Class: policy.OK, Executed: policy.Executed}
	limited := policy.Verdict{Class: policy.RateLimited, Wait: time.Second}
	truncated := policy.Verdict{Class: policy.Truncated, Again: policy.Anywhere, Executed: policy.Executed}
	tests := []struct {
		name    string
		verdict policy.Verdict
		err     error
		want    policy.Verdict
	}{
		{"read to its end", ok, io.EOF, ok},
		{"given up by the reader", ok, body.ErrAbandoned, ok},
		{"cut short", ok, io.ErrUnexpectedEOF, truncated},
		{"an error's body cut short", limited, io.ErrUnexpectedEOF, limited},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, telemetry.JudgeBody(t.Context(), tt.verdict, tt.err))
		})
	}
}

// TestJudgeBuffered: a body that was found broken overrules the header.
func TestJudgeBuffered(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	var before, after policy.Verdict
	buffering := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			before = telemetry.Judge(req, resp, nil, nil)
			if body.Buffer(resp, 1<<10) == nil {
				return nil, errors.New("the body came whole")
			}
			after = telemetry.Judge(req, resp, nil, nil)
			return resp, nil
		})
	}
	cut := roundTrip(func(*http.Request) (*http.Response, error) {
		resp := answer(200, "")
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("abc"), readFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })))
		return resp, nil
	})
	_, err := send(t, stack(routing, cut, buffering), ctx)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, policy.OK, before.Class)
	assert.Equal(t, policy.Truncated, after.Class)
	assert.Equal(t, policy.Truncated, trail.Attempts()[0].Verdict.Class)
	assert.Empty(t, trail.Answer().Source, "there is no answer")
}

// TestJudgeBufferedError: an error status stays what it is.
func TestJudgeBufferedError(t *testing.T) {
	resp := answer(429, "")
	resp.Body = io.NopCloser(readFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }))
	require.Error(t, body.Buffer(resp, 1<<10))
	assert.Equal(t, policy.RateLimited, telemetry.Judge(newRequest(t, t.Context()), resp, nil, nil).Class)

	resp.StatusCode = 400
	assert.Equal(t, policy.Invalid, telemetry.Judge(newRequest(t, t.Context()), resp, nil, nil).Class)
}

// unhashable is an error that cannot be compared.
type unhashable []string

func (u unhashable) Error() string { return strings.Join(u, ", ") }

func TestJudgeForgets(t *testing.T) {
	ctx, _ := telemetry.NewContext(t.Context())
	req := newRequest(t, ctx)
	calls := 0
	classify := counting(&calls)

	outcomes := make([]*http.Response, 9)
	for i := range outcomes {
		outcomes[i] = answer(200, "")
		telemetry.Judge(req, outcomes[i], nil, classify)
	}
	assert.Equal(t, 9, calls)
	telemetry.Judge(req, outcomes[8], nil, classify)
	telemetry.Judge(req, outcomes[1], nil, classify)
	assert.Equal(t, 9, calls, "the latest eight are kept")
	telemetry.Judge(req, outcomes[0], nil, classify)
	assert.Equal(t, 10, calls, "the first of nine is not")

	telemetry.Judge(req, nil, unhashable{"a"}, classify)
	telemetry.Judge(req, nil, unhashable{"a"}, classify)
	assert.Equal(t, 12, calls, "errors that cannot be compared are decided each time")
	telemetry.Judge(req, nil, io.EOF, classify)
	telemetry.Judge(req, nil, io.ErrUnexpectedEOF, classify)
	telemetry.Judge(req, nil, io.EOF, classify)
	assert.Equal(t, 14, calls, "each error has a verdict of its own")
	telemetry.Judge(newRequest(t, t.Context()), outcomes[0], nil, classify)
	telemetry.Judge(newRequest(t, t.Context()), outcomes[0], nil, classify)
	assert.Equal(t, 16, calls, "all without a trail is decided each time")
}

// TestJudgeSameErrorTwice: a sentinel that ends two attempts is one error, but
// the second time the caller may have left; an answer means the same then.
func TestJudgeSameErrorTwice(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ctx, _ = telemetry.NewContext(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://up.test/", http.NoBody)
	require.NoError(t, err)
	assert.Equal(t, policy.Interrupted, telemetry.Judge(req, nil, io.EOF, nil).Class)
	resp := answer(503, "")
	assert.Equal(t, policy.Overloaded, telemetry.Judge(req, resp, nil, nil).Class)
	cancel()
	assert.Equal(t, policy.Canceled, telemetry.Judge(req, nil, io.EOF, nil).Class)
	asked := 0
	assert.Equal(t, policy.Overloaded, telemetry.Judge(req, resp, nil, counting(&asked)).Class)
	assert.Zero(t, asked, "an answer means what it did")
}

// An error event in a stream is what its verdict says, before the body is read and
// at its end.
func TestJudgeStreamError(t *testing.T) {
	want := policy.Verdict{Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted}
	failure := &policy.StreamError{Verdict: want}
	assert.Equal(t, want, telemetry.JudgeBody(t.Context(), policy.Verdict{Class: policy.OK}, failure))

	resp := &http.Response{StatusCode: http.StatusOK, Body: brokenBody{failure}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://up.test/", nil)
	require.NoError(t, err)
	assert.Equal(t, want, telemetry.Judge(req, resp, nil, nil))
}

// brokenBody says of itself that it is broken.
type brokenBody struct{ err error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }
func (b brokenBody) Close() error             { return nil }
func (b brokenBody) Broken() error            { return b.err }

// An attempt that something other than the caller canceled can be made again: he still
// waits for an answer.
func TestJudgeCanceledByOthers(t *testing.T) {
	err := fmt.Errorf("below: %w", context.Canceled)
	v := telemetry.Judge(newRequest(t, t.Context()), nil, err, nil)
	assert.Equal(t, policy.Verdict{Class: policy.Canceled, Again: policy.Anywhere}, v)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v = telemetry.Judge(newRequest(t, ctx), nil, err, nil)
	assert.Equal(t, policy.Verdict{Class: policy.Canceled}, v, "by the caller")
}

// TestCallerLeft: who cancels once his time is up, as http.Client does, has not left.
func TestCallerLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, leaveIn := context.WithTimeout(t.Context(), time.Second)
		leaveIn()
		assert.True(t, telemetry.CallerLeft(in))
		at, leaveAt := context.WithCancel(expired{t.Context(), time.Now()})
		assert.False(t, telemetry.CallerLeft(at), "nobody left")
		leaveAt()
		assert.False(t, telemetry.CallerLeft(at), "time is up")
	})
}

// expired is a context that has a deadline, and leaves it to others to keep it.
type expired struct {
	context.Context
	deadline time.Time
}

func (c expired) Deadline() (time.Time, bool) { return c.deadline, true }

// TestWantsSpare: an answer that no rule names is one, an error is none.
func TestWantsSpare(t *testing.T) {
	req := newRequest(t, t.Context())
	for _, class := range []policy.Class{policy.Unknown, policy.Canceled} {
		assert.False(t, telemetry.WantsSpare(req, nil, policy.Verdict{Class: class}), class)
		assert.True(t, telemetry.WantsSpare(req, io.EOF, policy.Verdict{Class: class}), class)
	}
	assert.False(t, telemetry.WantsSpare(req, io.EOF, policy.Verdict{Class: policy.Invalid}), "nothing makes up for a wrong request")
	assert.True(t, telemetry.WantsSpare(req, nil, policy.Verdict{Class: policy.Overloaded}))
	ctx, leave := context.WithCancel(t.Context())
	leave()
	assert.False(t, telemetry.WantsSpare(newRequest(t, ctx), io.EOF, policy.Verdict{Class: policy.Overloaded}))
}
