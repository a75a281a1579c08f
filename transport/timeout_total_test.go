package transport_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Whoever keeps the total of the standard stack, it is kept to the nanosecond and
// has its name.
func TestStandardTotal(t *testing.T) {
	const second = time.Second
	stack := func(total, firstByte, idle time.Duration) policy.Stack {
		return policy.Stack{
			Total:   total,
			Attempt: policy.Timeout{FirstByte: firstByte, Idle: idle},
			Retry:   policy.Retry{Backoff: policy.Backoff{Base: 6 * second, Max: 6 * second}, Random: fixed(almostOne), Budget: policy.Budget{Off: true}},
			Breaker: policy.Breaker{Off: true},
			Limit:   policy.Limit{Off: true},
		}
	}
	total := func(d time.Duration) *policy.TimeoutError {
		return &policy.TimeoutError{Scope: "total", Phase: "exchange", Limit: d}
	}
	tests := []struct {
		name      string
		stack     policy.Stack
		steps     []transporttest.Step
		wantErr   *policy.TimeoutError
		wantAfter time.Duration
	}{
		{"no header", stack(10*second, -1, -1), []transporttest.Step{transporttest.Hang()}, total(10 * second), 10 * second},
		{"a stall", stack(15*second, 9*second, 30*second), []transporttest.Step{transporttest.Stall(http.StatusOK, "hel")}, total(15 * second), 15 * second},
		{
			"a stall that the attempt ends", stack(15*second, 9*second, 14*second),
			[]transporttest.Step{transporttest.Stall(http.StatusOK, "hel")},
			&policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: 14 * second}, 14 * second,
		},
		{"a drip", stack(15*second, 9*second, 10*second), []transporttest.Step{transporttest.Drip(http.StatusOK, ".", 4*second)}, total(15 * second), 15 * second},
		{
			"an attempt after a wait", stack(30*second, 5*second, -1),
			[]transporttest.Step{transporttest.Fail(errDial), transporttest.Stall(http.StatusOK, "hel")},
			total(30 * second), 30 * second,
		},
		{
			"an attempt after a wait, with less time than its own", stack(15*second, 9500*time.Millisecond, -1),
			[]transporttest.Step{transporttest.Fail(errDial), transporttest.Hang()},
			total(15 * second), 15 * second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(tt.steps...)
				since := elapsed()
				_, _, err := get(t, transport.Standard(tt.stack)(upstream))
				checkTimeout(t, "error", err, tt.wantErr)
				assert.Equal(t, tt.wantAfter, since())
			})
		})
	}
}

// The caller's end reaches an attempt that keeps the total, under his name.
func TestStandardTotalCallersOwn(t *testing.T) {
	mine := errors.New("mine")
	for phase, step := range map[string]transporttest.Step{
		"before the header": transporttest.Hang(),
		"in the body":       transporttest.Stall(http.StatusOK, "hel"),
	} {
		t.Run(phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(mine) })
				since := elapsed()
				_, _, err := send(t, transport.Standard(policy.Stack{})(transporttest.NewUpstream(step)), newRequest(t, ctx, http.MethodGet, ""))
				require.ErrorIs(t, err, mine)
				assert.Equal(t, time.Second, since())
			})
		})
	}
}

// What the transport below learns of the end: that it was the total.
func TestStandardTotalBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var ctx context.Context
		rt := transport.Standard(policy.Stack{Total: 15 * time.Second})(transport.Func(func(req *http.Request) (*http.Response, error) {
			ctx = req.Context()
			return asking{}.RoundTrip(req)
		}))
		resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		defer resp.Body.Close()
		deadline, _ := ctx.Deadline()
		assert.Equal(t, 15*time.Second, deadline.Sub(start))
		<-ctx.Done()
		assert.Equal(t, 15*time.Second, time.Since(start))
		assert.Equal(t, context.DeadlineExceeded, ctx.Err())
		checkTimeout(t, "cause", context.Cause(ctx), &policy.TimeoutError{Scope: "total", Phase: "exchange", Limit: 15 * time.Second})
	})
}

// A stack within itself keeps the outer one's total, which comes first.
func TestStandardTotalTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		layer := transport.Standard(policy.Stack{Total: 15 * time.Second})
		rt := layer(layer(transporttest.NewUpstream(transporttest.Stall(http.StatusOK, "hel"))))
		since := elapsed()
		_, _, err := get(t, rt)
		checkTimeout(t, "error", err, &policy.TimeoutError{Scope: "total", Phase: "exchange", Limit: 15 * time.Second})
		assert.Equal(t, 15*time.Second, since())
	})
}
