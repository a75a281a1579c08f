package telemetry

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sparekey/sparekey/policy"
)

// TestNoAttributeSetsOnTheCallPath: options with attributes are sorted and hashed
// before anybody asks whether there is an SDK, so that only what is made once makes
// them: a func whose name begins with "new", or with "observe", which is asked when
// metrics are collected.
func TestNoAttributeSetsOnTheCallPath(t *testing.T) {
	fset, looked := token.NewFileSet(), 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (path == "../examples" || strings.HasPrefix(entry.Name(), ".") && path != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		looked++
		for _, decl := range file.Decls {
			f, isFunc := decl.(*ast.FuncDecl)
			if isFunc && madeOnce(f.Name.Name) {
				continue
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && makesSet(s) {
					t.Errorf("%s: %s.%s on the path of a call", fset.Position(s.Pos()), s.X, s.Sel.Name)
				}
				return true
			})
		}
		return nil
	})
	require.NoError(t, err)
	assert.Greater(t, looked, 200)
}

func madeOnce(name string) bool {
	return strings.HasPrefix(name, "new") || strings.HasPrefix(name, "observe") ||
		name == "result" // of the metrics of nyckel/batch: for its constructor
}

func makesSet(s *ast.SelectorExpr) bool {
	pkg, ok := s.X.(*ast.Ident)
	if !ok {
		return false
	}
	switch pkg.Name + "." + s.Sel.Name {
	case "metric.WithAttributes", "metric.WithAttributeSet", "attribute.NewSet":
		return true
	}
	return false
}

// TestEventsCostNoMemory: no event does, neither without an SDK nor, once its
// series exists, with one.
func TestEventsCostNoMemory(t *testing.T) {
	ctx := context.Background()
	refusal := &policy.Refusal{Layer: "breaker", Reason: "breaker_open"}
	target := &url.URL{Scheme: "https", Host: "api.test"}
	degraded := Answer{Source: Rule, Cause: policy.Overloaded, Rule: "r"}
	events := map[string]func(*recorder){
		"called": func(r *recorder) { r.called(ctx, "f", time.Second, time.Second, Live, "", policy.OK) },
		"failed": func(r *recorder) { r.called(ctx, "f", time.Second, 0, "", "503", policy.Overloaded) },
		"under way": func(r *recorder) {
			r.over(ctx, r.began(ctx, "f"))
		},
		"http request": func(r *recorder) {
			r.requests.record(ctx, r.requests.targetOf(&http.Request{URL: target}), 503, time.Second, "503")
		},
		"attempted":  func(r *recorder) { r.attempted(ctx, "f", kindRetry, "eu", 503, time.Second, "503") },
		"retrying":   func(r *recorder) { r.retrying(ctx, time.Second, "503") },
		"skipped":    func(r *recorder) { r.retrySkipped(ctx, "f", NoBudget) },
		"hedged":     func(r *recorder) { r.hedged(ctx, "f", HedgeWon) },
		"refused":    func(r *recorder) { r.refused(ctx, "f", refusal) },
		"fallback":   func(r *recorder) { r.fallback(ctx, "f", degraded) },
		"compared":   func(r *recorder) { r.compared(ctx, "f", "rules", Agreed) },
		"looked up":  func(r *recorder) { r.lookedUp(ctx, "f", "hit") },
		"no breaker": func(r *recorder) { r.lookedUp(ctx, "", "miss") },
	}
	deaf := slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	for _, installed := range []bool{false, true} {
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
		if installed {
			otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())))
		}
		for _, logger := range []*slog.Logger{nil, deaf} {
			r := newRecorder(Config{RequestDuration: true, Logger: logger})
			for name, event := range events {
				allocs := testing.AllocsPerRun(200, func() { event(r) })
				assert.Zero(t, allocs, "%s, SDK: %v, logger: %v", name, installed, logger != nil)
			}
		}
	}
	otel.SetMeterProvider(metricnoop.NewMeterProvider())
}

// TestSetsAreKept: as many attribute sets as there can be series are made once, and
// any number of others keeps no memory.
func TestSetsAreKept(t *testing.T) {
	var s sets
	of := func(i int) labels { return labels{function: "f", status: i} }
	for i := range 2 * maxSets {
		s.of(of(i))
	}
	assert.Len(t, s.made.made, maxSets)
	i := 0
	assert.Zero(t, testing.AllocsPerRun(maxSets/2, func() {
		s.of(of(i % maxSets))
		i++
	}))
}

// TestSpansCostLittle: without an SDK a span makes three allocations and takes 256
// bytes at most, also in a request that came with the ids of a trace, which OpenTelemetry
// hands on. Of a call without them it costs nothing.
func TestSpansCostLittle(t *testing.T) {
	otel.SetTracerProvider(tracenoop.NewTracerProvider())
	r := newRecorder(Config{})
	layer := &attemptLayer{recorder: r}
	remote := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, Remote: true})
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		allocs float64
		bytes  uint64
	}{
		{"alone", t.Context(), 0, 0},
		{"in a trace", trace.ContextWithRemoteSpanContext(t.Context(), remote), 3, 256},
	} {
		req, err := http.NewRequestWithContext(tt.ctx, http.MethodPost, "https://api.test/v1/x", nil)
		require.NoError(t, err)
		trail := &Trail{}
		trail.claimed.Store(true)
		a := &attempt{trail: trail, layer: layer}
		for name, span := range map[string]func(){
			"call": func() {
				_, span := r.startCall(tt.ctx, now, "f")
				span.End()
			},
			"attempt": func() {
				a.startSpan(req)
				a.span.End()
			},
		} {
			allocs, bytes := tt.allocs, tt.bytes
			if name == "attempt" && tt.bytes > 0 { // the request that goes on has the span's context
				allocs, bytes = allocs+1, bytes+uint64(unsafe.Sizeof(*req))+32
			}
			assert.LessOrEqual(t, testing.AllocsPerRun(200, span), allocs, "%s %s: allocations", name, tt.name)
			assert.LessOrEqual(t, bytesPerRun(200, span), bytes, "%s %s: bytes", name, tt.name)
		}
	}
}

// bytesPerRun returns how many bytes f allocates on average.
func bytesPerRun(runs uint64, f func()) uint64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	f()
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

// TestWarnings: the first of a function is told at once, and then one in 10 s, with
// the number.
func TestWarnings(t *testing.T) {
	var w warnings
	start := time.Unix(1000, 0)
	tell := func(function string, after time.Duration, wantSince int) {
		t.Helper()
		since, due := w.due(function, start.Add(after))
		assert.Equal(t, wantSince, since)
		assert.Equal(t, wantSince > 0, due)
	}
	tell("a", 0, 1)
	tell("a", 1, 0)
	tell("b", 1, 1)
	tell("a", warningInterval-1, 0)
	tell("a", warningInterval, 3)
	tell("a", 2*warningInterval-1, 0)
	tell("a", 2*warningInterval+1, 2)
	for i := range 2 * maxWarned {
		w.due(string(rune('a'+i)), start)
	}
	assert.LessOrEqual(t, len(w.byFunction), maxWarned)
}

// TestEventsForget: however many functions fail, only so many are remembered.
func TestEventsForget(t *testing.T) {
	var e Events
	for i := range 2 * maxWarned {
		e.Failed(strconv.Itoa(i), policy.QuotaExceeded)
		require.LessOrEqual(t, len(e.failed), maxWarned)
	}
}
