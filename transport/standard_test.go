package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// TestStandardSurvives503s is the promise of the README's one-liner: a plain
// client, a server that now and then says 503, and the caller never notices. One
// connection does for all calls, and every body is closed.
func TestStandardSurvives503s(t *testing.T) {
	const calls = 1000
	page := bytes.Repeat([]byte("x"), 2<<10)
	tests := []struct {
		name   string
		stack  policy.Stack
		failAt func(request int64) bool // counted from 1
	}{
		{
			name:   "every tenth request fails",
			stack:  policy.Default(),
			failAt: func(n int64) bool { return n%10 == 0 },
		},
		{
			name:   "two failures before each answer, budget off",
			stack:  policy.Stack{Retry: policy.Retry{Budget: policy.Budget{Off: true}}},
			failAt: func(n int64) bool { return n%3 != 0 },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int64
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if tt.failAt(requests.Add(1)) {
						w.WriteHeader(http.StatusServiceUnavailable)
						_, _ = w.Write(page)
						return
					}
					_, _ = io.WriteString(w, "fine")
				}))
				var bodies transporttest.Bodies
				client := transport.Wrap(server.Client(), transport.Standard(tt.stack), bodies.Wrap)

				for range calls {
					resp, err := client.Get("http://up.test/")
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					content, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Equal(t, "fine", string(content))
					require.NoError(t, resp.Body.Close())
				}
				synctest.Wait()
				assert.Equal(t, 1, server.Conns(), "connections")
				assert.Greater(t, requests.Load(), int64(calls), "no request failed: the test tests nothing")
				bodies.Check(t)
			})
		})
	}
}

// TestStandardOverRealConnections is the first row of the same on loopback.
func TestStandardOverRealConnections(t *testing.T) {
	var requests, conns atomic.Int64
	server := newLoopback(t, &conns, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write(bytes.Repeat([]byte("x"), 2<<10))
			return
		}
		_, _ = io.WriteString(w, "fine")
	})
	stack := policy.Default()
	stack.Retry.Throttled = policy.Backoff{Base: time.Microsecond} // real time passes here
	client := transport.Wrap(server.Client(), transport.Standard(stack))
	for range 1000 {
		resp, err := client.Get(server.URL)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	assert.Equal(t, int64(1), conns.Load(), "connections")
}

func TestStandardTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(
			transporttest.Reply(http.StatusServiceUnavailable, "busy", "Retry-After", "2"),
			transporttest.Fail(syscall.ECONNREFUSED),
			transporttest.Reply(http.StatusOK, "fine"),
		)
		client := &http.Client{Transport: transport.Chain(upstream, transport.Standard(policy.Stack{Function: "tickets"}))}
		resp, err := client.Get("http://up.test/")
		require.NoError(t, err)
		_, _ = io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())

		trail := telemetry.TrailOf(resp)
		require.NotNil(t, trail)
		assert.Equal(t, "tickets", trail.Function())
		assert.Equal(t, telemetry.Live, trail.Answer().Source)
		attempts := trail.Attempts()
		require.Len(t, attempts, 3)
		assert.Equal(t, policy.Overloaded, attempts[0].Verdict.Class)
		assert.Equal(t, policy.Unreachable, attempts[1].Verdict.Class)
		assert.Equal(t, policy.OK, attempts[2].Verdict.Class)
		assert.Equal(t, 2*time.Second, attempts[1].Waited, "the server's wait, to the letter")
	})
}

// TestStandardError: what a caller gets when all failed is one type with the
// original inside.
func TestStandardError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Fail(syscall.ECONNREFUSED))
		client := &http.Client{Transport: transport.Chain(upstream, transport.Standard(policy.Stack{Function: "tickets"}))}
		_, err := client.Get("http://up.test/?secret=1")
		e := policy.ErrorOf(err)
		require.NotNil(t, e, "got %v", err)
		assert.Equal(t, "tickets", e.Function)
		assert.Equal(t, policy.Unreachable, e.Verdict.Class)
		assert.Equal(t, 3, e.Attempts)
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.NotContains(t, e.Error(), "secret")
	})
}

// TestStandardBreakerPerHost: a dead host does not lock out the others.
func TestStandardBreakerPerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "dead.test" {
				return nil, syscall.ECONNREFUSED
			}
			return transporttest.Reply(http.StatusOK, "fine")(req)
		})
		client := &http.Client{Transport: transport.Chain(upstream, transport.Standard(policy.Default()))}
		var last error
		for range 20 {
			_, last = client.Get("http://dead.test/")
		}
		assert.ErrorIs(t, last, transport.ErrOpen)
		assert.False(t, policy.ErrorOf(last).RetryAt.IsZero(), "an open breaker says when to come back")

		resp, err := client.Get("http://alive.test/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	})
}

// TestStandardTotalCoversBody: the total time bounds the body, too.
func TestStandardTotalCoversBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Drip(http.StatusOK, "x", time.Second))
		client := &http.Client{Transport: transport.Chain(upstream, transport.Standard(policy.Stack{Total: 4500 * time.Millisecond}))}
		start := time.Now()
		resp, err := client.Get("http://up.test/")
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 4500*time.Millisecond, time.Since(start))
		timeout, ok := errors.AsType[*policy.TimeoutError](err)
		require.True(t, ok, "got %v", err)
		assert.Equal(t, "total", timeout.Scope)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// TestStandardLadder: the fallback answers what nothing else could, and the
// cache what it knows.
func TestStandardLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
			if down.Load() {
				return nil, syscall.ECONNREFUSED
			}
			return transporttest.Reply(http.StatusOK, `{"labelName":"billing","confidence":0.9}`, "Content-Type", "application/json")(req)
		})
		client := &http.Client{Transport: transport.Chain(upstream, transport.Standard(policy.Stack{
			Cache: &policy.Cache{},
			Fallback: &policy.Fallback{
				Rules: []policy.Rule{{
					Name:   "parcels",
					Any:    []policy.Condition{{Words: []string{"parcel"}}},
					Answer: policy.Answer{Label: "shipping", Confidence: 0.5},
				}},
				Static: &policy.Answer{Label: "triage", Confidence: 0.1},
			},
		}))}
		ask := func(text string) (body string, answer telemetry.Answer) {
			t.Helper()
			ctx := policy.WithCall(t.Context(), policy.Call{Function: "tickets", Identity: "account", Replayable: true})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://up.test/", strings.NewReader(fmt.Sprintf(`{"data":%q}`, text)))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			content, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return string(content), telemetry.TrailOf(resp).Answer()
		}

		_, answer := ask("an invoice")
		assert.Equal(t, telemetry.Live, answer.Source)
		_, answer = ask("an invoice")
		assert.Equal(t, telemetry.Cache, answer.Source)

		down.Store(true)
		time.Sleep(6 * time.Minute) // past the lifetime of an answer
		body, answer := ask("an invoice")
		assert.Equal(t, telemetry.Stale, answer.Source)
		assert.Equal(t, policy.Unreachable, answer.Cause)
		assert.JSONEq(t, `{"labelName":"billing","confidence":0.9}`, body)

		body, answer = ask("where is my parcel")
		assert.Equal(t, telemetry.Rule, answer.Source)
		assert.Equal(t, "parcels", answer.Rule)
		assert.JSONEq(t, `{"labelName":"shipping","confidence":0.5}`, body)

		body, answer = ask("hello")
		assert.Equal(t, telemetry.Static, answer.Source)
		assert.JSONEq(t, `{"labelName":"triage","confidence":0.1}`, body)
	})
}

// tickets is a ladder of a rule and a static answer that is always compared.
func tickets() *policy.Fallback {
	return &policy.Fallback{
		Rules: []policy.Rule{{
			Name:   "parcels",
			Any:    []policy.Condition{{Words: []string{"parcel"}}},
			Answer: policy.Answer{Label: "shipping", Confidence: 0.5},
		}},
		Static:   &policy.Answer{Label: "triage", Confidence: 0.1},
		Fidelity: policy.Fidelity{Share: 1},
	}
}

// TestStandardLadderOrder: the rungs of a stack are asked in the order that is
// set, and an answer past its lifetime is given by its rung alone.
func TestStandardLadderOrder(t *testing.T) {
	const live, rule = `{"labelName":"live"}`, `{"labelName":"shipping","confidence":0.5}`
	tests := []struct {
		name    string
		rungs   []string
		exclude func(context.Context) context.Context
		want    string // the answer, "" for an error
		status  string // Cache-Status
	}{
		{"usual", nil, nil, live, "sparekey; hit; ttl=-60; detail=stale-if-error"},
		{"rules first", []string{"rules", "stale"}, nil, rule, ""},
		{"no stale", []string{"rules"}, nil, rule, ""},
		{"stale only", []string{"stale"}, nil, live, "sparekey; hit; ttl=-60; detail=stale-if-error"},
		{"stale excluded", nil, func(ctx context.Context) context.Context { return policy.Without(ctx, policy.RungStale) }, rule, ""},
		{"strict", nil, policy.Strict, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(
					transporttest.Reply(http.StatusOK, live, "Content-Type", "application/json"), transporttest.Fail(syscall.ECONNREFUSED))
				ladder := tickets()
				ladder.Static, ladder.Rungs = nil, tt.rungs
				stack := policy.Stack{Fallback: ladder, Retry: policy.Retry{Off: true}, Cache: &policy.Cache{TTL: time.Minute, Jitter: -1}}
				client := &http.Client{Transport: transport.Chain(upstream, transport.Standard(stack))}
				ask := func(ctx context.Context) (*http.Response, string, error) {
					ctx = policy.WithCall(ctx, policy.Call{Function: "tickets", Identity: "account", Replayable: true})
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://up.test/", strings.NewReader(`{"data":"my parcel"}`))
					require.NoError(t, err)
					resp, err := client.Do(req)
					if err != nil {
						return nil, "", err
					}
					content, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					return resp, string(content), nil
				}
				_, _, err := ask(t.Context())
				require.NoError(t, err)
				time.Sleep(2 * time.Minute)
				ctx := t.Context()
				if tt.exclude != nil {
					ctx = tt.exclude(ctx)
				}
				resp, text, err := ask(ctx)
				if tt.want == "" {
					require.ErrorIs(t, err, syscall.ECONNREFUSED)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, tt.want, text)
				assert.Equal(t, tt.status, resp.Header.Get("Cache-Status"))
			})
		})
	}
}

// TestStandardWholeLadder: a service that was asked for a while goes away, and each
// rung answers what those before it cannot.
func TestStandardWholeLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
			if down.Load() {
				return nil, syscall.ECONNREFUSED
			}
			return transporttest.Reply(http.StatusOK, `{"labelName":"shipping","confidence":0.9}`, "Content-Type", "application/json")(req)
		})
		rt := transport.Chain(upstream, transport.Standard(policy.Stack{
			Cache:    &policy.Cache{Similar: &policy.Similar{}},
			Fallback: tickets(),
			Breaker:  policy.Breaker{Off: true}, // each failure is the service's own
		}))
		ask := func(text string) telemetry.Answer {
			t.Helper()
			ctx := policy.WithCall(t.Context(), policy.Call{Function: "tickets", Identity: "account", Replayable: true})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://up.test/", strings.NewReader(fmt.Sprintf(`{"data":%q}`, text)))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/json")
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			content, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Contains(t, string(content), `"labelName":`)
			return telemetry.TrailOf(resp).Answer()
		}
		things := strings.Fields("lamp desk chair sofa table shelf mirror carpet curtain pillow blanket vase clock stool bench drawer")
		for _, thing := range things {
			for _, verb := range strings.Fields("arrive ship leave travel move come") {
				for _, when := range strings.Fields("monday tuesday friday sunday") {
					ask(fmt.Sprintf("when does the ordered delivery of furniture with %s %s on %s", thing, verb, when))
				}
			}
		}
		down.Store(true)
		time.Sleep(time.Hour)

		stale := ask("when does the ordered delivery of furniture with lamp arrive on monday")
		assert.Equal(t, telemetry.Stale, stale.Source)
		similar := ask("when does the ordered delivery of furniture with lamp arrive on sunday please")
		assert.Equal(t, telemetry.Similar, similar.Source)
		assert.Greater(t, similar.Similarity, 0.5)
		assert.GreaterOrEqual(t, similar.Accuracy, 0.9)
		assert.Greater(t, similar.Samples, 50)
		rule := ask("parcel?")
		assert.Equal(t, telemetry.Rule, rule.Source)
		static := ask("hello")
		assert.Equal(t, telemetry.Static, static.Source)
		assert.Zero(t, static.Accuracy)
		assert.Positive(t, static.Samples, "what the rungs before it left to it before they had learned")
		for _, a := range []telemetry.Answer{stale, similar, rule, static} {
			assert.Equal(t, policy.Unreachable, a.Cause, "%+v", a)
		}
	})
}

// TestStandardFidelityOfStale: an answer past its lifetime is compared with the
// one that takes its place, and one that is fresh with none.
func TestStandardFidelityOfStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
			label := []string{"a", "a", "b", "b"}[calls.Add(1)-1]
			return transporttest.Reply(http.StatusOK, fmt.Sprintf(`{"labelName":%q}`, label), "Content-Type", "application/json")(req)
		})
		rt := transport.Chain(upstream, transport.Standard(policy.Stack{
			Cache:    &policy.Cache{TTL: time.Minute, Jitter: -1},
			Fallback: &policy.Fallback{Fidelity: policy.Fidelity{Share: 1}},
		}))
		for range 4 {
			for range 2 { // a call and a hit
				ctx := policy.WithCall(t.Context(), policy.Call{Function: "tickets", Replayable: true})
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://up.test/", strings.NewReader(`{"data":"x"}`))
				require.NoError(t, err)
				resp, err := rt.RoundTrip(req)
				require.NoError(t, err)
				_, err = io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
			}
			time.Sleep(2 * time.Minute)
		}
		assert.EqualValues(t, 4, calls.Load())
		figures := transport.Fidelity(rt)
		require.NotEmpty(t, figures)
		assert.Equal(t, fallback.FidelityFigure{Function: "tickets", Rung: "stale", Asked: 4, Answered: 3, Agreed: 2, Given: 3, GivenAgreed: 2}, figures[0])
	})
}

// TestStandardStrict: a call can have no rung answer it, or not some of them.
func TestStandardStrict(t *testing.T) {
	tests := []struct {
		name    string
		exclude func(context.Context) context.Context
		want    telemetry.Source // "" for an error
	}{
		{"none", func(ctx context.Context) context.Context { return ctx }, telemetry.Rule},
		{"rules", func(ctx context.Context) context.Context { return policy.Without(ctx, policy.RungRules) }, telemetry.Static},
		{"both", func(ctx context.Context) context.Context {
			return policy.Without(ctx, policy.RungRules, policy.RungStatic)
		}, ""},
		{"strict", policy.Strict, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(transporttest.Fail(syscall.ECONNREFUSED))
				rt := transport.Chain(upstream, transport.Standard(policy.Stack{Fallback: tickets()}))
				ctx, trail := telemetry.NewContext(tt.exclude(t.Context()))
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://up.test/", strings.NewReader(`{"data":"my parcel"}`))
				require.NoError(t, err)
				resp, err := rt.RoundTrip(req)
				assert.Equal(t, tt.want, trail.Answer().Source)
				if tt.want == "" {
					require.ErrorIs(t, err, syscall.ECONNREFUSED)
					return
				}
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
			})
		})
	}
}

// TestStandardFidelity: what the ladder of a stack has learned while the service
// answered is found from the outside, and stands in what it answers later.
func TestStandardFidelity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reply := func(label string) transporttest.Step {
			return transporttest.Reply(http.StatusOK, fmt.Sprintf(`{"labelName":%q}`, label), "Content-Type", "application/json")
		}
		upstream := transporttest.NewUpstream(reply("shipping"), reply("billing"), reply("triage"), transporttest.Fail(syscall.ECONNREFUSED))
		rt := transport.Chain(upstream, transport.Standard(policy.Stack{Function: "tickets", Fallback: tickets()}))
		client := &http.Client{Transport: rt}
		require.Empty(t, transport.Fidelity(rt))
		var answer telemetry.Answer
		for _, text := range []string{"my parcel", "a bill for my parcel", "hello", "my parcel"} {
			resp, err := client.Post("http://up.test/", "application/json", strings.NewReader(fmt.Sprintf(`{"data":%q}`, text)))
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			answer = telemetry.TrailOf(resp).Answer()
		}
		var total []fallback.FidelityFigure
		for _, f := range transport.Fidelity(rt) {
			if f.Label == "" {
				total = append(total, f)
			}
		}
		assert.Equal(t, []fallback.FidelityFigure{
			{Function: "tickets", Rung: "rules", Asked: 3, Answered: 2, Agreed: 1, Given: 2, GivenAgreed: 1},
			{Function: "tickets", Rung: "static", Asked: 3, Answered: 3, Agreed: 1, Given: 1, GivenAgreed: 1},
		}, total)
		assert.Equal(t, telemetry.Answer{
			Source: telemetry.Rule, Rule: "parcels", Accuracy: 0.5, Samples: 2,
			Confidence: 0.5, Cause: policy.Unreachable,
		}, answer)
	})
}

// TestFidelityFinds: whatever stands around a ladder, beside it or below it.
func TestFidelityFinds(t *testing.T) {
	ladder := fallback.NewLadder(fallback.LadderConfig{
		Rungs: []fallback.Rung{{Name: "mine", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
			return nil, telemetry.Answer{}, false
		}}},
		Fidelity: policy.Fidelity{Share: 1},
	})
	foreign := func(next http.RoundTripper) http.RoundTripper { return transport.Func(next.RoundTrip) }
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, `{"labelName":"a"}`))
		rt := transport.Chain(upstream, foreign, transport.Retry(policy.Retry{}), ladder.Wrap, foreign)
		resp, err := (&http.Client{Transport: rt}).Get("http://up.test/")
		require.NoError(t, err)
		_, _ = io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		assert.Len(t, transport.Fidelity(rt), 2)
	})
	assert.Empty(t, transport.Fidelity(upstreamOnly{}))
	assert.Empty(t, transport.Fidelity(nil))
}

type upstreamOnly struct{ http.RoundTripper }

func TestBuildRejects(t *testing.T) {
	tests := []struct {
		name  string
		stack policy.Stack
		want  []string
	}{
		{
			"each bad figure at once",
			policy.Stack{Retry: policy.Retry{Attempts: -1}, Breaker: policy.Breaker{Ratio: 2}},
			[]string{"Retry.Attempts is -1", "Breaker.Ratio is 2"},
		},
		{
			"an attempt that outlasts the call",
			policy.Stack{Total: time.Second, Attempt: policy.Timeout{FirstByte: time.Second}},
			[]string{"attempt timeout's FirstByte 1s must be below total timeout's Total 1s"},
		},
		{
			"a bad rule",
			policy.Stack{Fallback: &policy.Fallback{Rules: []policy.Rule{{Name: "r"}}}},
			[]string{"label"},
		},
		{
			"a rung that does not exist",
			policy.Stack{Fallback: &policy.Fallback{Rungs: []string{"guess"}}},
			[]string{`Fallback.Rungs[0] is "guess", want one of stale, similar, rules, static`},
		},
		{
			"a ladder without rungs",
			policy.Stack{Fallback: &policy.Fallback{}},
			[]string{"Fallback is without any rung"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			layer, err := transport.Build(tt.stack)
			require.Error(t, err)
			assert.Nil(t, layer)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Panics(t, func() { transport.Standard(tt.stack) })
		})
	}
}

// TestStandardCloseIdleConnections: the client's own way to close connections
// reaches the transport through all layers.
func TestStandardCloseIdleConnections(t *testing.T) {
	closed := false
	base := idleTransport{closed: &closed}
	stack := policy.Stack{Cache: &policy.Cache{}, Fallback: &policy.Fallback{Static: &policy.Answer{Label: "x"}}}
	client := transport.Wrap(&http.Client{Transport: base}, transport.Standard(stack))
	client.CloseIdleConnections()
	assert.True(t, closed)
}

type idleTransport struct {
	http.RoundTripper
	closed *bool
}

func (i idleTransport) CloseIdleConnections() { *i.closed = true }

func ExampleStandard() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusServiceUnavailable, "busy"),
		transporttest.Reply(http.StatusOK, "fine"),
	)
	client := &http.Client{Transport: upstream}

	stack := policy.Default()
	stack.Retry.Throttled.Base = time.Millisecond // the example is in a hurry
	client = transport.Wrap(client, transport.Standard(stack))
	resp, err := client.Get("http://up.test/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, "after", telemetry.TrailOf(resp).AttemptCount(), "attempts")
	// Output: 200 OK after 2 attempts
}

// What the spare answers of a stack are worth is measured while the service
// answers.
func ExampleFidelity() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusOK, `{"labelName":"billing"}`),
		transporttest.Reply(http.StatusOK, `{"labelName":"shipping"}`),
	)
	client := transport.Wrap(&http.Client{Transport: upstream}, transport.Standard(policy.Stack{
		Function: "tickets",
		Fallback: &policy.Fallback{
			Static:   &policy.Answer{Label: "billing", Confidence: 0.2},
			Fidelity: policy.Fidelity{Share: 1}, // each call; one in twenty is the default
		},
	}))
	for range 2 {
		resp, err := client.Post("http://up.test/", "application/json", strings.NewReader(`{"data":"hello"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	for _, f := range transport.Fidelity(client.Transport) {
		if f.Label == "" { // all labels
			low, high := f.Interval()
			fmt.Printf("%s, %s: %.0f %% right of %d, %.0f to %.0f\n", f.Function, f.Rung, 100*f.Accuracy(), f.Given, 100*low, 100*high)
		}
	}
	// Output: tickets, static: 50 % right of 2, 9 to 91
}

func ExampleBuild() {
	_, err := transport.Build(policy.Stack{Total: time.Second, Attempt: policy.Timeout{FirstByte: time.Minute}})
	fmt.Println(err)
	// Output: transport: invalid stack: policy: attempt timeout's FirstByte 1m0s must be below total timeout's Total 1s: no attempt times out before the call does, so none that hangs is repeated; make the attempt's limit half of the call's or less
}
