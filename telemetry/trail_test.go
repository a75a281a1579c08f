package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
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
)

func TestTrailOf(t *testing.T) {
	resp, err := send(t, stack(routing, upstream(200, "abc")), t.Context())
	require.NoError(t, err)
	trail := telemetry.TrailOf(resp)
	require.NotNil(t, trail, "the upstream left resp.Request out")
	assert.Equal(t, "ticket_routing", trail.Function())
	assert.Equal(t, 1, trail.AttemptCount())
	assert.Equal(t, target, resp.Request.URL.String())

	assert.Nil(t, telemetry.TrailOf(nil))
	assert.Nil(t, telemetry.TrailOf(&http.Response{}))
	assert.Nil(t, telemetry.TrailOf(&http.Response{Request: newRequest(t, t.Context())}))
}

func TestTrailOfAnotherRequest(t *testing.T) {
	var stray *http.Request
	resp, err := send(t, stack(routing, roundTrip(func(*http.Request) (*http.Response, error) {
		resp := answer(200, "")
		stray = newRequest(t, t.Context())
		resp.Request = stray
		return resp, nil
	})), t.Context())
	require.NoError(t, err)
	assert.NotNil(t, telemetry.TrailOf(resp))
	assert.NotSame(t, stray, resp.Request)
}

func TestTrailKeepsTheRequestBelow(t *testing.T) {
	var sent *http.Request
	resp, err := send(t, stack(routing, roundTrip(func(req *http.Request) (*http.Response, error) {
		sent = req.WithContext(context.WithoutCancel(req.Context()))
		resp := answer(200, "")
		resp.Request = sent
		return resp, nil
	})), t.Context())
	require.NoError(t, err)
	assert.Same(t, sent, resp.Request, "it carries the trail as it is")
}

func TestNewContext(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	assert.Same(t, trail, telemetry.FromContext(ctx))
	assert.Nil(t, telemetry.FromContext(t.Context()))

	_, err := send(t, stack(routing, failing(io.EOF)), ctx)
	require.Error(t, err)
	assert.Equal(t, "ticket_routing", trail.Function())
	require.Len(t, trail.Attempts(), 1)
	assert.Equal(t, policy.Interrupted, trail.Attempts()[0].Verdict.Class)
	assert.Empty(t, trail.Answer().Source)

	resp, err := send(t, stack(routing, upstream(200, "")), ctx)
	require.NoError(t, err)
	assert.NotSame(t, trail, telemetry.TrailOf(resp), "a second call gets its own")
	assert.Equal(t, 1, trail.AttemptCount(), "and leaves the first alone")
	assert.Equal(t, 1, telemetry.TrailOf(resp).AttemptCount())
}

// TestNewContextOnce: of calls that start at once on one context, one gets its
// trail.
func TestNewContextOnce(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	rt := stack(routing, upstream(200, ""))
	trails := make([]*telemetry.Trail, 50)
	var wg sync.WaitGroup
	for i := range trails {
		wg.Go(func() {
			resp, err := send(t, rt, ctx)
			if assert.NoError(t, err) {
				trails[i] = telemetry.TrailOf(resp)
			}
		})
	}
	wg.Wait()
	seen := map[*telemetry.Trail]bool{}
	for _, got := range trails {
		seen[got] = true
		assert.Equal(t, 1, got.AttemptCount())
	}
	assert.Len(t, seen, len(trails))
	assert.True(t, seen[trail])
}

func TestTrailFunction(t *testing.T) {
	tests := []struct {
		name string
		cfg  telemetry.Config
		call policy.Call
		want string
	}{
		{"none", telemetry.Config{}, policy.Call{}, ""},
		{"of the stack", routing, policy.Call{Model: "m"}, "ticket_routing"},
		{"of the call", telemetry.Config{}, policy.Call{Function: "sentiment"}, "sentiment"},
		{"of the call before that of the stack", routing, policy.Call{Function: "sentiment"}, "sentiment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := send(t, stack(tt.cfg, upstream(200, "")), policy.WithCall(t.Context(), tt.call))
			require.NoError(t, err)
			assert.Equal(t, tt.want, telemetry.TrailOf(resp).Function())
		})
	}
}

func TestTrailAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		n := 0
		rt := stack(routing, roundTrip(func(req *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				time.Sleep(time.Second)
				return nil, io.EOF
			}
			return slow(200, io.EOF)(req)
		}), repeat(2))
		resp, err := send(t, rt, t.Context())
		require.NoError(t, err)
		trail := telemetry.TrailOf(resp)
		want := []telemetry.Attempt{
			{
				Number: 1, Start: start, Duration: time.Second,
				Verdict: policy.Verdict{Class: policy.Interrupted, Again: policy.Anywhere},
			},
			{
				Number: 2, Start: start.Add(2 * time.Second), Waited: time.Second, Duration: 3 * time.Second,
				Status: 200, Verdict: policy.Verdict{Class: policy.OK, Executed: policy.Executed},
			},
		}
		assert.Equal(t, want, trail.Attempts())
		assert.Equal(t, time.Second, trail.Waited())
		assert.Equal(t, 5*time.Second, trail.Duration())
		assert.Equal(t, "ticket_routing: live | #1 interrupted 1s | #2 waited 1s 200 ok 3s", trail.String())
		assert.Equal(t, "[function=ticket_routing source=live attempts=2 waited=1s duration=5s]", trail.LogValue().String())
	})
}

// Where there are several endpoints, the trail says which of them each attempt asked.
func TestTrailNamesEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := routing
		cfg.Endpoint = "eu"
		resp, err := send(t, stack(cfg, slow(200, io.EOF)), t.Context())
		require.NoError(t, err)
		assert.Equal(t, "ticket_routing: live | #1 eu 200 ok 3s", telemetry.TrailOf(resp).String())
	})
}

func TestTrailReports(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	assert.Equal(t, "no answer", trail.String())

	first, second := time.Unix(1, 0), time.Unix(2, 0)
	trail.Stopped(telemetry.NoBudget, time.Time{})
	assert.Zero(t, trail.RetryAt())
	trail.Stopped(telemetry.NoPatience, first)
	assert.Equal(t, first, trail.RetryAt())
	trail.Refused(ctx, &policy.Refusal{Layer: "breaker", Reason: "breaker_open", RetryAt: second})
	assert.Equal(t, second, trail.RetryAt())
	trail.Refused(ctx, &policy.Refusal{Layer: "limit", Reason: "queue_full"})
	assert.Equal(t, second, trail.RetryAt(), "a refusal that knows no time takes none away")
	trail.Answered(ctx, telemetry.Answer{Source: telemetry.Stale, Age: time.Minute})
	trail.Answered(ctx, telemetry.Answer{Source: telemetry.Static})

	assert.Equal(t, []telemetry.Note{{Layer: "retry", Reason: "budget"}, {Layer: "retry", Reason: "max_wait"}}, trail.Notes())
	refusals := trail.Refusals()
	require.Len(t, refusals, 2)
	assert.Equal(t, "queue_full", refusals[1].Reason)
	assert.False(t, refusals[0].At.IsZero())
	assert.Equal(t, telemetry.Static, trail.Answer().Source, "the outermost layer has the last word")
	assert.Equal(t, "static | refused by breaker: breaker_open | refused by limit: queue_full | retry stopped: budget | retry stopped: max_wait", trail.String())
}

// TestTrailBounds: 100 of everything, and no more than 32 kept.
func TestTrailBounds(t *testing.T) {
	const many, kept = 100, 32
	synctest.Test(t, func(t *testing.T) {
		sdk := install(t)
		ctx, trail := telemetry.NewContext(t.Context())
		for range many {
			trail.Stopped(telemetry.NoBudget, time.Time{})
			trail.Refused(ctx, &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errors.New("open")})
		}
		_, err := send(t, stack(routing, failing(io.EOF), repeat(many)), ctx)
		require.Error(t, err)
		assert.Len(t, trail.Attempts(), kept)
		assert.Equal(t, many, trail.AttemptCount())
		assert.Equal(t, kept, trail.Attempts()[kept-1].Number)
		assert.Len(t, trail.Notes(), kept)
		assert.Len(t, trail.Refusals(), kept)
		assert.Equal(t, many, policy.ErrorOf(err).Attempts)
		assert.Equal(t, (many-1)*time.Second, trail.Waited())

		assert.Len(t, sdk.spans.GetSpans(), many+1, "every attempt has its span")
		assert.Contains(t, sdk.ended(), " http.request.resend_count=99 ")
	})
}

func TestTrailCopies(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	trail.Stopped("a", time.Time{})
	trail.Refused(ctx, &policy.Refusal{Layer: "a"})
	_, err := send(t, stack(routing, upstream(200, "")), ctx)
	require.NoError(t, err)
	trail.Attempts()[0].Number = 7
	trail.Notes()[0].Reason = "b"
	trail.Refusals()[0].Layer = "b"
	assert.Equal(t, 1, trail.Attempts()[0].Number)
	assert.Equal(t, "a", trail.Notes()[0].Reason)
	assert.Equal(t, "a", trail.Refusals()[0].Layer)
}

func TestNilTrail(t *testing.T) {
	var trail *telemetry.Trail
	ctx := t.Context()
	trail.Answered(ctx, telemetry.Answer{Source: telemetry.Rule})
	report(ctx, trail)
	assert.Empty(t, trail.Function())
	assert.Empty(t, trail.Answer())
	assert.Empty(t, trail.Attempts())
	assert.Empty(t, trail.Refusals())
	assert.Empty(t, trail.Notes())
	assert.Zero(t, trail.AttemptCount())
	assert.Zero(t, trail.Waited())
	assert.Zero(t, trail.RetryAt())
	assert.Zero(t, trail.Duration())
	assert.Equal(t, "no trail", trail.String())

	var b strings.Builder
	newLogger(&b).Info("called", slog.Any("trail", trail))
	assert.Equal(t, "level=INFO msg=called trail.function=\"\" trail.source=\"\" trail.attempts=0 trail.waited=0s trail.duration=0s\n", b.String())
}

// A trail is one call's, whether that is under way, over or yet to come.
func TestTrailReserve(t *testing.T) {
	var none *telemetry.Trail
	assert.False(t, none.Reserve())
	_, trail := telemetry.NewContext(t.Context())
	assert.True(t, trail.Reserve())
	assert.False(t, trail.Reserve())

	ctx, trail := telemetry.NewContext(t.Context())
	_, err := send(t, stack(routing, roundTrip(func(*http.Request) (*http.Response, error) {
		assert.False(t, trail.Reserve(), "meanwhile")
		return answer(200, ""), nil
	})), ctx)
	require.NoError(t, err)
	require.Equal(t, 1, trail.AttemptCount())
	assert.False(t, trail.Reserve(), "afterwards")
}

// TestUnclaimedTrail: without the layers around it, a trail keeps what it is
// told, and nothing else happens.
func TestUnclaimedTrail(t *testing.T) {
	sdk := install(t)
	ctx, trail := telemetry.NewContext(t.Context())
	report(ctx, trail)
	trail.Answered(ctx, telemetry.Answer{Source: telemetry.Rule})
	assert.Equal(t, telemetry.Rule, trail.Answer().Source)
	assert.Equal(t, time.Second, trail.Waited())
	assert.Equal(t, "\n", sdk.measured(t))
}

// TestTrailConcurrent reads a trail while layers write it, as hedged attempts
// do.
func TestTrailConcurrent(t *testing.T) {
	install(t)
	const attempts = 20
	hedge := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			responses := make(chan *http.Response, attempts)
			var wg sync.WaitGroup
			for range attempts {
				wg.Go(func() {
					ctx := req.Context()
					trail := telemetry.FromContext(ctx)
					trail.Waits(ctx, 1, policy.Internal)
					trail.Refused(ctx, &policy.Refusal{})
					trail.LookedUp(ctx, "miss")
					trail.Answered(ctx, telemetry.Answer{Source: telemetry.Live})
					resp, err := next.RoundTrip(req)
					if err == nil {
						responses <- resp
					}
				})
			}
			wg.Wait()
			first := <-responses
			for range attempts - 1 {
				if err := (<-responses).Body.Close(); err != nil {
					return nil, err
				}
			}
			return first, nil
		})
	}
	ctx, trail := telemetry.NewContext(t.Context())
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			_, _, _ = trail.String(), trail.LogValue(), trail.Attempts()
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	_, err := send(t, stack(routing, upstream(200, "abc"), hedge), ctx)
	close(stop)
	reader.Wait()
	require.NoError(t, err)
	assert.Equal(t, attempts, trail.AttemptCount())
	assert.EqualValues(t, attempts, trail.Waited())
	numbers := map[int]bool{}
	for _, a := range trail.Attempts() {
		numbers[a.Number] = true
	}
	assert.Len(t, numbers, attempts)
}

// Layers that stand around the one which claims the trail, such as a limiter, report to it
// while another call of the same context begins.
func TestTrailIsReportedToWhileItIsClaimed(t *testing.T) {
	rt := stack(routing, upstream(200, "abc"))
	for range 50 {
		ctx, trail := telemetry.NewContext(t.Context())
		var both sync.WaitGroup
		both.Go(func() {
			trail.Refused(ctx, &policy.Refusal{Layer: "limit", Reason: "queue_full", Err: errors.New("no")})
			trail.Queued(ctx, time.Second)
		})
		both.Go(func() {
			_, err := send(t, rt, ctx)
			assert.NoError(t, err)
		})
		both.Wait()
		assert.Equal(t, 1, trail.AttemptCount())
	}
}
