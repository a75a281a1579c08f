package telemetry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

var routing = telemetry.Config{Function: "ticket_routing"}

// slowBody gives its text after a second and then ends with err.
type slowBody struct {
	text string
	err  error
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.text == "" {
		return 0, b.err
	}
	time.Sleep(time.Second)
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

func (b *slowBody) Close() error { return nil }

// slow answers after 2 s with a body that takes a second and ends with err.
func slow(status int, err error) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		time.Sleep(2 * time.Second)
		resp := answer(status, "")
		resp.Body, resp.ContentLength = &slowBody{"abc", err}, -1
		return resp, nil
	}
}

func TestObserve(t *testing.T) {
	refusal := &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errors.New("open")}
	tests := []struct {
		name        string
		cfg         telemetry.Config
		upstream    http.RoundTripper
		layers      []func(http.RoundTripper) http.RoundTripper
		wantErr     bool
		wantSpans   string
		wantMetrics string
	}{
		{
			name:     "a good answer",
			cfg:      routing,
			upstream: slow(200, io.EOF),
			wantSpans: `
				POST client in "predict ticket_routing" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.response.status_code=200 3s
				predict ticket_routing internal sparekey.attempt.count=1 sparekey.function.name=ticket_routing sparekey.answer.source=live 3s`,
			wantMetrics: `
				sparekey.client.attempt.duration s http.response.status_code=200 sparekey.attempt.kind=first sparekey.function.name=ticket_routing 1 in 3s
				sparekey.client.prediction.duration s sparekey.answer.source=live sparekey.function.name=ticket_routing 1 in 3s`,
		},
		{
			name:     "no function",
			upstream: upstream(200, "abc"),
			wantSpans: `
				POST client in "call" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.response.status_code=200 0s
				call internal sparekey.attempt.count=1 sparekey.answer.source=live 0s`,
			wantMetrics: `
				sparekey.client.attempt.duration s http.response.status_code=200 sparekey.attempt.kind=first 1 in 0s
				sparekey.client.prediction.duration s sparekey.answer.source=live 1 in 0s`,
		},
		{
			name: "a retry",
			cfg:  routing,
			upstream: func() roundTrip {
				n := 0
				return func(*http.Request) (*http.Response, error) {
					if n++; n == 1 {
						return answer(503, `{"message":"Come back later"}`), nil
					}
					return answer(200, "abc"), nil
				}
			}(),
			layers: []func(http.RoundTripper) http.RoundTripper{repeat(3)},
			wantSpans: `
				POST client in "predict ticket_routing" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.response.status_code=503 error.type=503 Error 0s
				POST client in "predict ticket_routing" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.request.resend_count=1 sparekey.attempt.kind=retry http.response.status_code=200 0s
				predict ticket_routing internal sparekey.attempt.count=2 sparekey.function.name=ticket_routing sparekey.answer.source=live 1s`,
			wantMetrics: `
				sparekey.client.attempt.duration s error.type=503 http.response.status_code=503 sparekey.attempt.kind=first sparekey.function.name=ticket_routing 1 in 0s
				sparekey.client.attempt.duration s http.response.status_code=200 sparekey.attempt.kind=retry sparekey.function.name=ticket_routing 1 in 0s
				sparekey.client.prediction.duration s sparekey.answer.source=live sparekey.function.name=ticket_routing 1 in 1s
				sparekey.client.retry.delay s sparekey.function.name=ticket_routing 1 in 1s`,
		},
		{
			name:     "no connection",
			cfg:      routing,
			upstream: failing(syscall.ECONNREFUSED),
			layers:   []func(http.RoundTripper) http.RoundTripper{repeat(2)},
			wantErr:  true,
			wantSpans: `
				POST client in "predict ticket_routing" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 error.type=connect Error 0s
				POST client in "predict ticket_routing" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.request.resend_count=1 sparekey.attempt.kind=retry error.type=connect Error 0s
				predict ticket_routing internal sparekey.attempt.count=2 sparekey.function.name=ticket_routing error.type=connect Error 1s`,
			wantMetrics: `
				sparekey.client.attempt.duration s error.type=connect sparekey.attempt.kind=first sparekey.function.name=ticket_routing 1 in 0s
				sparekey.client.attempt.duration s error.type=connect sparekey.attempt.kind=retry sparekey.function.name=ticket_routing 1 in 0s
				sparekey.client.prediction.duration s error.type=connect sparekey.function.name=ticket_routing 1 in 1s
				sparekey.client.retry.delay s sparekey.function.name=ticket_routing 1 in 1s`,
		},
		{
			name:     "the service's own no",
			upstream: upstream(404, `{"message":"No such function"}`),
			wantSpans: `
				POST client in "call" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.response.status_code=404 error.type=404 Error 0s
				call internal sparekey.attempt.count=1 error.type=not_found Error 0s`,
			wantMetrics: `
				sparekey.client.attempt.duration s error.type=404 http.response.status_code=404 sparekey.attempt.kind=first 1 in 0s
				sparekey.client.prediction.duration s error.type=not_found 1 in 0s`,
		},
		{
			name:     "a body that breaks turns the verdict",
			upstream: slow(200, io.ErrUnexpectedEOF),
			wantErr:  true,
			wantSpans: `
				POST client in "call" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.response.status_code=200 error.type=truncated Error 3s
				call internal sparekey.attempt.count=1 sparekey.answer.source=live error.type=truncated Error 3s`,
			wantMetrics: `
				sparekey.client.attempt.duration s error.type=truncated http.response.status_code=200 sparekey.attempt.kind=first 1 in 3s
				sparekey.client.prediction.duration s error.type=truncated sparekey.answer.source=live 1 in 3s`,
		},
		{
			name:     "an error body that breaks does not",
			upstream: slow(401, io.ErrUnexpectedEOF),
			wantErr:  true,
			wantSpans: `
				POST client in "call" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.response.status_code=401 error.type=401 Error 3s
				call internal sparekey.attempt.count=1 error.type=unauthenticated Error 3s`,
			wantMetrics: `
				sparekey.client.attempt.duration s error.type=401 http.response.status_code=401 sparekey.attempt.kind=first 1 in 3s
				sparekey.client.prediction.duration s error.type=unauthenticated 1 in 3s`,
		},
		{
			name:     "a refusal",
			upstream: upstream(200, "abc"),
			layers: []func(http.RoundTripper) http.RoundTripper{func(http.RoundTripper) http.RoundTripper {
				return roundTrip(func(req *http.Request) (*http.Response, error) {
					telemetry.FromContext(req.Context()).Refused(req.Context(), refusal)
					return nil, refusal
				})
			}},
			wantErr: true,
			wantSpans: `
				call internal sparekey.attempt.count=0 sparekey.rejection.reason=breaker_open error.type=breaker_open Error 0s`,
			wantMetrics: `
				sparekey.client.prediction.duration s error.type=breaker_open 1 in 0s
				sparekey.client.rejections {rejection} sparekey.rejection.reason=breaker_open 1`,
		},
		{
			name:     "an answer in the service's place",
			cfg:      routing,
			upstream: upstream(500, ""),
			layers: []func(http.RoundTripper) http.RoundTripper{func(next http.RoundTripper) http.RoundTripper {
				return roundTrip(func(req *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(req)
					if err != nil {
						return nil, err
					}
					if err := resp.Body.Close(); err != nil {
						return nil, err
					}
					spare := answer(200, "billing")
					telemetry.Mark(req, spare.Header, telemetry.Answer{Source: telemetry.Rule, Rule: "billing", Confidence: 0.5, Cause: policy.Internal})
					return spare, nil
				})
			}},
			wantSpans: `
				POST client in "predict ticket_routing" http.request.method=POST url.full=https://api.test/v1/predict server.address=api.test server.port=443 http.response.status_code=500 error.type=500 Error 0s
				predict ticket_routing internal sparekey.attempt.count=1 sparekey.function.name=ticket_routing sparekey.answer.source=rule sparekey.rule.name=billing sparekey.answer.confidence=0.5 sparekey.fallback.cause=internal 0s`,
			wantMetrics: `
				sparekey.client.attempt.duration s error.type=500 http.response.status_code=500 sparekey.attempt.kind=first sparekey.function.name=ticket_routing 1 in 0s
				sparekey.client.fallbacks {fallback} sparekey.answer.source=rule sparekey.fallback.cause=internal sparekey.function.name=ticket_routing 1
				sparekey.client.prediction.duration s sparekey.answer.source=rule sparekey.function.name=ticket_routing 1 in 0s`,
		},
		{
			name: "an answer that is remembered",
			layers: []func(http.RoundTripper) http.RoundTripper{func(http.RoundTripper) http.RoundTripper {
				return roundTrip(func(req *http.Request) (*http.Response, error) {
					telemetry.FromContext(req.Context()).LookedUp(req.Context(), "hit")
					hit := answer(200, "abc")
					telemetry.Mark(req, hit.Header, telemetry.Answer{Source: telemetry.Cache, Age: time.Minute})
					return hit, nil
				})
			}},
			wantSpans: `
				call internal sparekey.attempt.count=0 sparekey.answer.source=cache sparekey.answer.age=60 sparekey.cache.result=hit 0s`,
			wantMetrics: `
				sparekey.client.cache.lookups {lookup} sparekey.cache.result=hit 1
				sparekey.client.prediction.duration s sparekey.answer.source=cache 1 in 0s`,
		},
		{
			name: "an answer to a question much like this one",
			layers: []func(http.RoundTripper) http.RoundTripper{func(http.RoundTripper) http.RoundTripper {
				return roundTrip(func(req *http.Request) (*http.Response, error) {
					spare := answer(200, "abc")
					telemetry.Mark(req, spare.Header, telemetry.Answer{
						Source: telemetry.Similar, Age: 1500 * time.Millisecond,
						Similarity: 0.75, Accuracy: 0.5, Samples: 1, Confidence: 0.25, Cause: policy.TimedOut,
					})
					return spare, nil
				})
			}},
			wantSpans: `
				call internal sparekey.attempt.count=0 sparekey.answer.source=similar sparekey.answer.age=1.5 sparekey.answer.similarity=0.75 sparekey.answer.accuracy=0.5 sparekey.answer.samples=1 sparekey.answer.confidence=0.25 sparekey.fallback.cause=timed_out 0s`,
			wantMetrics: `
				sparekey.client.fallbacks {fallback} sparekey.answer.source=similar sparekey.fallback.cause=timed_out 1
				sparekey.client.prediction.duration s sparekey.answer.source=similar 1 in 0s`,
		},
		{
			name: "answers that are compared",
			cfg:  routing,
			layers: []func(http.RoundTripper) http.RoundTripper{func(http.RoundTripper) http.RoundTripper {
				return roundTrip(func(req *http.Request) (*http.Response, error) {
					trail := telemetry.FromContext(req.Context())
					for _, result := range []string{telemetry.Agreed, telemetry.Agreed, telemetry.Differed, telemetry.NoAnswer} {
						trail.Compared(req.Context(), "rules", result)
					}
					trail.RungFailed(req.Context(), "mine", io.EOF)
					return answer(200, "abc"), nil
				})
			}},
			wantSpans: `
				predict ticket_routing internal sparekey.attempt.count=0 sparekey.function.name=ticket_routing sparekey.answer.source=live 0s`,
			wantMetrics: `
				sparekey.client.fidelity.comparisons {comparison} sparekey.fidelity.result=agreed sparekey.function.name=ticket_routing sparekey.rung.name=rules 2
				sparekey.client.fidelity.comparisons {comparison} sparekey.fidelity.result=differed sparekey.function.name=ticket_routing sparekey.rung.name=rules 1
				sparekey.client.fidelity.comparisons {comparison} sparekey.fidelity.result=none sparekey.function.name=ticket_routing sparekey.rung.name=rules 1
				sparekey.client.prediction.duration s sparekey.answer.source=live sparekey.function.name=ticket_routing 1 in 0s
				sparekey.client.rung.failures {failure} sparekey.function.name=ticket_routing sparekey.rung.name=mine 1`,
		},
		{
			name: "a change of a breaker's state",
			layers: []func(http.RoundTripper) http.RoundTripper{func(http.RoundTripper) http.RoundTripper {
				return roundTrip(func(req *http.Request) (*http.Response, error) {
					telemetry.FromContext(req.Context()).Changed(req.Context(), policy.Transition{Name: "b", To: policy.Open})
					return nil, io.EOF
				})
			}},
			wantErr: true,
			wantSpans: `
				call internal sparekey.attempt.count=0 error.type=interrupted Error 0s`,
			wantMetrics: `
				sparekey.client.breaker.transitions {transition} sparekey.breaker.state=open 1
				sparekey.client.prediction.duration s error.type=interrupted 1 in 0s`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sdk := install(t)
				_, err := send(t, stack(tt.cfg, tt.upstream, tt.layers...), t.Context())
				assert.Equal(t, tt.wantErr, err != nil, "error %v", err)
				assert.Equal(t, lines(tt.wantSpans), sdk.ended())
				assert.Equal(t, lines(tt.wantMetrics), sdk.measured(t))
			})
		})
	}
}

// TestObserveEnd looks at when spans end, and that they do so once.
func TestObserveEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sdk := install(t)
		resp, err := stack(routing, slow(200, io.EOF)).RoundTrip(newRequest(t, t.Context()))
		require.NoError(t, err)
		trail := telemetry.TrailOf(resp)
		assert.Empty(t, sdk.ended(), "before the body is read")
		assert.Zero(t, trail.Duration())
		assert.Equal(t, 2*time.Second, trail.Attempts()[0].Duration, "to the header")

		_, err = resp.Body.Read(make([]byte, 3))
		require.NoError(t, err)
		assert.Empty(t, sdk.ended(), "before the end of the body is seen")

		time.Sleep(time.Second) // the reader takes its time
		_, err = resp.Body.Read(make([]byte, 3))
		require.Equal(t, io.EOF, err)
		ended, measured := sdk.ended(), sdk.measured(t)
		assert.Equal(t, 2, strings.Count(ended, " 4s\n"))
		assert.Equal(t, 4*time.Second, trail.Duration())
		assert.Equal(t, 4*time.Second, trail.Attempts()[0].Duration)

		time.Sleep(time.Second)
		_, _ = resp.Body.Read(make([]byte, 3))
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, ended, sdk.ended(), "after the end")
		assert.Equal(t, measured, sdk.measured(t), "after the end")
		assert.Equal(t, 4*time.Second, trail.Duration(), "after the end")
	})
}

func TestObserveAbandonedBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sdk := install(t)
		resp, err := stack(routing, slow(200, io.EOF)).RoundTrip(newRequest(t, t.Context()))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 2, strings.Count(sdk.ended(), " 2s\n"))
		assert.NotContains(t, sdk.ended(), "error.type")
		assert.Equal(t, policy.OK, telemetry.TrailOf(resp).Attempts()[0].Verdict.Class)
	})
}

func TestObserveNoBody(t *testing.T) {
	for name, none := range map[string]io.ReadCloser{"nil": nil, "http.NoBody": http.NoBody} {
		t.Run(name, func(t *testing.T) {
			sdk := install(t)
			resp, err := stack(routing, roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 204, Body: none}, nil
			})).RoundTrip(newRequest(t, t.Context()))
			require.NoError(t, err)
			assert.Len(t, sdk.spans.GetSpans(), 2, "spans that ended")
			assert.Equal(t, http.NoBody, resp.Body)
		})
	}
}

// TestObserveCancellation: who gives up is nobody's failure, whatever cause he
// gives. Our own limits are no such thing.
func TestObserveCancellation(t *testing.T) {
	tests := []struct {
		name  string
		cause error
		want  string // error.type
	}{
		{"without a cause", nil, ""},
		{"with a cause of his own", errors.New("user left"), ""},
		{"our own limit", &policy.TimeoutError{Scope: "total", Phase: "idle", Limit: time.Second}, "timeout_total"},
	}
	hang := roundTrip(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	})
	stall := roundTrip(func(req *http.Request) (*http.Response, error) {
		resp := answer(200, "")
		resp.Body = io.NopCloser(readFunc(func([]byte) (int, error) {
			<-req.Context().Done()
			return 0, context.Cause(req.Context())
		}))
		return resp, nil
	})
	for _, tt := range tests {
		for phase, next := range map[string]roundTrip{"before the header": hang, "in the body": stall} {
			t.Run(tt.name+" "+phase, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sdk := install(t)
					ctx, cancel := context.WithCancelCause(t.Context())
					time.AfterFunc(time.Second, func() { cancel(tt.cause) })
					_, err := send(t, stack(routing, next), ctx)
					require.ErrorIs(t, err, context.Cause(ctx))

					spans := sdk.spans.GetSpans()
					require.Len(t, spans, 2)
					for _, span := range spans {
						got, want := "", codes.Unset
						if tt.want != "" {
							want = codes.Error
						}
						for _, a := range span.Attributes {
							if a.Key == "error.type" {
								got = a.Value.String()
							}
						}
						assert.Equal(t, tt.want, got, "error.type of span %q", span.Name)
						assert.Equal(t, want, span.Status.Code, "status of span %q", span.Name)
					}
					assert.Equal(t, tt.want != "", strings.Contains(sdk.measured(t), "error.type=timeout_total"))
				})
			})
		}
	}
}

// readFunc is a func as a reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestObserveForeignLimit: a transport that hides the cause of a cancellation
// does not make our limit the caller's.
func TestObserveForeignLimit(t *testing.T) {
	install(t)
	ctx, trail := telemetry.NewContext(t.Context())
	limit := &policy.TimeoutError{Scope: "total", Phase: "first byte", Limit: time.Second}
	cut := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			ctx, cancel := context.WithCancelCause(req.Context())
			cancel(limit)
			return next.RoundTrip(req.WithContext(ctx))
		})
	}
	_, err := send(t, stack(routing, failing(context.Canceled), cut), ctx)
	require.Error(t, err)
	assert.Equal(t, policy.TimedOut, trail.Attempts()[0].Verdict.Class)
}

func TestObservePanic(t *testing.T) {
	sdk := install(t)
	rt := stack(routing, roundTrip(func(*http.Request) (*http.Response, error) { panic("boom") }))
	assert.PanicsWithValue(t, "boom", func() { _, _ = rt.RoundTrip(newRequest(t, t.Context())) })
	spans := sdk.spans.GetSpans()
	require.Len(t, spans, 2)
	assert.Equal(t, "POST", spans[0].Name)
	assert.Equal(t, "predict ticket_routing", spans[1].Name)
	for _, span := range spans {
		assert.Equal(t, codes.Error, span.Status.Code)
	}
	assert.Equal(t, 2, strings.Count(sdk.measured(t), "error.type=_OTHER"))
}

// TestObservePanicInClassify: the spans end, and nobody gets the response, so it
// is closed.
func TestObservePanicInClassify(t *testing.T) {
	cfg := routing
	cfg.Classify = func(policy.Outcome) policy.Verdict { panic("boom") }
	for name, rt := range map[string]func(next http.RoundTripper) http.RoundTripper{
		"both layers": func(next http.RoundTripper) http.RoundTripper { return stack(cfg, next) },
		"call alone":  func(next http.RoundTripper) http.RoundTripper { return telemetry.ObserveCall(cfg)(next) },
	} {
		t.Run(name, func(t *testing.T) {
			sdk := install(t)
			closed := false
			next := roundTrip(func(*http.Request) (*http.Response, error) {
				resp := answer(200, "")
				resp.Body = &closeNoter{Reader: strings.NewReader("fine"), closed: &closed}
				return resp, nil
			})
			assert.PanicsWithValue(t, "boom", func() { _, _ = rt(next).RoundTrip(newRequest(t, t.Context())) })
			assert.True(t, closed, "the body is closed")
			names := []string{}
			for _, span := range sdk.spans.GetSpans() {
				names = append(names, span.Name)
			}
			want := []string{"POST", "predict ticket_routing"}
			if name == "call alone" {
				want = want[1:]
			}
			assert.Equal(t, want, names)
		})
	}
}

// TestCallSpanNamesTheModel: the span of a call has the model that was asked for.
func TestCallSpanNamesTheModel(t *testing.T) {
	sdk := install(t)
	_, err := send(t, stack(routing, upstream(200, "")), policy.WithCall(t.Context(), policy.Call{Model: "m-1"}))
	require.NoError(t, err)
	assert.Contains(t, sdk.ended(), " sparekey.model.id=m-1")
}

// TestReportTellsLeaversApart: a caller who leaves is counted as that, and as no failure.
func TestReportTellsLeaversApart(t *testing.T) {
	var calls telemetry.Activity
	cfg := telemetry.Config{Function: "f", Activity: &calls}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := send(t, stack(cfg, failing(context.Canceled)), ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = send(t, stack(cfg, failing(io.EOF)), t.Context())
	require.ErrorIs(t, err, io.EOF)

	var seen telemetry.FunctionSnapshot
	stack(cfg, nil).(telemetry.Reporter).Report(&seen)
	assert.Equal(t, map[string]uint64{"canceled": 1, "failed": 1}, seen.Calls)
}

func TestObserveParent(t *testing.T) {
	sdk := install(t)
	ctx, root := otel.Tracer("test").Start(t.Context(), "GET /tickets")
	var below context.Context
	_, err := send(t, stack(routing, roundTrip(func(req *http.Request) (*http.Response, error) {
		below = req.Context()
		_, span := otel.Tracer("test").Start(below, "DNS")
		span.End()
		return answer(200, ""), nil
	})), ctx)
	require.NoError(t, err)
	root.End()

	parents := map[string]string{}
	names := map[string]string{}
	for _, span := range sdk.spans.GetSpans() {
		names[span.SpanContext.SpanID().String()] = span.Name
		assert.Equal(t, root.SpanContext().TraceID(), span.SpanContext.TraceID())
	}
	for _, span := range sdk.spans.GetSpans() {
		parents[span.Name] = names[span.Parent.SpanID().String()]
	}
	assert.Equal(t, map[string]string{
		"GET /tickets":           "",
		"predict ticket_routing": "GET /tickets",
		"POST":                   "predict ticket_routing",
		"DNS":                    "POST",
	}, parents)
	assert.NotNil(t, telemetry.FromContext(below))
}

func TestAttemptSpanNamesTheRequest(t *testing.T) {
	tests := []struct {
		method, url string
		want        string
	}{
		{"GET", "http://api.test", "GET client http.request.method=GET url.full=http://api.test server.address=api.test server.port=80"},
		{"", "http://api.test/", "GET client http.request.method=GET url.full=http://api.test/ server.address=api.test server.port=80"},
		{"PUT", "https://api.test:8443/a%2Fb", "PUT client http.request.method=PUT url.full=https://api.test:8443/a%2Fb server.address=api.test server.port=8443"},
		{"GET", "http://[::1]:8080/", "GET client http.request.method=GET url.full=http://[::1]:8080/ server.address=::1 server.port=8080"},
		{"GET", "https://user:pass@api.test/a?b=c#d", "GET client http.request.method=GET url.full=https://api.test/a server.address=api.test server.port=443"},
		{"BREW", "http://api.test", "HTTP client http.request.method=_OTHER url.full=http://api.test server.address=api.test server.port=80 http.request.method_original=BREW"},
		{"GET", "https://api.test/a?", "GET client http.request.method=GET url.full=https://api.test/a server.address=api.test server.port=443"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.url, func(t *testing.T) {
			sdk := install(t)
			ctx, _ := telemetry.NewContext(t.Context())
			req, err := http.NewRequestWithContext(ctx, tt.method, tt.url, nil)
			require.NoError(t, err)
			req.Method = tt.method // NewRequest fills it in
			resp, err := telemetry.ObserveAttempt(routing)(upstream(200, "")).RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			got, _, _ := strings.Cut(sdk.ended(), " http.response")
			assert.Equal(t, tt.want, got)
		})
	}
}

// TestAttemptSpanOfAnOpaqueURL: what may be secret stays out of the span where a URL has
// it as text, too.
func TestAttemptSpanOfAnOpaqueURL(t *testing.T) {
	sdk := install(t)
	ctx, _ := telemetry.NewContext(t.Context())
	req := newRequest(t, ctx)
	req.URL.Opaque = "//jane:secret@api.test/v1%2Fpredict?externalId=jane%40doe.test"
	resp, err := telemetry.ObserveAttempt(routing)(upstream(200, "")).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Contains(t, sdk.ended(), " url.full=https://api.test/v1/predict server.address=api.test ")
}

func TestObserveAttemptWithoutTrail(t *testing.T) {
	sdk := install(t)
	req := newRequest(t, t.Context())
	rt := telemetry.ObserveAttempt(routing)(roundTrip(func(got *http.Request) (*http.Response, error) {
		assert.Same(t, req, got)
		return answer(200, ""), nil
	}))
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Empty(t, sdk.ended())
	assert.Equal(t, "\n", sdk.measured(t))
}

func TestObserveLeavesTheRequestAlone(t *testing.T) {
	install(t)
	req := newRequest(t, t.Context())
	before := *req
	resp, err := stack(routing, upstream(200, "")).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, before, *req)
}

// idleCloser is a transport with connections to close.
type idleCloser struct {
	roundTrip
	closed int
}

func (c *idleCloser) CloseIdleConnections() { c.closed++ }

func TestObserveClosesIdleConnections(t *testing.T) {
	bottom := &idleCloser{}
	client := &http.Client{Transport: stack(routing, bottom)}
	client.CloseIdleConnections()
	assert.Equal(t, 1, bottom.closed)
	client.Transport = stack(routing, bottom.roundTrip)
	client.CloseIdleConnections() // the transport has none
	assert.Equal(t, 1, bottom.closed)
}

func TestObserveStripsForeignAnswers(t *testing.T) {
	install(t)
	spoofed := roundTrip(func(*http.Request) (*http.Response, error) {
		resp := answer(200, "")
		resp.Header.Set(telemetry.HeaderName, "rule;rule=\"evil\"")
		return resp, nil
	})
	resp, err := send(t, stack(routing, spoofed), t.Context())
	require.NoError(t, err)
	assert.Empty(t, resp.Header.Values(telemetry.HeaderName))
	assert.Equal(t, telemetry.Answer{Source: telemetry.Live}, telemetry.TrailOf(resp).Answer())

	own := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			telemetry.Mark(req, resp.Header, telemetry.Answer{Source: telemetry.Static, Cause: policy.Refused})
			return resp, err
		})
	}
	resp, err = send(t, stack(routing, spoofed, own), t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"static;cause=refused"}, resp.Header.Values(telemetry.HeaderName))
}

func TestObserveError(t *testing.T) {
	later := time.Now().Add(time.Minute)
	report := func(f func(*telemetry.Trail, context.Context)) func(http.RoundTripper) http.RoundTripper {
		return func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(req)
				f(telemetry.FromContext(req.Context()), req.Context())
				return resp, err
			})
		}
	}
	refusal := &policy.Refusal{Layer: "breaker", Reason: "breaker_open", RetryAt: later, Err: errors.New("open")}
	unsure := &policy.Refusal{Layer: "limit", Reason: "queue_full", Err: errors.New("full")}
	own := &policy.Error{Function: "inner", Attempts: 7, Err: io.EOF}
	unreachable := policy.Verdict{Class: policy.Unreachable, Again: policy.Anywhere, Executed: policy.NotExecuted}
	refused := policy.Verdict{Class: policy.Refused, Again: policy.Elsewhere, Executed: policy.NotExecuted}
	tests := []struct {
		name   string
		err    error
		layers []func(http.RoundTripper) http.RoundTripper
		want   policy.Error
	}{
		{
			"transport", syscall.ECONNREFUSED, nil,
			policy.Error{Function: "ticket_routing", Verdict: unreachable, Attempts: 1, Err: syscall.ECONNREFUSED},
		},
		{"retry", syscall.ECONNREFUSED, []func(http.RoundTripper) http.RoundTripper{
			report(func(t *telemetry.Trail, _ context.Context) { t.Stopped(telemetry.NoTime, later) }), repeat(3),
		}, policy.Error{Function: "ticket_routing", Verdict: unreachable, Attempts: 3, RetryAt: later, Err: syscall.ECONNREFUSED}},
		{
			"refusal", refusal, nil,
			policy.Error{Function: "ticket_routing", Verdict: refused, Attempts: 1, RetryAt: later, Err: refusal},
		},
		{"refusal that knows no time, after one was named", unsure, []func(http.RoundTripper) http.RoundTripper{
			report(func(t *telemetry.Trail, ctx context.Context) {
				t.Stopped(telemetry.NoPatience, later)
				t.Refused(ctx, unsure)
			}),
		}, policy.Error{Function: "ticket_routing", Verdict: refused, Attempts: 1, RetryAt: later, Err: unsure}},
		{"one that is complete", own, nil, *own},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &http.Client{Transport: stack(routing, failing(tt.err), tt.layers...)}
				_, err := client.Do(newRequest(t, t.Context()))
				require.ErrorIs(t, err, tt.err)
				got := policy.ErrorOf(err)
				require.NotNil(t, got)
				got.Verdict.Wait = 0 // depends on the clock
				assert.Equal(t, tt.want, *got)
			})
		})
	}
}

// A request that was made without a header gets one for the trace.
func TestTraceparentWithoutHeader(t *testing.T) {
	install(t)
	var sent http.Header
	rt := stack(telemetry.Config{Traceparent: true}, roundTrip(func(req *http.Request) (*http.Response, error) {
		sent = req.Header
		return answer(200, ""), nil
	}))
	req := newRequest(t, t.Context())
	req.Header = nil
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.NotEmpty(t, sent.Get("Traceparent"))
	assert.Nil(t, req.Header, "the caller's request")
}

// A request that carries the fields of another trace goes out with none of them: the two
// fields are one.
func TestTraceparentReplacesAnotherTrace(t *testing.T) {
	install(t)
	var sent http.Header
	rt := stack(telemetry.Config{Traceparent: true}, roundTrip(func(req *http.Request) (*http.Response, error) {
		sent = req.Header
		return answer(200, ""), nil
	}))
	const other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	req := newRequest(t, t.Context())
	req.Header.Set("Traceparent", other)
	req.Header.Set("Tracestate", "vendor=other")
	req.Header["traceparent"], req.Header["tracestate"] = []string{other}, []string{"vendor=other"}
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.NotEqual(t, other, sent.Get("Traceparent"))
	assert.NotContains(t, sent, "traceparent")
	assert.NotContains(t, sent, "tracestate")
	assert.Empty(t, sent.Values("Tracestate"))
	assert.Equal(t, []string{"vendor=other"}, req.Header.Values("Tracestate"), "the caller's request")

	state, err := trace.ParseTraceState("vendor=ours")
	require.NoError(t, err)
	ours := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceState: state, Remote: true})
	resp, err = rt.RoundTrip(req.WithContext(trace.ContextWithRemoteSpanContext(t.Context(), ours)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, []string{"vendor=ours"}, sent.Values("Tracestate"))
}

// A request's trailer is told while its body is read, and reaches the wire also with
// the trace's fields.
func TestTraceparentKeepsTrailer(t *testing.T) {
	install(t)
	var sent http.Header
	rt := stack(telemetry.Config{Traceparent: true}, roundTrip(func(req *http.Request) (*http.Response, error) {
		_, err := io.ReadAll(req.Body)
		sent = req.Trailer
		return answer(200, ""), err
	}))
	req := newRequest(t, t.Context())
	req.Trailer = http.Header{"X-Sum": nil}
	req.Body = io.NopCloser(toldWhenRead(func() { req.Trailer.Set("X-Sum", "42") }))
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.Header{"X-Sum": {"42"}}, sent)
	assert.Empty(t, req.Header.Values("Traceparent"), "the caller's request")
}

// toldWhenRead is an empty body that tells when it is read.
type toldWhenRead func()

func (f toldWhenRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
