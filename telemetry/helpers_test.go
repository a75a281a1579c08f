package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// roundTrip is a func as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answer returns a response that does not know its request, as fakes do.
func answer(status int, text string) *http.Response {
	return &http.Response{
		StatusCode:    status,
		Header:        http.Header{},
		Body:          io.NopCloser(strings.NewReader(text)),
		ContentLength: int64(len(text)),
	}
}

// upstream answers every request alike.
func upstream(status int, text string) roundTrip {
	return func(*http.Request) (*http.Response, error) { return answer(status, text), nil }
}

// failing fails every request alike.
func failing(err error) roundTrip {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// stack returns both layers around next, with layers between them.
func stack(cfg telemetry.Config, next http.RoundTripper, layers ...func(http.RoundTripper) http.RoundTripper) http.RoundTripper {
	next = telemetry.ObserveAttempt(cfg)(next)
	for _, layer := range slices.Backward(layers) {
		next = layer(next)
	}
	return telemetry.ObserveCall(cfg)(next)
}

// repeat is a layer that makes attempts until one is OK, with a second between
// them.
func repeat(attempts int) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			for n := 1; ; n++ {
				resp, err := next.RoundTrip(req)
				v := telemetry.Judge(req, resp, err, nil)
				if v.Class == policy.OK || n == attempts {
					return resp, err
				}
				if resp != nil {
					body.Discard(context.Background(), resp, 1<<10, time.Second)
				}
				telemetry.FromContext(req.Context()).Waits(req.Context(), time.Second, v.Class)
				time.Sleep(time.Second)
			}
		})
	}
}

const target = "https://jane:secret@api.test/v1/predict?externalId=jane%40doe.test#top"

func newRequest(t testing.TB, ctx context.Context) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, http.NoBody)
	require.NoError(t, err)
	return req
}

// send sends a request, reads the answer to its end and closes it.
func send(t testing.TB, rt http.RoundTripper, ctx context.Context) (*http.Response, error) {
	t.Helper()
	resp, err := rt.RoundTrip(newRequest(t, ctx))
	if err != nil {
		return nil, err
	}
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, resp.Body.Close())
	return resp, err
}

// A sdk is an OpenTelemetry SDK that keeps what it gets.
type sdk struct {
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
}

// install installs an SDK for what is constructed during the test.
func install(t *testing.T) *sdk {
	t.Helper()
	s := &sdk{tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()}
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans)))
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader)))
	t.Cleanup(func() {
		otel.SetTracerProvider(tracenoop.NewTracerProvider())
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
	})
	return s
}

// ended returns the spans that have ended, one a line, in the order in which
// they did: name, kind, parent, attributes, error if it is one, time taken.
func (s *sdk) ended() string {
	spans := s.spans.GetSpans()
	names := map[trace.SpanID]string{}
	for _, span := range spans {
		names[span.SpanContext.SpanID()] = span.Name
	}
	var b strings.Builder
	for _, span := range spans {
		fmt.Fprintf(&b, "%s %s", span.Name, span.SpanKind)
		if span.Parent.IsValid() {
			fmt.Fprintf(&b, " in %q", names[span.Parent.SpanID()])
		}
		for _, a := range span.Attributes {
			fmt.Fprintf(&b, " %s=%s", a.Key, a.Value.String())
		}
		if span.Status.Code != 0 {
			fmt.Fprintf(&b, " %s%s", span.Status.Code, span.Status.Description)
		}
		fmt.Fprintf(&b, " %v", span.EndTime.Sub(span.StartTime))
		for _, e := range span.Events {
			fmt.Fprintf(&b, " event %s", e.Name)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// measured returns the metrics, one series a line: name, unit, attributes, and
// the count, for histograms with the sum. Sums that are zero are left out.
func (s *sdk) measured(t *testing.T) string {
	t.Helper()
	var got metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(t.Context(), &got))
	var lines []string
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			head := m.Name + " " + m.Unit
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s%s %d in %gs", head, labels(p.Attributes), p.Count, p.Sum))
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					if p.Value == 0 { // nothing is under way any more
						continue
					}
					lines = append(lines, fmt.Sprintf("%s%s %d", head, labels(p.Attributes), p.Value))
				}
			default:
				t.Fatalf("%s has data of type %T", m.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func labels(set attribute.Set) string {
	var b strings.Builder
	for _, a := range set.ToSlice() {
		fmt.Fprintf(&b, " %s=%s", a.Key, a.Value.String())
	}
	return b.String()
}

// lines makes a text of lines out of an indented literal.
func lines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text)) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

// newLogger returns a logger that writes every record without its time.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}
