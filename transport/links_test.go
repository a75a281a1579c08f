package transport_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// cached are the two caches, and the method that each of them answers.
var cached = []struct {
	name, method string
	layer        func() transport.Layer
}{
	{"predictions", "POST", func() transport.Layer {
		return cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{TTL: time.Minute, StaleWhileRevalidate: time.Hour, Jitter: -1}})
	}},
	{"http", "GET", func() transport.Layer { return cache.HTTP(cache.HTTPConfig{}) }},
}

// storable answers so that both caches keep the answer for a minute.
func storable(status int) transporttest.Step {
	return transporttest.After(time.Second, transporttest.Reply(status, "{}", storableFields...))
}

var storableFields = []string{"Content-Type", "application/json", "Cache-Control", "max-age=60, stale-while-revalidate=3600"}

func askCached(t *testing.T, rt http.RoundTripper, method string) {
	t.Helper()
	text := ""
	if method == "POST" {
		text = "{}"
	}
	status, _, err := send(t, rt, to(t, method, "http://a.test/v1/x", text).WithContext(replayable(t.Context())))
	require.NoError(t, err)
	require.Equal(t, 200, status)
}

// TestJoinedLinksToTheLeader: who gets the answer to another's call links to that
// call, under which the attempt is.
func TestJoinedLinksToTheLeader(t *testing.T) {
	for _, tt := range cached {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sdk := installSDK(t)
				observed := telemetry.Config{Function: "fn"}
				rt := transport.Chain(transporttest.NewUpstream(storable(200)),
					telemetry.ObserveCall(observed), tt.layer(), telemetry.ObserveAttempt(observed))
				var group sync.WaitGroup
				for range 3 {
					group.Go(func() { askCached(t, rt, tt.method) })
				}
				group.Wait()
				spans := sdk.spans.GetSpans()
				attempt := named(spans, tt.method)
				require.Len(t, attempt, 1)
				calls := named(spans, "predict fn")
				require.Len(t, calls, 3)
				leaders := 0
				for _, span := range calls {
					if span.SpanContext.SpanID() == attempt[0].Parent.SpanID() {
						leaders++
						assert.Empty(t, span.Links, "the leader's")
						continue
					}
					if assert.Len(t, span.Links, 1, "a follower's") {
						assert.Equal(t, attempt[0].Parent.SpanID(), span.Links[0].SpanContext.SpanID())
						assert.Equal(t, attempt[0].Parent.TraceID(), span.Links[0].SpanContext.TraceID())
					}
				}
				assert.Equal(t, 1, leaders)
			})
		})
	}
}

// TestRefreshLinksToItsTrigger: an answer that is fetched behind a caller has a trace
// of its own that links to the caller's, and is counted as his call is.
func TestRefreshLinksToItsTrigger(t *testing.T) {
	ends := []struct {
		name string
		step transporttest.Step
		want string // of what failed
	}{
		{"well", storable(200), ""},
		{"503", storable(503), "error.type=overloaded Error"},
		{"cut short", transporttest.After(time.Second, transporttest.Cut(200, "{", storableFields...)), "error.type=truncated Error"},
	}
	for _, tt := range cached {
		for _, end := range ends {
			t.Run(tt.name+" "+end.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sdk := installSDK(t)
					observed := telemetry.Config{Function: "fn"}
					rt := transport.Chain(transporttest.NewUpstream(storable(200), end.step),
						telemetry.ObserveCall(observed), tt.layer(), telemetry.ObserveAttempt(observed))
					askCached(t, rt, tt.method)
					time.Sleep(90 * time.Second)
					sdk.spans.Reset()
					askCached(t, rt, tt.method) // stale
					synctest.Wait()
					time.Sleep(time.Minute)

					spans := sdk.spans.GetSpans()
					trigger, refresh, attempt := named(spans, "predict fn"), named(spans, "refresh fn"), named(spans, tt.method)
					require.Len(t, trigger, 1)
					require.Len(t, refresh, 1)
					require.Len(t, attempt, 1)
					assert.False(t, refresh[0].Parent.IsValid(), "a root")
					assert.NotEqual(t, trigger[0].SpanContext.TraceID(), refresh[0].SpanContext.TraceID())
					assert.Equal(t, refresh[0].SpanContext.SpanID(), attempt[0].Parent.SpanID())
					if assert.Len(t, refresh[0].Links, 1) {
						assert.Equal(t, trigger[0].SpanContext.SpanID(), refresh[0].Links[0].SpanContext.SpanID())
					}
					assert.Equal(t, time.Second, refresh[0].EndTime.Sub(refresh[0].StartTime))
					want := "sparekey.attempt.count=1 sparekey.function.name=fn " + end.want
					assert.Equal(t, strings.TrimSpace(want), strings.TrimSpace(textOf(refresh[0])))
				})
			})
		}
	}
}

// TestRefreshIsCounted: what layers do for a refresh is counted as what they do for a
// call, and nobody's trail is touched.
func TestRefreshIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sdk := installSDK(t)
		rt := transport.Chain(transporttest.NewUpstream(storable(200), storable(503)), transport.Standard(policy.Stack{
			Function: "f", Cache: &policy.Cache{TTL: time.Minute, StaleWhileRevalidate: time.Hour, Jitter: -1},
			Breaker: policy.Breaker{MinCalls: 1}, Retry: policy.Retry{Attempts: 2},
		}))
		askCached(t, rt, "POST")
		time.Sleep(90 * time.Second)
		ctx, trail := telemetry.NewContext(replayable(t.Context()))
		_, _, err := send(t, rt, to(t, "POST", "http://a.test/v1/x", "{}").WithContext(ctx))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		counted := map[string]int64{}
		for _, m := range sdk.collect(t) {
			sets, total := seriesOf(t, m)
			counted[m.Name] = total
			for _, set := range sets {
				if result, ok := set.Value("sparekey.cache.result"); ok {
					counted[m.Name+" "+result.AsString()]++
				}
			}
		}
		assert.EqualValues(t, 1, counted["sparekey.client.cache.lookups refresh"])
		assert.EqualValues(t, 3, counted["sparekey.client.attempt.duration"])
		assert.EqualValues(t, 2, counted["sparekey.client.prediction.duration"], "the refresh is no call")
		assert.Zero(t, trail.AttemptCount())
		assert.Empty(t, trail.Notes())
	})
}

// TestUncapturedIsCounted: a hit is counted once more if the service would have kept what
// was asked as a sample.
func TestUncapturedIsCounted(t *testing.T) {
	for query, want := range map[string][]string{"": {"hit", "miss", "uncaptured"}, "?capture=false": {"hit", "miss"}} {
		synctest.Test(t, func(t *testing.T) {
			sdk := installSDK(t)
			rt := transport.Chain(transporttest.NewUpstream(storable(200)), transport.Standard(policy.Stack{Cache: &policy.Cache{}}))
			for range 2 {
				req := to(t, "POST", "http://a.test/v1/x"+query, "{}").WithContext(replayable(t.Context()))
				_, _, err := send(t, rt, req)
				require.NoError(t, err)
			}
			var counted []string
			for _, m := range sdk.collect(t) {
				sets, _ := seriesOf(t, m)
				for _, set := range sets {
					if result, ok := set.Value("sparekey.cache.result"); ok {
						counted = append(counted, result.AsString())
					}
				}
			}
			assert.ElementsMatch(t, want, counted, query)
		})
	}
}

// TestLinkTo: the next call links to the span, and no other one.
func TestLinkTo(t *testing.T) {
	sdk := installSDK(t)
	rt := transport.Chain(transporttest.NewUpstream(), transport.Standard(policy.Stack{}))
	from := oteltrace.NewSpanContext(oteltrace.SpanContextConfig{TraceID: oteltrace.TraceID{1}, SpanID: oteltrace.SpanID{2}, Remote: true})
	linked := telemetry.LinkTo(t.Context(), from)
	for _, ctx := range []context.Context{linked, linked, telemetry.LinkTo(t.Context(), oteltrace.SpanContext{})} {
		_, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", "").WithContext(ctx))
		require.NoError(t, err)
	}
	calls := named(sdk.spans.GetSpans(), "call")
	require.Len(t, calls, 3)
	if assert.Len(t, calls[0].Links, 1) {
		assert.Equal(t, from, calls[0].Links[0].SpanContext)
	}
	assert.False(t, calls[0].Parent.IsValid())
	assert.Empty(t, calls[1].Links)
	assert.Empty(t, calls[2].Links)
}

// named returns the spans of that name, in the order in which they ended.
func named(spans tracetest.SpanStubs, name string) (found tracetest.SpanStubs) {
	for _, span := range spans {
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

// textOf returns what a span says.
func textOf(span tracetest.SpanStub) string {
	var b strings.Builder
	for _, a := range span.Attributes {
		b.WriteString(string(a.Key) + "=" + a.Value.String() + " ")
	}
	if span.Status.Code != 0 {
		b.WriteString(span.Status.Code.String())
	}
	return b.String()
}
