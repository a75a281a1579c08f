package telemetry_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

func TestLogRecords(t *testing.T) {
	until := time.Date(2026, time.March, 14, 12, 0, 5, 0, time.UTC)
	report := func(f func(*http.Request, *telemetry.Trail)) func(http.RoundTripper) http.RoundTripper {
		return func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				f(req, telemetry.FromContext(req.Context()))
				return next.RoundTrip(req)
			})
		}
	}
	transition := func(tr policy.Transition) func(http.RoundTripper) http.RoundTripper {
		return report(func(req *http.Request, trail *telemetry.Trail) { trail.Changed(req.Context(), tr) })
	}
	tests := []struct {
		name     string
		upstream roundTrip
		layer    func(http.RoundTripper) http.RoundTripper
		want     string
	}{
		{"a good answer is no news", upstream(200, ""), nil, ""},
		{
			"failure", upstream(500, ""), nil,
			`level=DEBUG msg="call failed" event.name=sparekey.call.failed function=ticket_routing error.type=internal`,
		},
		{
			"quota", upstream(402, `{"message":"secret"}`), nil,
			`level=ERROR msg="call failed" event.name=sparekey.call.failed function=ticket_routing error.type=quota_exceeded count=1`,
		},
		{
			"credentials", upstream(401, `{"message":"secret"}`), nil,
			`level=ERROR msg="call failed" event.name=sparekey.call.failed function=ticket_routing error.type=unauthenticated count=1`,
		},
		{
			"retry", upstream(503, ""), repeat(2),
			`level=DEBUG msg=retrying event.name=sparekey.retry wait=1s error.type=503` + "\n" +
				`level=DEBUG msg="call failed" event.name=sparekey.call.failed function=ticket_routing error.type=overloaded`,
		},
		{"refusal", upstream(200, ""), report(func(req *http.Request, trail *telemetry.Trail) {
			trail.Refused(req.Context(), &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errors.New("open")})
		}), `level=DEBUG msg=refused event.name=sparekey.refused layer=breaker reason=breaker_open`},
		{"fallback", upstream(200, ""), report(func(req *http.Request, _ *telemetry.Trail) {
			telemetry.Mark(req, http.Header{}, telemetry.Answer{Source: telemetry.Rule, Rule: "billing", Cause: policy.TimedOut})
		}), `level=WARN msg="answered in the service's place" event.name=sparekey.fallback function=ticket_routing source=rule cause=timed_out rule=billing count=1`},
		{"rung that fails", upstream(200, ""), report(func(req *http.Request, trail *telemetry.Trail) {
			trail.RungFailed(req.Context(), "mine", errors.New("panic with a string"))
		}), `level=ERROR msg="rung failed" event.name=sparekey.rung.failed function=ticket_routing rung=mine error="panic with a string"`},
		{"hedge", upstream(200, ""), report(func(req *http.Request, trail *telemetry.Trail) {
			trail.Hedged(req.Context(), telemetry.HedgeWon)
		}), `level=DEBUG msg=hedged event.name=sparekey.hedge outcome=won`},
		{"comparison", upstream(200, ""), report(func(req *http.Request, trail *telemetry.Trail) {
			trail.Compared(req.Context(), "mine", telemetry.Agreed)
		}), ""},
		{"cache hit", upstream(200, ""), report(func(req *http.Request, _ *telemetry.Trail) {
			telemetry.Mark(req, http.Header{}, telemetry.Answer{Source: telemetry.Cache, Age: time.Second})
		}), ""},
		{
			"breaker opens", upstream(200, ""), transition(policy.Transition{Name: "api.test", To: policy.Open, Until: until}),
			`level=WARN msg="breaker open" event.name=sparekey.breaker.open breaker=api.test from=closed until=2026-03-14T12:00:05.000Z`,
		},
		{
			"breaker tries again", upstream(200, ""), transition(policy.Transition{Name: "api.test", From: policy.Open, To: policy.HalfOpen}),
			`level=INFO msg="breaker half_open" event.name=sparekey.breaker.half_open breaker=api.test from=open`,
		},
		{
			"breaker closes", upstream(200, ""), transition(policy.Transition{Name: "api.test", From: policy.HalfOpen, To: policy.Closed}),
			`level=INFO msg="breaker closed" event.name=sparekey.breaker.closed breaker=api.test from=half_open`,
		},
		{
			"breaker is isolated", upstream(200, ""), transition(policy.Transition{Name: "api.test", To: policy.Isolated, Reason: "moving house"}),
			`level=WARN msg="breaker isolated" event.name=sparekey.breaker.isolated breaker=api.test from=closed reason="moving house"`,
		},
		{
			"breaker is released by hand", upstream(200, ""), transition(policy.Transition{Name: "api.test", From: policy.Isolated, To: policy.Closed, Trigger: policy.ByHand}),
			`level=WARN msg="breaker closed" event.name=sparekey.breaker.closed breaker=api.test from=isolated trigger=manual`,
		},
		{
			"breaker that refuses nobody opens", upstream(200, ""), transition(policy.Transition{Name: "api.test", To: policy.Open, MetricsOnly: true}),
			`level=WARN msg="breaker open" event.name=sparekey.breaker.open breaker=api.test from=closed metrics_only=true`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				cfg := telemetry.Config{Function: "ticket_routing", Logger: newLogger(&log)}
				layer := tt.layer
				if layer == nil {
					layer = repeat(1)
				}
				_, err := send(t, stack(cfg, tt.upstream, layer), t.Context())
				assert.NoError(t, err)
				assert.Equal(t, tt.want, strings.TrimSuffix(log.String(), "\n"))
			})
		})
	}
}

// Of the fallbacks that follow a warning each is a record, but none a warning; the next one
// says how many there were.
func TestLogRecordsOfFallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		cfg := telemetry.Config{Function: "f", Logger: newLogger(&log)}
		rt := telemetry.ObserveCall(cfg)(roundTrip(func(req *http.Request) (*http.Response, error) {
			resp := answer(200, "")
			telemetry.Mark(req, resp.Header, telemetry.Answer{Source: telemetry.Static, Cause: policy.Internal})
			return resp, nil
		}))
		for _, after := range []time.Duration{0, 9 * time.Second, time.Second} {
			time.Sleep(after)
			_, err := send(t, rt, t.Context())
			assert.NoError(t, err)
		}
		const text = ` msg="answered in the service's place" event.name=sparekey.fallback function=f source=static cause=internal rule=""`
		assert.Equal(t, "level=WARN"+text+" count=1\nlevel=DEBUG"+text+"\nlevel=WARN"+text+" count=2\n", log.String())
	})
}

// Of calls that fail until somebody does something about it each is a record, but not each
// an error; the next error says how many there were.
func TestLogRecordsOfCallsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		rt := stack(telemetry.Config{Function: "f", Logger: newLogger(&log)}, upstream(401, ""))
		for _, after := range []time.Duration{0, 9 * time.Second, time.Second} {
			time.Sleep(after)
			_, err := send(t, rt, t.Context())
			assert.NoError(t, err)
		}
		const text = ` msg="call failed" event.name=sparekey.call.failed function=f error.type=unauthenticated`
		assert.Equal(t, "level=ERROR"+text+" count=1\nlevel=DEBUG"+text+"\nlevel=ERROR"+text+" count=2\n", log.String())
	})
}

// Of calls that fail until somebody does something about it an event tells, once a minute for
// each function and class.
func TestEventsOfCallsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := new(telemetry.Events)
		start := time.Now()
		for _, status := range []int{200, 402, 500, 401, 402} {
			_, err := send(t, stack(telemetry.Config{Function: "f", Events: events}, upstream(status, "")), t.Context())
			assert.NoError(t, err)
		}
		_, err := send(t, stack(telemetry.Config{Function: "g", Events: events}, upstream(402, "")), t.Context())
		assert.NoError(t, err)
		for _, after := range []time.Duration{time.Minute - 1, 1} {
			time.Sleep(after)
			_, err := send(t, stack(telemetry.Config{Function: "f", Events: events}, upstream(402, "")), t.Context())
			assert.NoError(t, err)
		}
		assert.Equal(t, []telemetry.Event{
			{At: start.Add(time.Minute), Function: "f", Kind: "call", Text: "calls fail: quota_exceeded"},
			{At: start, Function: "g", Kind: "call", Text: "calls fail: quota_exceeded"},
			{At: start, Function: "f", Kind: "call", Text: "calls fail: unauthenticated"},
			{At: start, Function: "f", Kind: "call", Text: "calls fail: quota_exceeded"},
		}, events.Last())
	})
}

// What is repeated because its body broke off is said to be that, and not what went wrong
// earlier.
func TestLogRetryOfBrokenBody(t *testing.T) {
	var log strings.Builder
	answers := []*http.Response{answer(503, ""), answer(200, "abc"), answer(200, "abc")}
	answers[1].Body = io.NopCloser(&broken{io.ErrUnexpectedEOF})
	repeats := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			for _, class := range []policy.Class{policy.Overloaded, policy.Truncated} {
				resp, err := next.RoundTrip(req)
				require.NoError(t, err)
				_, _ = io.Copy(io.Discard, resp.Body)
				require.NoError(t, resp.Body.Close())
				telemetry.FromContext(req.Context()).Waits(req.Context(), time.Second, class)
			}
			return next.RoundTrip(req)
		})
	}
	_, err := send(t, stack(telemetry.Config{Logger: newLogger(&log)}, roundTrip(func(*http.Request) (*http.Response, error) {
		resp := answers[0]
		answers = answers[1:]
		return resp, nil
	}), repeats), t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{
		"level=DEBUG msg=retrying event.name=sparekey.retry wait=1s error.type=503",
		"level=DEBUG msg=retrying event.name=sparekey.retry wait=1s error.type=truncated",
	}, strings.Split(strings.TrimSpace(log.String()), "\n"))
}

// Of a call that met both, the record of a retry names what it is for: the refusal, or the
// last attempt that failed.
func TestLogRetryNamesItsReason(t *testing.T) {
	var log strings.Builder
	rt := stack(telemetry.Config{Logger: newLogger(&log)}, upstream(503, ""), func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			ctx := req.Context()
			trail := telemetry.FromContext(ctx)
			trail.Waits(ctx, time.Second, policy.Refused)
			trail.Waits(ctx, time.Second, policy.Overloaded)
			trail.Refused(ctx, &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errors.New("open")})
			resp, err := next.RoundTrip(req)
			trail.Waits(ctx, time.Second, policy.Refused)
			trail.Waits(ctx, time.Second, policy.Overloaded)
			return resp, err
		})
	})
	_, err := send(t, rt, t.Context())
	require.NoError(t, err)
	var reasons []string
	for line := range strings.Lines(log.String()) {
		if _, reason, ok := strings.Cut(line, "msg=retrying event.name=sparekey.retry wait=1s error.type="); ok {
			reasons = append(reasons, strings.TrimSpace(reason))
		}
	}
	assert.Equal(t, []string{"refused", "overloaded", "breaker_open", "503"}, reasons)
}
