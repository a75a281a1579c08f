package peers_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// TestMain installs a metric reader, so that what is recorded is paid for.
func TestMain(m *testing.M) {
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())))
	os.Exit(m.Run())
}

// BenchmarkPeers measures the same call through each contender of each row, one
// after another and from several goroutines at once. An operation is the whole
// call: its request is built, its answer read to the end and closed. Beside the
// wall time it reports the processor time, which neighbors on the machine
// disturb less.
func BenchmarkPeers(b *testing.B) {
	for _, row := range rows() {
		b.Run(row.name, func(b *testing.B) {
			base := row.base(b, row.answer)
			for _, c := range row.contenders {
				b.Run(c.name, func(b *testing.B) { benchmark(b, row, c, transport.Chain(base, c.layer)) })
			}
		})
	}
}

// TestContenders sees to it that the contenders of a row do the same: each gives
// the answer and asks the server as often as the row says.
func TestContenders(t *testing.T) {
	for _, row := range rows() {
		t.Run(row.name, func(t *testing.T) {
			base := row.base(t, row.answer)
			for _, c := range row.contenders {
				t.Run(c.name, func(t *testing.T) { testContender(t, row, c, base) })
			}
		})
	}
}

func testContender(t *testing.T, row row, c contender, base http.RoundTripper) {
	var asked atomic.Int64
	counted := transport.Func(func(req *http.Request) (*http.Response, error) {
		asked.Add(1)
		return base.RoundTrip(req)
	})
	rt, ctx := transport.Chain(counted, c.layer), callContext(t)
	for range 3 {
		resp, err := rt.RoundTrip(newRequest(ctx, c.method))
		if row.refused {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, row.answer, string(text))
	}
	want := row.asked
	if c.layer == nil {
		want = 3 // nothing repeats and nothing remembers
	}
	assert.EqualValues(t, want, asked.Load(), "requests to the server in three calls")
}

// A row is one comparison.
type row struct {
	name       string
	base       func(t testing.TB, answer string) http.RoundTripper // below all contenders
	answer     string
	refused    bool // every call ends in an error
	asked      int  // how often base is asked in three calls
	contenders []contender
}

// A contender is one way of making the row's call.
type contender struct {
	name   string
	layer  transport.Layer // nil for the bare transport
	method string          // POST if empty
}

// rows returns the comparisons. Settings are the defaults, except where the peers
// would then not do the same.
func rows() []row {
	sameBreaker := policy.Breaker{Ratio: 0.5, MinCalls: 20, Window: 10 * time.Second}
	openBreaker := policy.Breaker{MinCalls: 1, OpenFor: time.Hour}
	retryAtOnce := policy.Retry{Throttled: policy.Backoff{Base: -1}, Budget: policy.Budget{Off: true}}
	withFallback := policy.Stack{Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.5}}}
	predictions := func() transport.Layer { return cache.Predictions(cache.PredictionsConfig{}) }
	return []row{
		{name: "full-stack", base: answering, answer: prediction, asked: 3, contenders: []contender{
			{name: "bare"},
			{name: "sparekey", layer: transport.Standard(policy.Stack{})},
			{name: "sparekey-with-fallback", layer: transport.Standard(withFallback)},
			{name: "failsafehttp-in-otelhttp", layer: chain(measured, fivePolicies())},
		}},
		{name: "retry-breaker-timeout", base: answering, answer: prediction, asked: 3, contenders: []contender{
			{name: "bare"},
			{name: "sparekey", layer: chain(transport.Retry(policy.Retry{}),
				transport.NewBreaker(sameBreaker).Wrap, transport.Timeout(policy.Timeout{}))},
			{name: "failsafehttp", layer: policies(retryOf(), breakerOf(), timeoutOf(30*time.Second))},
		}},
		{name: "attempt-timeout", base: answering, answer: prediction, asked: 3, contenders: []contender{
			{name: "bare"},
			{name: "sparekey", layer: transport.Timeout(policy.Timeout{})},
			{name: "http.Client", layer: clientOf(0)},
			{name: "http.Client.Timeout", layer: clientOf(30 * time.Second)},
		}},
		{name: "one-retry", base: failingOnce, answer: prediction, asked: 6, contenders: []contender{
			{name: "bare", layer: askTwice},
			{name: "sparekey", layer: transport.Retry(retryAtOnce)},
			{name: "failsafehttp", layer: policies(retryOf())},
			{name: "go-retryablehttp", layer: retryable(noWait)},
		}},
		{name: "open-breaker", base: unreachable, refused: true, asked: 1, contenders: []contender{
			{name: "bare"},
			{name: "sparekey", layer: transport.NewBreaker(openBreaker).Wrap},
			{name: "gobreaker", layer: gobreakerLayer(gobreaker.Settings{
				Timeout:     time.Hour,
				ReadyToTrip: func(gobreaker.Counts) bool { return true },
			})},
			{name: "failsafehttp", layer: policies(circuitbreaker.NewBuilder[*http.Response]().WithDelay(time.Hour).Build())},
		}},
		{name: "cache-hit", base: answering, answer: longPrediction, asked: 1, contenders: []contender{
			{name: "bare"},
			{name: "sparekey", layer: predictions()},
			{name: "sparekey-with-metrics", layer: chain(telemetry.ObserveCall(telemetry.Config{}), predictions())},
			{name: "httpcache", layer: memoryCache, method: http.MethodGet},
		}},
		{name: "cache-hit-get", base: answering, answer: longPrediction, asked: 1, contenders: []contender{
			{name: "bare", method: http.MethodGet},
			{name: "sparekey", layer: cache.HTTP(cache.HTTPConfig{}), method: http.MethodGet},
			{name: "httpcache", layer: memoryCache, method: http.MethodGet},
		}},
		{name: "loopback", base: loopback, answer: prediction, asked: 3, contenders: []contender{
			{name: "bare"},
			{name: "sparekey", layer: transport.Standard(policy.Stack{})},
			{name: "failsafehttp-in-otelhttp", layer: chain(measured, fivePolicies())},
		}},
	}
}

func benchmark(b *testing.B, row row, c contender, rt http.RoundTripper) {
	call := func(b *testing.B, ctx context.Context) {
		resp, err := rt.RoundTrip(newRequest(ctx, c.method))
		if (err != nil) != row.refused {
			b.Errorf("the call ended in %v", err)
		}
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	b.Run("serial", func(b *testing.B) {
		ctx := callContext(b)
		call(b, ctx) // what is done once is not measured
		b.ReportAllocs()
		before := cpuTime()
		for b.Loop() {
			call(b, ctx)
		}
		reportCPU(b, before)
	})
	b.Run("parallel", func(b *testing.B) {
		call(b, callContext(b))
		b.ReportAllocs()
		b.ResetTimer()
		before := cpuTime()
		b.RunParallel(func(pb *testing.PB) {
			ctx := callContext(b)
			for pb.Next() {
				call(b, ctx)
			}
		})
		reportCPU(b, before)
	})
}

func reportCPU(b *testing.B, before time.Duration) {
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}
