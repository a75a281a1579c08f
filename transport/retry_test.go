package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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

// waits returns the times between the requests that an upstream was sent.
func waits(u *transporttest.Upstream) []time.Duration {
	var between []time.Duration
	requests := u.Requests()
	for i := 1; i < len(requests); i++ {
		between = append(between, requests[i].At.Sub(requests[i-1].At))
	}
	return between
}

// A call that fails n times waits exactly as the schedule says.
func TestRetryWaits(t *testing.T) {
	const ms = time.Millisecond
	const date = "Sat, 01 Jan 2000 00:00:05 GMT" // five seconds after a bubble's time begins
	tests := []struct {
		name   string
		cfg    policy.Retry // with five attempts
		random float64
		status int
		header []string
		want   []time.Duration
	}{
		{
			"no jitter to speak of",
			policy.Retry{},
			0, 500, nil,
			[]time.Duration{0, 0, 0, 0},
		},
		{
			"half the jitter",
			policy.Retry{},
			0.5, 500, nil,
			[]time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms},
		},
		{
			"all the jitter",
			policy.Retry{},
			almostOne, 500, nil,
			[]time.Duration{100*ms - 1, 200*ms - 1, 400*ms - 1, 800*ms - 1},
		},
		{
			"a cap",
			policy.Retry{Backoff: policy.Backoff{Base: time.Second, Max: 3 * time.Second}},
			almostOne, 500, nil,
			[]time.Duration{time.Second - 1, 2*time.Second - 1, 3*time.Second - 1, 3*time.Second - 1},
		},
		{
			"a factor",
			policy.Retry{Backoff: policy.Backoff{Factor: 3}},
			0.5, 502, nil,
			[]time.Duration{50 * ms, 150 * ms, 450 * ms, 1350 * ms},
		},
		{
			"no backoff",
			policy.Retry{Backoff: policy.Backoff{Base: -1}},
			almostOne, 504, nil,
			[]time.Duration{0, 0, 0, 0},
		},
		{
			"rate limited",
			policy.Retry{},
			0.5, 429, nil,
			[]time.Duration{500 * ms, time.Second, 2 * time.Second, 4 * time.Second},
		},
		{
			"overloaded",
			policy.Retry{},
			0.5, 503, nil,
			[]time.Duration{500 * ms, time.Second, 2 * time.Second, 4 * time.Second},
		},
		{
			"a backoff of one's own when throttled",
			policy.Retry{Throttled: policy.Backoff{Base: time.Minute, Max: time.Hour}},
			0.5, 529, nil,
			[]time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute},
		},
		{
			"the server says seconds",
			policy.Retry{},
			0, 503,
			[]string{"Retry-After", "2"},
			[]time.Duration{2 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second},
		},
		{
			"the server says seconds, jitter or not",
			policy.Retry{},
			almostOne, 500,
			[]string{"Retry-After", "2"},
			[]time.Duration{2 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second},
		},
		{
			"the server says a fraction",
			policy.Retry{},
			0, 429,
			[]string{"Retry-After", "1.5"},
			[]time.Duration{1500 * ms, 1500 * ms, 1500 * ms, 1500 * ms},
		},
		{
			"the server says milliseconds",
			policy.Retry{},
			0, 429,
			[]string{"Retry-After-Ms", "250", "Retry-After", "1"},
			[]time.Duration{250 * ms, 250 * ms, 250 * ms, 250 * ms},
		},
		{
			"the server says more than the backoff's cap",
			policy.Retry{},
			0, 503,
			[]string{"Retry-After", "59"},
			[]time.Duration{59 * time.Second, 59 * time.Second, 59 * time.Second, 59 * time.Second},
		},
		{
			"the server says now",
			policy.Retry{},
			0.5, 500,
			[]string{"Retry-After", "0"},
			[]time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms},
		},
		{
			"the server says a date, which comes",
			policy.Retry{},
			0.5, 500,
			[]string{"Retry-After", date},
			[]time.Duration{5 * time.Second, 100 * ms, 200 * ms, 400 * ms},
		},
		{
			"the server's clock is slow",
			policy.Retry{},
			0, 500,
			[]string{"Retry-After", date, "Date", "Sat, 01 Jan 2000 00:00:02 GMT"},
			[]time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second, 3 * time.Second},
		},
		{
			"the server says what nobody can read",
			policy.Retry{},
			0.5, 500,
			[]string{"Retry-After", "soon"},
			[]time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := tt.cfg
				cfg.Attempts, cfg.Random = 5, fixed(tt.random)
				upstream := transporttest.NewUpstream(transporttest.Reply(tt.status, "no", tt.header...))
				ctx, trail := traced(t)
				since := elapsed()
				status, text, err := send(t, transport.Retry(cfg)(upstream), newRequest(t, ctx, http.MethodGet, ""))
				took := since()
				if status != tt.status || text != "no" || err != nil {
					t.Errorf("got %d %q, %v, want the last answer, %d %q", status, text, err, tt.status, "no")
				}
				if got := waits(upstream); !slices.Equal(got, tt.want) {
					t.Errorf("waits = %v, want %v", got, tt.want)
				}
				var sum time.Duration
				for _, w := range tt.want {
					sum += w
				}
				if took != sum || trail.Waited() != sum {
					t.Errorf("took %v, the trail says %v, want %v", took, trail.Waited(), sum)
				}
				if got := notes(trail); !slices.Equal(got, []string{telemetry.NoneLeft}) {
					t.Errorf("notes = %v, want %v", got, telemetry.NoneLeft)
				}
			})
		})
	}
}

// A wait that is too long ends the call. It is never shortened.
func TestRetryMaxWait(t *testing.T) {
	tests := []struct {
		name       string
		maxWait    time.Duration
		retryAfter string
		wantCalls  int
	}{
		{"as long as accepted", 0, "60", 2},
		{"longer than accepted", 0, "60.001", 1},
		{"as long as accepted by setting", 2 * time.Second, "2", 2},
		{"longer than accepted by setting", 2*time.Second - 1, "2", 1},
		{"no bound", -1, "86400", 2},
		{"no bound, and more than there is", -1, "99999999999999999999", 1}, // the deadline is before it
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, trail := traced(t)
				ctx, cancel := context.WithTimeout(ctx, 100*24*time.Hour)
				defer cancel()
				upstream := transporttest.NewUpstream(
					transporttest.Reply(503, "why", "Retry-After", tt.retryAfter), transporttest.Reply(200, "fine"))
				start := time.Now()
				_, text, err := send(t, transport.Retry(policy.Retry{MaxWait: tt.maxWait})(upstream), newRequest(t, ctx, http.MethodGet, ""))
				require.NoError(t, err)
				if got := upstream.Calls(); got != tt.wantCalls {
					t.Fatalf("%d attempts, want %d", got, tt.wantCalls)
				}
				if tt.wantCalls > 1 {
					return
				}
				if took := time.Since(start); text != "why" || took != 0 {
					t.Errorf("got %q after %v, want the answer %q at once", text, took, "why")
				}
				if wait, _ := policy.WaitHint(http.Header{"Retry-After": {tt.retryAfter}}, start); !trail.RetryAt().Equal(start.Add(wait)) {
					t.Errorf("RetryAt() = %v, want %v later", trail.RetryAt(), wait)
				}
			})
		})
	}
}

// A wait that would not end before the deadline is not begun: the caller has the
// answer at once, and the time left to use it.
func TestRetryDeadline(t *testing.T) {
	const wait = 2 * time.Second
	tests := []struct {
		name      string
		timeout   time.Duration
		wantText  string
		wantAfter time.Duration
		wantNotes []string
	}{
		{"before the wait is over", wait - 1, "why", 0, []string{telemetry.NoTime}},
		{"as the wait is over", wait, "why", 0, []string{telemetry.NoTime}},
		{"after the wait is over", wait + 1, "fine", wait, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := policy.NewBucket(policy.Budget{})
				rt := transport.Retry(policy.Retry{Bucket: bucket})(transporttest.NewUpstream(
					transporttest.Reply(503, "why", "Retry-After", "2"), transporttest.Reply(200, "fine")))
				ctx, trail := traced(t)
				ctx, cancel := context.WithTimeout(ctx, tt.timeout)
				defer cancel()
				start := time.Now()
				_, text, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
				if text != tt.wantText || err != nil {
					t.Errorf("got %q, %v, want %q", text, err, tt.wantText)
				}
				if took := time.Since(start); took != tt.wantAfter {
					t.Errorf("took %v, want %v", took, tt.wantAfter)
				}
				if got := notes(trail); !slices.Equal(got, tt.wantNotes) {
					t.Errorf("notes = %v, want %v", got, tt.wantNotes)
				}
				if tt.wantNotes == nil {
					return
				}
				if !trail.RetryAt().Equal(start.Add(wait)) {
					t.Errorf("RetryAt() = %v, want %v", trail.RetryAt(), start.Add(wait))
				}
				if got := bucket.Tokens(time.Now()); got != 20 {
					t.Errorf("%d tokens are left of 20", got)
				}
			})
		})
	}
	t.Run("of an http.Client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			upstream := transporttest.NewUpstream(transporttest.Reply(503, "why", "Retry-After", "3600"))
			client := transport.Wrap(&http.Client{Transport: upstream, Timeout: time.Second},
				transport.Retry(policy.Retry{MaxWait: -1}))
			since := elapsed()
			status, text, err := get(t, viaClient{client})
			if status != 503 || text != "why" || err != nil || since() != 0 {
				t.Errorf("got %d %q, %v, want the 503 at once", status, text, err)
			}
		})
	})
}

// A caller who gives up during a wait is not kept.
func TestRetryCancelDuringWait(t *testing.T) {
	mine := errors.New("mine")
	tests := []struct {
		name  string
		cause error
		want  error
	}{
		{"without a cause", nil, context.Canceled},
		{"with a cause", mine, mine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				bucket := policy.NewBucket(policy.Budget{PerSecond: -1})
				upstream := transporttest.NewUpstream(transporttest.Reply(503, "why", "Retry-After", "10"))
				rt := transport.Chain(upstream, bodies.Wrap, transport.Retry(policy.Retry{Bucket: bucket}), bodies.Wrap)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() {
					if got := bucket.Tokens(time.Now()); got != 19 {
						t.Errorf("%d tokens are left of 20 during the wait, want 19", got)
					}
					cancel(tt.cause)
				})
				since := elapsed()
				_, _, err := send(t, rt, newRequest(t, ctx, http.MethodPut, "hello"))
				if !errors.Is(err, tt.want) {
					t.Errorf("error = %v, want %v", err, tt.want)
				}
				if took := since(); took != time.Second {
					t.Errorf("took %v, want 1s", took)
				}
				if got := bucket.Tokens(time.Now()); got != 20 {
					t.Errorf("%d tokens are left of 20, want the one for the retry back", got)
				}
				if got := upstream.Calls(); got != 1 {
					t.Errorf("%d attempts, want 1", got)
				}
				bodies.Check(t)
			})
		})
	}
}

// Nor during the look at a failure's body or its draining, even if the body does
// not end with the request.
func TestRetryCancelDuringDrain(t *testing.T) {
	for name, after := range map[string]time.Duration{
		"in the look at the body": 20 * time.Millisecond,
		"in the draining":         120 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				silent, sink := io.Pipe()
				defer sink.Close()
				rt := transport.Retry(policy.Retry{})(transport.Func(func(req *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 500, Header: http.Header{}, ContentLength: -1, Body: silent, Request: req}, nil
				}))
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(after, cancel)
				since := elapsed()
				resp, err := rt.RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
				if took := since(); took != after {
					t.Errorf("took %v, want %v", took, after)
				}
				if err == nil {
					require.NoError(t, resp.Body.Close())
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("error = %v, want context.Canceled or the answer", err)
				}
			})
		})
	}
}

// A caller who has given up gets no retry, and no note that says otherwise.
func TestRetryCanceledAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(503, "why"), transporttest.Hang())
		ctx, trail := traced(t)
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Minute, cancel)
		_, _, err := send(t, transport.Retry(policy.Retry{})(upstream), newRequest(t, ctx, http.MethodGet, ""))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want context.Canceled", err)
		}
		if got := upstream.Calls(); got != 2 {
			t.Errorf("%d attempts, want 2", got)
		}
		if got := notes(trail); got != nil {
			t.Errorf("notes = %v, want none", got)
		}
	})
}

// An answer that comes as the caller gives up is his.
func TestRetryCanceledAsTheAnswerCame(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ctx, trail := telemetry.NewContext(ctx)
	rt := transport.Retry(policy.Retry{})(transport.Func(func(req *http.Request) (*http.Response, error) {
		defer cancel()
		return transporttest.Reply(503, "why")(req)
	}))
	status, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
	require.NoError(t, err)
	assert.Equal(t, 503, status)
	assert.Empty(t, notes(trail))
}

// When the budget is spent the caller gets the server's answer.
func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := policy.NewBucket(policy.Budget{Burst: 1, Ratio: -1, PerSecond: -1})
		upstream := transporttest.NewUpstream(transporttest.Reply(503, "why"))
		rt := transport.Retry(policy.Retry{Attempts: 10, Bucket: bucket, Random: fixed(0.5)})(upstream)
		for _, want := range []struct {
			calls int
			took  time.Duration
		}{{2, 500 * time.Millisecond}, {3, 0}} {
			ctx, trail := traced(t)
			since := elapsed()
			status, text, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
			if status != 503 || text != "why" || err != nil {
				t.Errorf("got %d %q, %v, want the 503", status, text, err)
			}
			if took := since(); upstream.Calls() != want.calls || took != want.took {
				t.Errorf("%d requests after %v, want %d after %v", upstream.Calls(), took, want.calls, want.took)
			}
			if got := notes(trail); !slices.Equal(got, []string{telemetry.NoBudget}) {
				t.Errorf("notes = %v, want %v", got, telemetry.NoBudget)
			}
		}
	})
}

// A token is reserved before the wait, so that those who wait cannot all find the
// same last one. Layers with one Bucket share it.
func TestRetryBudgetIsReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := policy.NewBucket(policy.Budget{Burst: 3, Ratio: -1, PerSecond: -1})
		upstream := transporttest.NewUpstream(transporttest.Reply(503, "why"))
		cfg := policy.Retry{Attempts: 2, Bucket: bucket, Random: fixed(0.5)}
		layers := []http.RoundTripper{transport.Retry(cfg)(upstream), transport.Retry(cfg)(upstream)}
		var calls sync.WaitGroup
		for i := range 100 {
			calls.Go(func() {
				if status, _, err := get(t, layers[i%len(layers)]); status != 503 || err != nil {
					t.Errorf("got %d, %v, want 503", status, err)
				}
			})
		}
		calls.Wait()
		if got := upstream.Calls(); got != 103 {
			t.Errorf("%d requests for 100 calls and 3 tokens, want 103", got)
		}
	})
}

// A success pays in, unless its body breaks.
func TestRetryBudgetIncome(t *testing.T) {
	tests := []struct {
		name string
		step transporttest.Step
		use  func(*http.Response)
		want int // tokens after two successes at a half each
	}{
		{"read to the end", transporttest.Reply(200, "fine"), func(r *http.Response) { _, _ = io.ReadAll(r.Body) }, 1},
		{"closed early", transporttest.Stall(200, "fi"), func(*http.Response) {}, 1},
		{"no body", transporttest.Reply(204, ""), func(*http.Response) {}, 1},
		{"broken", transporttest.Stream(200, []transporttest.Chunk{{Err: errReset}}), func(r *http.Response) { _, _ = io.ReadAll(r.Body) }, 0},
		{"a wrong request", transporttest.Reply(400, "no"), func(*http.Response) {}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bucket := policy.NewBucket(policy.Budget{Burst: 2, Ratio: 0.5, PerSecond: -1})
			now := time.Now()
			for bucket.Reserve(now) {
			}
			rt := transport.Retry(policy.Retry{Bucket: bucket})(transporttest.NewUpstream(tt.step))
			for range 2 {
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				tt.use(resp)
				require.NoError(t, resp.Body.Close())
			}
			if got := bucket.Tokens(now); got != tt.want {
				t.Errorf("%d tokens after two calls, want %d", got, tt.want)
			}
		})
	}
}

// What may be sent twice: what was not processed, and what does no harm.
func TestRetryRepeatsOnlyWhatIsSafe(t *testing.T) {
	requests := []struct {
		name     string
		method   string
		header   string
		marked   bool // by its owner
		wantSafe bool
	}{
		{"GET", http.MethodGet, "", false, true},
		{"no method, which is GET", "", "", false, true},
		{"HEAD", http.MethodHead, "", false, true},
		{"OPTIONS", http.MethodOptions, "", false, true},
		{"TRACE", http.MethodTrace, "", false, true},
		{"PUT", http.MethodPut, "", false, true},
		{"DELETE", http.MethodDelete, "", false, true},
		{"POST", http.MethodPost, "", false, false},
		{"PATCH", http.MethodPatch, "", false, false},
		{"a method of one's own", "PURGE", "", false, false},
		{"POST with a key", http.MethodPost, "Idempotency-Key", false, true},
		{"POST with an old key", http.MethodPost, "X-Idempotency-Key", false, true},
		{"POST marked replayable", http.MethodPost, "", true, true},
		{"PATCH marked replayable", http.MethodPatch, "", true, true},
	}
	outcomes := []struct {
		name        string
		step        transporttest.Step
		wantSkipped bool // the server surely did not process the request
	}{
		{"no connection", transporttest.Fail(errDial), true},
		{"429", transporttest.Reply(429, "slow down"), true},
		{"408", transporttest.Reply(408, "you are slow"), true},
		{"425", transporttest.Reply(425, "too early"), true},
		{"503 with Retry-After", transporttest.Reply(503, "later", "Retry-After", "1"), true},
		{"503", transporttest.Reply(503, "busy"), false},
		{"500", transporttest.Reply(500, "oops"), false},
		{"502", transporttest.Reply(502, "oops"), false},
		{"504", transporttest.Reply(504, "late"), false},
		{"connection reset", transporttest.Fail(errReset), false},
		{"connection closed", transporttest.Fail(io.EOF), false},
		{"timeout", transporttest.Fail(&policy.TimeoutError{}), false},
		{"answer cut short", transporttest.Cut(200, "hel"), false},
	}
	for _, o := range outcomes {
		for _, r := range requests {
			t.Run(o.name+" to "+r.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, trail := traced(t)
					if r.marked {
						ctx = replayable(ctx)
					}
					req := newRequest(t, ctx, r.method, "")
					req.Method = r.method
					if r.header != "" {
						req.Header.Set(r.header, "key")
					}
					upstream := transporttest.NewUpstream(o.step)
					_, _, _ = send(t, transport.Retry(policy.Retry{})(upstream), req)
					wantCalls, wantNote := 1, telemetry.NotSafe
					if r.wantSafe || o.wantSkipped {
						wantCalls, wantNote = 3, telemetry.NoneLeft
					}
					if got := upstream.Calls(); got != wantCalls {
						t.Errorf("%d attempts, want %d", got, wantCalls)
					}
					if got := notes(trail); !slices.Equal(got, []string{wantNote}) {
						t.Errorf("notes = %v, want %v", got, wantNote)
					}
				})
			})
		}
	}
}

// What a retry cannot mend is handed on, and is worth no note.
func TestRetryNever(t *testing.T) {
	tests := []struct {
		name string
		step transporttest.Step
		want int // status, zero for an error
	}{
		{"success", transporttest.Reply(200, "fine"), 200},
		{"redirect", transporttest.Reply(302, "", "Location", "/"), 302},
		{"wrong request", transporttest.Reply(400, "no"), 400},
		{"no credentials", transporttest.Reply(401, "no"), 401},
		{"forbidden", transporttest.Reply(403, "no"), 403},
		{"not found", transporttest.Reply(404, "no"), 404},
		{"conflict", transporttest.Reply(409, "no"), 409},
		{"not implemented", transporttest.Reply(501, "no"), 501},
		{"quota, though it says 429", transporttest.Reply(429, `{"error":{"code":"insufficient_quota"}}`), 429},
		{"the server forbids it", transporttest.Reply(503, "no", "X-Should-Retry", "false"), 503},
		{"a refusal", transporttest.Fail(&policy.Refusal{Layer: "x", Err: transport.ErrOpen}), 0},
		{"an error that nobody knows", transporttest.Fail(errors.New("boom")), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			upstream := transporttest.NewUpstream(tt.step)
			ctx, trail := traced(t)
			status, _, err := send(t, transport.Retry(policy.Retry{})(upstream), newRequest(t, ctx, http.MethodGet, ""))
			if status != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("got %d, %v, want %d", status, err, tt.want)
			}
			if upstream.Calls() != 1 || notes(trail) != nil {
				t.Errorf("%d attempts with notes %v, want one with none", upstream.Calls(), notes(trail))
			}
		})
	}
}

// A breaker below that is open has its reasons.
func TestRetryLeavesRefusalsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(500, "oops"))
		breaker := transport.NewBreaker(policy.Breaker{MinCalls: 2})
		rt := transport.Chain(upstream, transport.Retry(policy.Retry{}), breaker.Wrap)

		// The second failure opens the breaker, which refuses the third attempt.
		ctx, trail := traced(t)
		status, text, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		if status != 500 || text != "oops" || err != nil {
			t.Errorf("got %d %q, %v, want the last real answer", status, text, err)
		}
		if got := trail.Refusals(); len(got) != 1 || got[0].Layer != "breaker" {
			t.Errorf("refusals = %v, want the breaker's", got)
		}
		since := elapsed()
		if _, _, err := get(t, rt); !errors.Is(err, transport.ErrOpen) {
			t.Errorf("error = %v, want transport.ErrOpen", err)
		}
		if took := since(); took != 0 || upstream.Calls() != 2 {
			t.Errorf("took %v and %d requests, want none of either", took, upstream.Calls()-2)
		}
	})
}

// The last real answer is what the caller gets, whatever came of the attempts
// after it.
func TestRetryLastRealAnswer(t *testing.T) {
	large := strings.Repeat("x", 100)
	tests := []struct {
		name    string
		steps   []transporttest.Step
		want    string // the body, "" for the error
		wantErr error
	}{
		{"an answer, then no connection", []transporttest.Step{transporttest.Reply(503, "why"), transporttest.Fail(errDial)}, "why", nil},
		{"an answer, then a timeout", []transporttest.Step{transporttest.Reply(503, "why"), transporttest.Fail(&policy.TimeoutError{})}, "why", nil},
		{"an answer, then one who is canceled, though not by the caller", []transporttest.Step{transporttest.Reply(503, "why"), transporttest.Fail(context.Canceled)}, "why", nil},
		{"two answers, then no connection", []transporttest.Step{transporttest.Reply(503, "a"), transporttest.Reply(500, "b"), transporttest.Fail(errDial)}, "b", nil},
		{"an error, then an answer", []transporttest.Step{transporttest.Fail(errDial), transporttest.Reply(503, "why")}, "why", nil},
		{"no answer at all", []transporttest.Step{transporttest.Fail(errReset), transporttest.Fail(errDial)}, "", errDial},
		{"an answer too large to keep", []transporttest.Step{transporttest.Reply(503, large), transporttest.Fail(errDial)}, "", errDial},
		{"an answer, one too large to keep, then no connection", []transporttest.Step{transporttest.Reply(503, "why"), transporttest.Reply(500, large), transporttest.Fail(errDial)}, "why", nil},
		{"an answer, a cut one, then no connection", []transporttest.Step{transporttest.Reply(503, "why"), transporttest.Cut(200, "hel"), transporttest.Fail(errDial)}, "why", nil},
		{"too large to keep, but the last", []transporttest.Step{transporttest.Fail(errDial), transporttest.Reply(503, large)}, large, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				rt := transport.Chain(transporttest.NewUpstream(tt.steps...),
					transport.Retry(policy.Retry{DrainBytes: 50}), bodies.Wrap)
				_, text, err := get(t, rt)
				if text != tt.want || !sameError(err, tt.wantErr) {
					t.Errorf("got %q, %v, want %q, %v", text, err, tt.want, tt.wantErr)
				}
				bodies.Check(t)
			})
		})
	}
}

// The answer that was kept is whole: fields, trailers, length, verdict.
func TestRetryKeepsAnswerWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "r1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "why")
			_ = http.NewResponseController(w).Flush()
			w.Header().Set(http.TrailerPrefix+"Sum", "42") // not announced: it comes with the end
		}))
		var attempts int
		rt := transport.Retry(policy.Retry{})(transport.Func(func(req *http.Request) (*http.Response, error) {
			if attempts++; attempts > 1 {
				return nil, errDial
			}
			return server.Transport().RoundTrip(req)
		}))
		req := newRequest(t, t.Context(), http.MethodGet, "")
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "why", string(text))
		require.Equal(t, "r1", resp.Header.Get("X-Request-Id"))
		require.Equal(t, "42", resp.Trailer.Get("Sum"))
		require.Equal(t, 3, attempts)
	})
}

// A failure whose body never ends holds the retry up for as long as it takes to
// look at it and to drain it, and no longer.
func TestRetryBodyThatNeverEnds(t *testing.T) {
	const (
		look  = 100 * time.Millisecond // at the beginning of an error body
		drain = 50 * time.Millisecond
	)
	tests := []struct {
		name string
		body transporttest.Step
		want time.Duration
	}{
		{"drips", transporttest.Drip(500, ".", time.Millisecond), look + drain},
		{"stalls", transporttest.Stall(500, "oops"), look + drain},
		{"stalls at once", transporttest.Stall(500, ""), look + drain},
		{"drips within the wait", transporttest.Drip(500, ".", time.Millisecond, "Retry-After", "1"), look + time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				upstream := transporttest.NewUpstream(tt.body, transporttest.Reply(200, "fine"))
				rt := transport.Chain(upstream, transport.Retry(policy.Retry{Random: fixed(0)}), bodies.Wrap)
				since := elapsed()
				_, text, err := get(t, rt)
				if text != "fine" || err != nil {
					t.Errorf("got %q, %v, want %q", text, err, "fine")
				}
				if took := since(); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
				bodies.Check(t)
			})
		})
	}
}

// An answer that is cut short is asked for again, if it is one of those that are
// read before they are handed on.
func TestRetryTruncated(t *testing.T) {
	const size = 10
	whole, half := strings.Repeat("x", size), strings.Repeat("x", size-1)
	known := transporttest.Cut(200, half)
	unknown := transporttest.Stream(200, []transporttest.Chunk{{Data: half, Err: io.ErrUnexpectedEOF}})
	events := transporttest.Cut(200, half, "Content-Type", "text/event-stream; charset=utf-8")
	lines := transporttest.Cut(200, half, "Content-Type", "application/x-ndjson")
	tests := []struct {
		name      string
		buffer    int64
		marked    bool // replayable
		step      transporttest.Step
		wantAgain bool
	}{
		{"of known length", 0, false, known, true},
		{"of known length, just small enough", size, false, known, true},
		{"of known length, too large", size - 1, false, known, false},
		{"of known length, with no buffer", -1, false, known, false},
		{"of unknown length", 0, false, unknown, false},
		{"of unknown length, marked replayable", 0, true, unknown, true},
		{"of unknown length, marked replayable, just small enough", size - 1, true, unknown, true},
		{"of unknown length, marked replayable, too large", size - 3, true, unknown, false},
		{"of unknown length, marked replayable, with no buffer", -1, true, unknown, false},
		{"lines of known length", 0, false, lines, true},
		{"events", 0, false, events, false},
		{"events, marked replayable", 0, true, events, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.marked {
					ctx = replayable(ctx)
				}
				var bodies transporttest.Bodies
				upstream := transporttest.NewUpstream(tt.step, transporttest.Reply(200, whole))
				rt := transport.Chain(upstream, transport.Retry(policy.Retry{BufferBytes: tt.buffer}), bodies.Wrap)
				_, text, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
				wantText, wantErr := half, io.ErrUnexpectedEOF
				if tt.wantAgain {
					wantText, wantErr = whole, nil
				}
				if text != wantText || !sameError(err, wantErr) {
					t.Errorf("got %q, %v, want %q, %v", text, err, wantText, wantErr)
				}
				bodies.Check(t)
			})
		})
	}
	t.Run("every time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			upstream := transporttest.NewUpstream(known)
			status, text, err := get(t, transport.Retry(policy.Retry{})(upstream))
			if status != 200 || text != half || !errors.Is(err, io.ErrUnexpectedEOF) || upstream.Calls() != 3 {
				t.Errorf("got %d %q, %v after %d attempts, want what came and how it ended", status, text, err, upstream.Calls())
			}
		})
	})
}

// What is not read ahead comes when it comes.
func TestRetryDoesNotHoldUpTheFirstByte(t *testing.T) {
	tests := []struct {
		name   string
		ctx    func(context.Context) context.Context
		header []string
	}{
		{"of unknown length", nil, nil},
		{"events", nil, []string{"Content-Type", "text/event-stream"}},
		{"events, marked replayable", replayable, []string{"Content-Type", "text/event-stream"}},
		{"lines, marked replayable", replayable, []string{"Content-Type", "application/x-ndjson; charset=utf-8"}},
		{"records, marked replayable", replayable, []string{"Content-Type", "application/vnd.amazon.eventstream"}},
		{"parts, marked replayable", replayable, []string{"Content-Type", "Multipart/Mixed; boundary=x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.ctx != nil {
					ctx = tt.ctx(ctx)
				}
				rt := transport.Retry(policy.Retry{})(transporttest.NewUpstream(transporttest.Stream(200,
					[]transporttest.Chunk{{Data: "data: a\n\n"}, {After: time.Hour, Data: "data: b\n\n"}}, tt.header...)))
				since := elapsed()
				resp, err := rt.RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
				require.NoError(t, err)
				defer resp.Body.Close()
				p := make([]byte, 100)
				n, err := resp.Body.Read(p)
				if took := since(); string(p[:n]) != "data: a\n\n" || err != nil || took != 0 {
					t.Errorf("read %q, %v after %v, want the first event at once", p[:n], err, took)
				}
				rest, err := io.ReadAll(resp.Body)
				if took := since(); string(rest) != "data: b\n\n" || err != nil || took != time.Hour {
					t.Errorf("read %q, %v after %v more, want the second event", rest, err, took)
				}
			})
		})
	}
}

// A panic below passes, and leaves the layer as good as new.
func TestRetryPanicBelow(t *testing.T) {
	for attempt := 1; attempt <= 2; attempt++ {
		t.Run(fmt.Sprintf("in attempt %d", attempt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				var n int
				rt := transport.Chain(transporttest.NewUpstream(transporttest.Reply(503, "why")),
					bodies.Wrap,
					transport.Retry(policy.Retry{}),
					func(next http.RoundTripper) http.RoundTripper {
						return transport.Func(func(req *http.Request) (*http.Response, error) {
							if n++; n == attempt {
								panic("boom")
							}
							return next.RoundTrip(req)
						})
					},
					bodies.Wrap)
				req := newRequest(t, t.Context(), http.MethodPut, "hello")
				if got := mustPanic(t, func() { _, _ = rt.RoundTrip(req) }); got != "boom" {
					t.Errorf("panic = %v, want the one below", got)
				}
				bodies.Check(t)
				if status, _, err := get(t, rt); status != 503 || err != nil {
					t.Errorf("after the panic: got %d, %v, want 503", status, err)
				}
			})
		})
	}
}

// So does a panic in a func of the caller's that is asked whether and when to go on: no
// answer stays open that nobody gets.
func TestRetryPanicInPlan(t *testing.T) {
	for name, cfg := range map[string]policy.Retry{
		"in GetBody":            {},
		"in Random":             {Random: func() float64 { panic("boom") }},
		"in the Backoff's Func": {Throttled: policy.Backoff{Func: func(int) time.Duration { panic("boom") }}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				rt := transport.Chain(transporttest.NewUpstream(transporttest.Reply(503, "why")), transport.Retry(cfg), bodies.Wrap)
				req := newRequest(t, t.Context(), http.MethodPut, "")
				req.Body = io.NopCloser(io.LimitReader(strings.NewReader("hello"), 5)) // not known to be in memory
				req.GetBody = func() (io.ReadCloser, error) { panic("boom") }
				assert.Equal(t, "boom", mustPanic(t, func() { _, _ = rt.RoundTrip(req) }))
				bodies.Check(t)
			})
		})
	}
}

// A stack is made of parts that may retry, too: the sum of their retries is what
// they share a bucket for.
func TestRetryNestedSharesBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := policy.NewBucket(policy.Budget{Burst: 4, Ratio: -1, PerSecond: -1})
		layer := transport.Retry(policy.Retry{Attempts: 10, Bucket: bucket})
		upstream := transporttest.NewUpstream(transporttest.Fail(errDial))
		if _, _, err := get(t, transport.Chain(upstream, layer, layer)); !errors.Is(err, errDial) {
			t.Errorf("error = %v, want %v", err, errDial)
		}
		if got := upstream.Calls(); got != 5 {
			t.Errorf("%d requests, want 1 and the 4 of the bucket", got)
		}
	})
}

func TestRetryUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests int
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests++; requests == 1 {
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			}
			serveEcho(w, r)
		}))
		conn := upgrade(t, transport.Retry(policy.Retry{})(server.Transport()), server.URL)
		checkEcho(t, conn)
		require.NoError(t, conn.Close())
	})
}
