package transport_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// An sdk is an OpenTelemetry SDK that keeps what it gets.
type sdk struct {
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
}

func installSDK(t *testing.T) *sdk {
	s := &sdk{tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()}
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans)))
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader)))
	t.Cleanup(func() {
		otel.SetTracerProvider(tracenoop.NewTracerProvider())
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
	})
	return s
}

func (s *sdk) collect(t *testing.T) []metricdata.Metrics {
	var got metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(t.Context(), &got))
	if len(got.ScopeMetrics) == 0 {
		return nil
	}
	return got.ScopeMetrics[0].Metrics
}

// tree returns the spans that have ended, parents first and in the order in which
// they began, with what tells them apart.
func (s *sdk) tree() string {
	spans := s.spans.GetSpans()
	slices.SortStableFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	var b strings.Builder
	for _, parent := range spans {
		if parent.Parent.IsValid() {
			continue
		}
		writeSpan(&b, "", parent)
		for _, child := range spans {
			if child.Parent.SpanID() == parent.SpanContext.SpanID() {
				writeSpan(&b, "  ", child)
			}
		}
	}
	return b.String()
}

func writeSpan(b *strings.Builder, indent string, span tracetest.SpanStub) {
	fmt.Fprintf(b, "%s%s %s", indent, span.Name, span.SpanKind)
	for _, a := range span.Attributes {
		switch a.Key {
		case "http.request.method", "url.full", "server.address", "server.port":
		default:
			fmt.Fprintf(b, " %s=%s", a.Key, a.Value.String())
		}
	}
	if span.Status.Code != 0 {
		fmt.Fprintf(b, " %s", span.Status.Code)
	}
	b.WriteByte('\n')
}

// TestQueueWaitIsCounted: how long who had to wait for a limiter waited, and of nobody else.
func TestQueueWaitIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sdk := installSDK(t)
		d := newDoor(t, policy.Limit{InFlight: 1})
		d.rt = telemetry.ObserveCall(telemetry.Config{Function: "f"})(d.rt)
		inside := d.usual()
		waits := d.usual()
		time.Sleep(3 * time.Second)
		inside.leave()
		require.True(t, waits.isInside())
		waits.leave()
		var points []metricdata.HistogramDataPoint[float64]
		for _, m := range sdk.collect(t) {
			if m.Name == "sparekey.client.queue.wait.duration" {
				points = m.Data.(metricdata.Histogram[float64]).DataPoints
			}
		}
		require.Len(t, points, 1)
		assert.EqualValues(t, 1, points[0].Count)
		assert.Equal(t, 3.0, points[0].Sum)
	})
}

// seriesOf returns the series that an instrument has, and the sum of what they count.
func seriesOf(t *testing.T, m metricdata.Metrics) (sets []attribute.Set, total int64) {
	switch data := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			sets, total = append(sets, p.Attributes), total+int64(p.Count)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			sets, total = append(sets, p.Attributes), total+p.Value
		}
	default:
		t.Fatalf("%s has data of type %T", m.Name, m.Data)
	}
	return sets, total
}

// scripted answers the requests of a test one after the other.
type scripted struct {
	mu    sync.Mutex
	steps []func(*http.Request) (*http.Response, error)
	seen  []http.Header
}

func (s *scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.seen = append(s.seen, req.Header.Clone())
	step := s.steps[0]
	if len(s.steps) > 1 { // the last is for all that come after it
		s.steps = s.steps[1:]
	}
	s.mu.Unlock()
	return step(req)
}

func says(status int) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}
}

func hangs(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}

func slowly(req *http.Request) (*http.Response, error) {
	time.Sleep(1500 * time.Millisecond)
	return says(200)(req)
}

// hedges returns what hedges came to, and how many.
func (s *sdk) hedges(t *testing.T) string {
	for _, m := range s.collect(t) {
		if m.Name == "sparekey.client.hedges" {
			sets, total := seriesOf(t, m)
			require.Len(t, sets, 1)
			outcome, _ := sets[0].Value("sparekey.hedge.outcome")
			return fmt.Sprint(outcome.AsString(), " ", total)
		}
	}
	return ""
}

// TestSpanLayout: the spans of calls in which everything happens.
func TestSpanLayout(t *testing.T) {
	static := &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}}
	tests := []struct {
		name  string
		stack policy.Stack
		steps []func(*http.Request) (*http.Response, error)
		want  string

		wantHedges string
	}{
		{
			name:  "failover",
			stack: policy.Stack{Failover: &policy.Failover{Endpoints: regions()}},
			steps: []func(*http.Request) (*http.Response, error){says(503), says(500), says(200)},
			want: `
				predict f internal sparekey.attempt.count=3 sparekey.function.name=f sparekey.answer.source=c sparekey.fallback.cause=internal
				  POST client sparekey.endpoint.name=a http.response.status_code=503 error.type=503 Error
				  POST client http.request.resend_count=1 sparekey.attempt.kind=failover sparekey.endpoint.name=b http.response.status_code=500 error.type=500 Error
				  POST client http.request.resend_count=2 sparekey.attempt.kind=failover sparekey.endpoint.name=c http.response.status_code=200`,
		},
		{
			name:  "a hedge wins",
			stack: policy.Stack{Hedge: &policy.Hedge{Delay: time.Second, Ratio: 1}},
			steps: []func(*http.Request) (*http.Response, error){hangs, says(200)},
			want: `
				predict f internal sparekey.attempt.count=2 sparekey.function.name=f sparekey.answer.source=live
				  POST client
				  POST client http.request.resend_count=1 sparekey.attempt.kind=hedge http.response.status_code=200`,
			wantHedges: "won 1",
		},
		{
			name:  "a hedge loses",
			stack: policy.Stack{Hedge: &policy.Hedge{Delay: time.Second, Ratio: 1}},
			steps: []func(*http.Request) (*http.Response, error){slowly, hangs},
			want: `
				predict f internal sparekey.attempt.count=2 sparekey.function.name=f sparekey.answer.source=live
				  POST client http.response.status_code=200
				  POST client http.request.resend_count=1 sparekey.attempt.kind=hedge`,
			wantHedges: "lost 1",
		},
		{
			name:  "a hedge fails",
			stack: policy.Stack{Hedge: &policy.Hedge{Delay: time.Second, Ratio: 1}, Retry: policy.Retry{Attempts: 1}},
			steps: []func(*http.Request) (*http.Response, error){slowly, says(500)},
			want: `
				predict f internal sparekey.attempt.count=2 sparekey.function.name=f sparekey.answer.source=live
				  POST client http.response.status_code=200
				  POST client http.request.resend_count=1 sparekey.attempt.kind=hedge http.response.status_code=500 error.type=500 Error`,
			wantHedges: "failed 1",
		},
		{
			name:  "an answer in the service's place",
			stack: policy.Stack{Fallback: static, Retry: policy.Retry{Attempts: 2}},
			steps: []func(*http.Request) (*http.Response, error){says(503), says(503)},
			want: `
				predict f internal sparekey.attempt.count=2 sparekey.function.name=f sparekey.answer.source=static sparekey.answer.confidence=0.1 sparekey.fallback.cause=overloaded
				  POST client http.response.status_code=503 error.type=503 Error
				  POST client http.request.resend_count=1 sparekey.attempt.kind=retry http.response.status_code=503 error.type=503 Error`,
		},
		{
			name:  "an error",
			stack: policy.Stack{Retry: policy.Retry{Attempts: 2}},
			steps: []func(*http.Request) (*http.Response, error){says(503), says(503)},
			want: `
				predict f internal sparekey.attempt.count=2 sparekey.function.name=f error.type=overloaded Error
				  POST client http.response.status_code=503 error.type=503 Error
				  POST client http.request.resend_count=1 sparekey.attempt.kind=retry http.response.status_code=503 error.type=503 Error`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sdk := installSDK(t)
				tt.stack.Function = "f"
				upstream := &scripted{steps: append([]func(*http.Request) (*http.Response, error){says(200)}, tt.steps...)}
				rt := transport.Chain(upstream, transport.Standard(tt.stack))
				for range 2 {
					sdk.spans.Reset() // the first call pays for what the second does
					req := to(t, "POST", "http://a.test/v1/x", "body")
					ctx := policy.WithCall(withBaggage(t, req.Context()), policy.Call{Function: "f", Replayable: true})
					_, _, err := send(t, rt, req.WithContext(ctx))
					require.NoError(t, err)
					time.Sleep(time.Minute)
				}
				assert.Equal(t, strings.ReplaceAll(strings.TrimSpace(tt.want), "\n\t\t\t\t", "\n")+"\n", sdk.tree())
				assert.Equal(t, tt.wantHedges, sdk.hedges(t))
				for _, header := range upstream.seen {
					assert.Empty(t, header["Traceparent"], "nobody asked for it")
					assert.Empty(t, header["Tracestate"], "likewise")
					assert.Empty(t, header["Baggage"], "it is never sent")
				}
			})
		})
	}
}

// TestTraceparent: attempts carry it if somebody asked, each that of its own span,
// and nobody's baggage.
func TestTraceparent(t *testing.T) {
	sdk := installSDK(t)
	upstream := &scripted{steps: []func(*http.Request) (*http.Response, error){says(200)}}
	rt := transport.Chain(upstream, transport.Standard(policy.Stack{Traceparent: true}))
	req := to(t, "POST", "http://a.test/v1/x", "body")
	req = req.WithContext(withBaggage(t, req.Context()))
	_, _, err := send(t, rt, req)
	require.NoError(t, err)
	attempt := sdk.spans.GetSpans()[0].SpanContext
	assert.Equal(t, []string{"00-" + attempt.TraceID().String() + "-" + attempt.SpanID().String() + "-01"}, upstream.seen[0]["Traceparent"])
	assert.Empty(t, upstream.seen[0]["Baggage"])
	assert.Empty(t, req.Header["Traceparent"], "the caller's request stays as it is")
}

// withBaggage returns a context with baggage, in a program whose propagators would
// send it along.
func withBaggage(t *testing.T, ctx context.Context) context.Context {
	before := otel.GetTextMapPropagator()
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	t.Cleanup(func() { otel.SetTextMapPropagator(before) })
	member, err := baggage.NewMember("user", "jane")
	require.NoError(t, err)
	bag, err := baggage.New(member)
	require.NoError(t, err)
	return baggage.ContextWithBaggage(ctx, bag)
}

// TestProbesAreMeasured: a probe is an attempt of its kind, and of no call.
func TestProbesAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sdk := installSDK(t)
		upstream := &scripted{steps: []func(*http.Request) (*http.Response, error){says(500), says(200), says(503)}}
		failover := transport.NewFailover(policy.Failover{
			Endpoints: regions(), Ejection: policy.Ejection{Faults: 1}, Probe: policy.Probe{Path: "/health"},
		}, nil)
		rt := failover.Wrap(upstream)
		_, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
		require.NoError(t, err)
		failover.Probe(t.Context(), upstream)
		assert.Equal(t, "GET client sparekey.attempt.kind=probe sparekey.endpoint.name=a http.response.status_code=503 error.type=503 Error\n", sdk.tree())
	})
}

// TestBoundedSeries: many functions with several endpoints and every kind of trouble
// make as many series as INSTRUMENTS.md says, and OpenTelemetry drops none.
func TestBoundedSeries(t *testing.T) {
	const functions, calls = 50, 60
	synctest.Test(t, func(t *testing.T) {
		sdk := installSDK(t)
		random := rand.New(rand.NewPCG(1, 2))
		chaos := transport.Func(func(req *http.Request) (*http.Response, error) {
			switch random.IntN(8) {
			case 0:
				return says(429)(req)
			case 1, 2:
				return says(503)(req)
			case 3:
				return nil, syscall.ECONNRESET
			}
			return says(200)(req)
		})
		type series struct {
			function, endpoint, kind string
			status                   int
			class                    policy.Class
		}
		want := map[series]bool{}
		var transports []http.RoundTripper
		for i := range functions {
			name := fmt.Sprint("f", i)
			rt := transport.Chain(chaos, transport.Standard(policy.Stack{
				Function: name, Cache: &policy.Cache{TTL: time.Second},
				Failover: &policy.Failover{Endpoints: regions()},
				Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}},
			}))
			transports = append(transports, rt)
			for n := range calls {
				ctx, trail := telemetry.NewContext(policy.WithCall(t.Context(), policy.Call{Function: name, Replayable: true}))
				_, _, err := send(t, rt, to(t, "POST", "http://a.test/v1/x", fmt.Sprint("body", n)).WithContext(ctx))
				require.NoError(t, err)
				before := ""
				for _, a := range trail.Attempts() {
					s := series{name, a.Endpoint, "first", a.Status, a.Verdict.Class}
					switch {
					case a.Number > 1 && a.Endpoint != before:
						s.kind = "failover"
					case a.Number > 1:
						s.kind = "retry"
					}
					before, want[s] = a.Endpoint, true
				}
			}
		}
		defer telemetry.Measure(func() telemetry.Snapshot { return transport.Snapshot(transports...) })()
		metrics := sdk.collect(t)
		require.Greater(t, len(metrics), 15)
		bounds := documentedSeries(t, map[string]int{
			"F": functions, "E": 3, "B": 3, "R": 1, "K": 3, // first, retry, failover
			"O": 4, // 200, 429, 503, a reset
			"A": 3, // static, and the names of two endpoints
			"C": 5, // those, live and cache
		})
		for _, m := range metrics {
			sets, _ := seriesOf(t, m)
			if bound, ok := bounds[m.Name]; assert.True(t, ok, "%s is not documented", m.Name) {
				assert.LessOrEqual(t, len(sets), bound, "series of %s", m.Name)
			}
			assert.Less(t, len(sets), 2000, m.Name)
			for _, set := range sets {
				assert.False(t, set.HasValue("otel.metric.overflow"), m.Name)
			}
			switch m.Name {
			case "sparekey.client.attempt.duration":
				assert.Len(t, sets, len(want))
			case "sparekey.client.breaker.state", "sparekey.client.cache.usage", "sparekey.client.cache.limit",
				"sparekey.client.cache.evictions", "sparekey.client.endpoint.healthy", "sparekey.client.endpoint.usage",
				"sparekey.client.limiter.usage", "sparekey.client.prediction.active", "sparekey.client.retry.budget.available":
				assert.Len(t, sets, bounds[m.Name], "series of %s", m.Name)
			}
		}
	})
}

// documentedSeries returns how many series INSTRUMENTS.md says that an instrument can
// have where the letters stand for these numbers.
func documentedSeries(t *testing.T, letters map[string]int) map[string]int {
	t.Helper()
	text, err := os.ReadFile("../telemetry/INSTRUMENTS.md")
	require.NoError(t, err)
	bounds := map[string]int{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 6 || !strings.HasPrefix(line, "| `") {
			continue
		}
		bound := 1
		for factor := range strings.SplitSeq(cells[4], "·") {
			n, err := strconv.Atoi(factor)
			if err != nil {
				n = letters[factor]
			}
			bound *= n
		}
		bounds[strings.Trim(cells[0], "|` ")] = bound
	}
	require.Greater(t, len(bounds), 20)
	return bounds
}
