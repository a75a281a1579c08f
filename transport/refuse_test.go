package transport_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// What a layer refuses when it is asked is what it refuses in a RoundTrip, told and
// counted in the same way. Where it refuses nothing, nothing happens.
func TestRefuse(t *testing.T) {
	open := func(t *testing.T, cfg policy.Breaker) *transport.Breaker {
		cfg.MinCalls = 1
		b := transport.NewBreaker(cfg)
		_, _ = b.Wrap(transporttest.NewUpstream(transporttest.Fail(errDial))).RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		return b
	}
	after := func(wait time.Duration, b *transport.Breaker) *transport.Breaker {
		time.Sleep(wait)
		return b
	}
	isolated := func(until time.Time, b *transport.Breaker) *transport.Breaker {
		b.Isolate("moving house", until)
		return b
	}
	probed := func(t *testing.T, b *transport.Breaker) *transport.Breaker {
		time.Sleep(time.Hour)
		go func() {
			_, _ = b.Wrap(transporttest.NewUpstream(transporttest.Hang())).RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		}()
		synctest.Wait()
		return b
	}
	observed := func(b *transport.Breaker) *transport.Breaker {
		b.Observe("to see", time.Time{})
		return b
	}
	known := func(t *testing.T, l transport.Layer) transport.Layer { // by a PerKey, which has met the host
		keyed := transport.PerKey(transport.Authority, func(string) transport.Layer { return l })
		return func(next http.RoundTripper) http.RoundTripper {
			rt := keyed(next)
			_, _ = rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
			return rt
		}
	}
	say := func(v policy.Verdict) policy.Classifier {
		return func(policy.Outcome) policy.Verdict { return v }
	}
	for _, tt := range []struct {
		name  string
		layer func(t *testing.T) transport.Layer
		want  bool // to refuse
	}{
		{"no layer", func(t *testing.T) transport.Layer { return nil }, false},
		{"closed", func(t *testing.T) transport.Layer { return transport.NewBreaker(policy.Breaker{}).Wrap }, false},
		{"open", func(t *testing.T) transport.Layer { return open(t, policy.Breaker{}).Wrap }, true},
		{"open, time is up", func(t *testing.T) transport.Layer { return after(time.Hour, open(t, policy.Breaker{})).Wrap }, false},
		{"half open, with its probes under way", func(t *testing.T) transport.Layer { return probed(t, open(t, policy.Breaker{Probes: 1})).Wrap }, false},
		{"isolated", func(t *testing.T) transport.Layer { return isolated(time.Time{}, open(t, policy.Breaker{})).Wrap }, true},
		{"isolated until now", func(t *testing.T) transport.Layer {
			return after(time.Second, isolated(time.Now().Add(time.Second), open(t, policy.Breaker{}))).Wrap
		}, false},
		{"metrics only", func(t *testing.T) transport.Layer { return open(t, policy.Breaker{MetricsOnly: true}).Wrap }, false},
		{"metrics only by hand", func(t *testing.T) transport.Layer { return observed(open(t, policy.Breaker{})).Wrap }, false},
		{"off", func(t *testing.T) transport.Layer { return transport.NewBreaker(policy.Breaker{Off: true}).Wrap }, false},
		{"open, of the host", func(t *testing.T) transport.Layer { return known(t, open(t, policy.Breaker{}).Wrap) }, true},
		{"open, of a host that is new", func(t *testing.T) transport.Layer {
			return transport.PerKey(transport.Authority, func(string) transport.Layer { return open(t, policy.Breaker{}).Wrap })
		}, false},
		{"open, in a retry", func(t *testing.T) transport.Layer {
			return around(transport.Retry(policy.Retry{}), open(t, policy.Breaker{}))
		}, true},
		{"open, in a retry that may repeat refusals", func(t *testing.T) transport.Layer {
			again := policy.Retry{Attempts: 2, Classify: say(policy.Verdict{Class: policy.Internal, Again: policy.Anywhere})}
			return around(transport.Retry(again), open(t, policy.Breaker{}))
		}, false},
		{"open, in a timeout", func(t *testing.T) transport.Layer {
			return around(transport.Timeout(policy.Timeout{}), open(t, policy.Breaker{}))
		}, true},
		{"open, in a layer that knows nothing of this", func(t *testing.T) transport.Layer {
			return around(transport.NewHedge(policy.Hedge{Delay: time.Second}).Wrap, open(t, policy.Breaker{}))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
					sent++
					return answer(req, http.StatusOK, page), req.Body.Close()
				}), tt.layer(t))
				sent = 0
				ctx, trail := traced(t)
				asked := &askedBody{Reader: strings.NewReader("hello")}
				req := newRequest(t, ctx, http.MethodPost, "")
				req.Body = asked
				refusal := body.Refuse(rt, req)
				assert.Zero(t, sent, "requests sent")
				if !tt.want {
					require.NoError(t, refusal)
					assert.Zero(t, asked.use, "uses of the body")
					assert.Empty(t, trail.Refusals())
					return
				}
				assert.Equal(t, bodyUse{closed: 1}, asked.use)
				require.ErrorIs(t, refusal, transport.ErrOpen)
				ctx, other := traced(t)
				_, err := rt.RoundTrip(newRequest(t, ctx, http.MethodPost, "hello"))
				assert.Equal(t, err, refusal)
				assert.Equal(t, other.Refusals(), trail.Refusals())
				assert.Equal(t, other.Notes(), trail.Notes())
			})
		})
	}
}

func around(outer transport.Layer, b *transport.Breaker) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper { return transport.Chain(next, outer, b.Wrap) }
}

// askedBody counts how it is used.
type askedBody struct {
	io.Reader
	use bodyUse
}

type bodyUse struct{ read, closed int }

func (b *askedBody) Read(p []byte) (int, error) {
	b.use.read++
	return b.Reader.Read(p)
}

func (b *askedBody) Close() error {
	b.use.closed++
	return nil
}

// A key func that panics leaves no body open, whoever asks for the key.
func TestRefusePanics(t *testing.T) {
	rt := transport.PerKey(func(*http.Request) string { panic("oops") }, func(string) transport.Layer { return nil })(transporttest.NewUpstream())
	asked := &askedBody{Reader: strings.NewReader("hello")}
	req := newRequest(t, t.Context(), http.MethodPost, "")
	req.Body = asked
	assert.Equal(t, "oops", mustPanic(t, func() { _ = body.Refuse(rt, req) }))
	assert.Equal(t, bodyUse{closed: 1}, asked.use)
}

// While a breaker refuses, a whole stack says, counts and answers what it would have if
// its cache had sent the request down to the breaker instead of asking it.
func TestRefusedStack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ladder bool
		ctx    func(context.Context) context.Context
	}{
		{"the cache answers", false, same},
		{"the ladder answers", true, same},
		{"nothing may answer", false, policy.Strict},
		{"the rung is left out", true, func(ctx context.Context) context.Context { return policy.Without(ctx, policy.RungStale) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen [2]string
			for i, hidden := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) { seen[i] = playRefused(t, tt.ladder, tt.ctx, hidden) })
			}
			assert.Contains(t, seen[0], "refused by breaker")
			assert.Equal(t, seen[0], seen[1])
		})
	}
}

func same(ctx context.Context) context.Context { return ctx }

// playRefused returns all that there is to be seen of a call to a stack whose breaker is
// open and whose cache has an answer that is no longer fresh. Hidden layers cannot be
// asked whether they would refuse.
func playRefused(t *testing.T, ladder bool, ctxOf func(context.Context) context.Context, hidden bool) string {
	var seen strings.Builder
	logger := slog.New(slog.NewJSONHandler(&seen, &slog.HandlerOptions{Level: slog.LevelDebug}))
	memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{Jitter: -1}, HandOnFailures: ladder})
	breaker := transport.NewBreaker(policy.Breaker{})
	hide := func(next http.RoundTripper) http.RoundTripper {
		if hidden {
			return transport.Func(next.RoundTrip)
		}
		return next
	}
	layers := []transport.Layer{telemetry.ObserveCall(telemetry.Config{Logger: logger})}
	if ladder {
		rungs := []fallback.Rung{
			{Name: policy.RungStale, Answer: memo.Stale},
			{Name: policy.RungStatic, Answer: func(req *http.Request, _ bool) (*http.Response, telemetry.Answer, bool) {
				return answer(req, http.StatusOK, `{"labelName":"other"}`), telemetry.Answer{Source: telemetry.Static}, true
			}},
		}
		uncompared := policy.Fidelity{Share: -1} // which would be left to chance
		layers = append(layers, fallback.NewLadder(fallback.LadderConfig{Rungs: rungs, Fidelity: uncompared}).Wrap)
	}
	layers = append(layers, memo.Wrap, hide, transport.Timeout(policy.Timeout{}), transport.Retry(policy.Retry{}), breaker.Wrap)
	sent := 0
	rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
		sent++
		return answer(req, http.StatusOK, `{"labelName":"billing"}`), req.Body.Close()
	}), layers...)
	request := func(ctx context.Context) *http.Request {
		return newRequest(t, policy.WithCall(ctx, policy.Call{Function: "tickets", Replayable: true}), http.MethodPost, `{"data":"x"}`)
	}
	_, _, err := send(t, rt, request(t.Context()))
	require.NoError(t, err)
	time.Sleep(time.Hour)
	breaker.Isolate("moving house", time.Time{})
	seen.Reset()

	ctx, trail := traced(t)
	resp, err := rt.RoundTrip(request(ctxOf(ctx)))
	synctest.Wait()
	fmt.Fprintln(&seen, err, trail, trail.Refusals(), trail.Notes(), memo.Stats(), sent)
	if err == nil {
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		fmt.Fprintln(&seen, resp.Status, resp.Header, string(text))
	}
	return seen.String()
}
