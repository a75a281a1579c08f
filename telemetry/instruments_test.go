package telemetry_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

var update = flag.Bool("update", false, "write INSTRUMENTS.md as it comes now")

// TestInstruments: INSTRUMENTS.md has what a reader of metrics sees when everything
// happens once.
func TestInstruments(t *testing.T) {
	sdk := install(t)
	synctest.Test(t, happen)
	var counted, all metricdata.ResourceMetrics
	require.NoError(t, sdk.reader.Collect(t.Context(), &counted))
	stop := telemetry.Measure(fullSnapshot)
	defer stop()
	require.NoError(t, sdk.reader.Collect(t.Context(), &all))
	text := document(t, counted, all)
	if *update {
		require.NoError(t, os.WriteFile("INSTRUMENTS.md", []byte(text), 0o600))
	}
	want, err := os.ReadFile("INSTRUMENTS.md")
	require.NoError(t, err)
	assert.Equal(t, string(want), text, "run go test ./telemetry -run TestInstruments -update")
}

// happen makes everything happen that is counted: calls with every kind of attempt,
// outcome and source, and what layers report.
func happen(t *testing.T) {
	named := telemetry.Config{Function: "f"}
	at := func(name string) http.RoundTripper {
		n := 0
		return telemetry.ObserveAttempt(telemetry.Config{Function: "f", Endpoint: name, RequestDuration: true})(roundTrip(func(*http.Request) (*http.Response, error) {
			if n++; n < 3 {
				return answer(503, ""), nil
			}
			return answer(200, ""), nil
		}))
	}
	a, b := at("eu"), at("us")
	everything := func(http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			report(req.Context(), telemetry.FromContext(req.Context()))
			for _, to := range []http.RoundTripper{a, a, b} {
				resp, err := to.RoundTrip(req.Clone(req.Context()))
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
			}
			ctx, branch := telemetry.NewBranch(req.Context(), true)
			resp, err := b.RoundTrip(req.Clone(ctx))
			branch.Chosen(ctx)
			return resp, err
		})
	}
	_, err := send(t, stack(named, nil, everything), t.Context())
	require.NoError(t, err)
	probe := telemetry.ObserveAttempt(telemetry.Config{Function: "f", Endpoint: "eu", Probe: true})
	_, err = send(t, probe(upstream(200, "")), t.Context())
	require.NoError(t, err)
	for _, source := range []telemetry.Source{telemetry.Live, telemetry.Cache, telemetry.Stale, telemetry.Similar, telemetry.Rule, telemetry.Static, "eu"} {
		_, err := send(t, stack(named, upstream(200, ""), func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				telemetry.FromContext(req.Context()).Answered(req.Context(), telemetry.Answer{Source: source, Cause: policy.Overloaded})
				return next.RoundTrip(req)
			})
		}), t.Context())
		require.NoError(t, err)
	}
	_, err = send(t, stack(named, failing(errors.New("boom"))), t.Context())
	require.Error(t, err)
	for _, outcome := range []string{telemetry.ConfigApplied, telemetry.ConfigRejected, telemetry.ConfigUnchanged} {
		telemetry.Reloaded(t.Context(), slog.New(slog.DiscardHandler), "sparekey.yaml", outcome, "")
	}
}

// report reports to a trail everything that layers do.
func report(ctx context.Context, trail *telemetry.Trail) {
	for _, reason := range []string{
		"breaker_open", "breaker_isolated", "concurrency_limit", "rate_limit", "deadline",
		"queue_full", "queue_timeout", "throttled", "token", "body", "made up",
	} {
		trail.Refused(ctx, &policy.Refusal{Layer: "l", Reason: reason, Err: errors.New("no")})
	}
	for _, reason := range []string{
		telemetry.NoBudget, telemetry.NoTime, telemetry.NoPatience, telemetry.NoReplay, telemetry.NotSafe, telemetry.NoneLeft, "made up",
	} {
		trail.Stopped(reason, time.Time{})
	}
	for _, outcome := range []string{telemetry.HedgeWon, telemetry.HedgeLost, telemetry.HedgeFailed} {
		trail.Hedged(ctx, outcome)
	}
	for _, result := range []string{"hit", "stale", "similar", "miss", "joined", "refresh", "bypass", "uncaptured"} {
		trail.LookedUp(ctx, result)
	}
	for _, result := range []string{telemetry.Agreed, telemetry.Differed, telemetry.NoAnswer} {
		trail.Compared(ctx, "rules", result)
	}
	for _, trigger := range []policy.Trigger{policy.ByThreshold, policy.ByProbe, policy.ByLease, policy.ByHand, policy.ByExpiry} {
		for state := policy.Closed; state <= policy.Isolated; state++ {
			trail.Changed(ctx, policy.Transition{To: state, Trigger: trigger})
		}
	}
	trail.RungFailed(ctx, "rules", errors.New("boom"))
	trail.Waits(ctx, time.Second, policy.Overloaded)
	trail.Queued(ctx, time.Second)
}

// fullSnapshot is of a function that has everything.
func fullSnapshot() telemetry.Snapshot {
	return telemetry.Snapshot{Functions: []telemetry.FunctionSnapshot{{
		Name:      "f",
		Breakers:  []policy.BreakerSnapshot{{Name: "b"}},
		Limiters:  []telemetry.LimiterSnapshot{{Name: "l", Bound: 5}},
		Throttles: []telemetry.ThrottleSnapshot{{Name: "t"}},
		Endpoints: []telemetry.EndpointSnapshot{{Name: "eu"}},
		Budget:    &telemetry.BudgetSnapshot{},
		Cache:     &telemetry.CacheSnapshot{},
	}}}
}

// document writes what a reader has seen: what was counted, and all once that is observed,
// too, which Measure has it.
func document(t *testing.T, counted, all metricdata.ResourceMetrics) string {
	var b strings.Builder
	b.WriteString(`# Instruments

What a reader of metrics sees, written by TestInstruments: do not edit. The scope is
github.com/sparekey/sparekey. Prometheus writes dots as underscores and adds the unit and,
for counters, _total: sparekey_client_attempt_duration_seconds_count.

http.client.request.duration is there if Config.RequestDuration asks for it.
The observable ones are there once telemetry.Measure was called, for the layers that there
are; limiter.limit is for those limiters only that bound how many are in flight. Queues of
jobs and batches have instruments of their own: see jobs.Measured and package batch.

| Instrument | Kind | Unit | Attributes | Series at most | What |
|---|---|---|---|---|---|
`)
	values := map[attribute.Key]map[string]bool{}
	metrics := all.ScopeMetrics[0].Metrics
	slices.SortFunc(metrics, func(a, b metricdata.Metrics) int { return cmp.Compare(a.Name, b.Name) })
	for _, m := range metrics {
		kind, sets := kindOf(t, m)
		if !slices.ContainsFunc(counted.ScopeMetrics[0].Metrics, func(c metricdata.Metrics) bool { return c.Name == m.Name }) {
			kind = "observable " + kind
		}
		keys := map[attribute.Key]bool{}
		for _, set := range sets {
			for _, a := range set.ToSlice() {
				keys[a.Key] = true
				if values[a.Key] == nil {
					values[a.Key] = map[string]bool{}
				}
				values[a.Key][a.Value.String()] = true
			}
		}
		var names []string
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			names = append(names, "`"+string(key)+"`")
		}
		require.Contains(t, series, m.Name)
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s | %s |\n", m.Name, kind, m.Unit, strings.Join(names, ", "), series[m.Name], m.Description)
	}
	b.WriteString(seriesText)
	b.WriteString("\n| Attribute | Values |\n|---|---|\n")
	names := map[attribute.Key]string{
		"sparekey.function.name": "the function's name", "sparekey.endpoint.name": "the endpoint's name; none if there is only one",
		"sparekey.breaker.name": "the breaker's name, or its host", "sparekey.limiter.name": "the limiter's name, or its host",
		"sparekey.throttle.name": "the throttle's name, or its host", "sparekey.rung.name": "the rung's name",
		"http.response.status_code": "the status, if an answer came",
		"http.request.method":       "the method, or _OTHER if it is none of the known", "server.address": "the host", "server.port": "its port",
		"error.type":              "none for an answer, or a caller who left; a status of an attempt, 400 to 599; dns, connect or tls, where it was not reached; timeout_attempt or timeout_total; the reason of a refusal; else the class of the failure, or _OTHER",
		"sparekey.fallback.cause": "the class of the failure that the answer makes up for, canceled if somebody other than the caller gave up, or _OTHER",
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text := names[key]
		if text == "" {
			seen := slices.Sorted(maps.Keys(values[key]))
			if key == "sparekey.answer.source" {
				seen = append(slices.DeleteFunc(seen, func(v string) bool { return v == "eu" }), "an endpoint's name; none if there was no answer")
			}
			text = strings.Join(seen, ", ")
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, text)
	}
	var classes []string
	for _, class := range policy.Classes() {
		if class != policy.OK && class != policy.Canceled && class != policy.Unknown {
			classes = append(classes, class.String())
		}
	}
	fmt.Fprintf(&b, "\nThe classes are %s. The reasons are those of `sparekey.rejection.reason`.\n", strings.Join(classes, ", "))
	return b.String()
}

// series are how many an instrument can have, in the letters that seriesText explains.
// That they do not have more is for a test of whole stacks.
var series = map[string]string{
	"http.client.request.duration":           "H·M·O",
	"sparekey.client.attempt.duration":       "F·E·K·O",
	"sparekey.client.breaker.state":          "4·F·B",
	"sparekey.client.breaker.transitions":    "24·F",
	"sparekey.client.cache.evictions":        "3·F",
	"sparekey.client.cache.limit":            "F",
	"sparekey.client.cache.lookups":          "8·F",
	"sparekey.client.cache.memory.limit":     "F",
	"sparekey.client.cache.memory.usage":     "F",
	"sparekey.client.cache.usage":            "F",
	"sparekey.client.config.reloads":         "3",
	"sparekey.client.endpoint.healthy":       "F·E",
	"sparekey.client.endpoint.usage":         "F·E",
	"sparekey.client.fallbacks":              "17·F·A",
	"sparekey.client.fidelity.comparisons":   "3·F·R",
	"sparekey.client.hedges":                 "3·F",
	"sparekey.client.limiter.limit":          "F·B",
	"sparekey.client.limiter.usage":          "F·B",
	"sparekey.client.prediction.active":      "F",
	"sparekey.client.prediction.duration":    "F·C",
	"sparekey.client.queue.limit":            "F·B",
	"sparekey.client.queue.usage":            "F·B",
	"sparekey.client.queue.wait.duration":    "F",
	"sparekey.client.rejections":             "11·F",
	"sparekey.client.retries.skipped":        "7·F",
	"sparekey.client.retry.budget.available": "F",
	"sparekey.client.retry.delay":            "F",
	"sparekey.client.rung.failures":          "F·R",
	"sparekey.client.throttle.ratio":         "F·B",
}

const seriesText = `
The letters are numbers of things that there are or that happen:

- F: functions, one more for calls that name none.
- E: endpoints of a function, 1 if there is only one. H: hosts. M: methods.
- B: breakers of a function, one for each endpoint or host; so it is for limiters and throttles.
- R: rungs of a ladder. A: sources of answers in the service's place.
- K: kinds of attempts, 5 at most.
- O: outcomes of attempts, each a status with an error.type. C: ends of calls, each a source
  with an error.type.

OpenTelemetry's SDK keeps 2,000 series of an instrument and throws the others together as
otel.metric.overflow. Only attempt.duration can come near: 50 functions at 3 endpoints, with
first attempts, retries and failovers and 4 outcomes, are 1,800. Who has more raises the
limit (sdk/metric.WithCardinalityLimit), or has a View drop sparekey.endpoint.name.
`

func kindOf(t *testing.T, m metricdata.Metrics) (kind string, sets []attribute.Set) {
	switch data := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
		return "histogram", sets
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
		return "gauge", sets
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
		if data.IsMonotonic {
			return "counter", sets
		}
		return "up-down counter", sets
	}
	t.Fatalf("%s has data of type %T", m.Name, m.Data)
	return "", nil
}

// TestMeasureEnds: a snapshot that is replaced, as by a reload, is asked for no more.
func TestMeasureEnds(t *testing.T) {
	sdk := install(t)
	asked := map[int]int{}
	collect := func() {
		var got metricdata.ResourceMetrics
		require.NoError(t, sdk.reader.Collect(t.Context(), &got))
	}
	for plan := range 100 {
		stop := telemetry.Measure(func() telemetry.Snapshot {
			asked[plan]++
			return fullSnapshot()
		})
		collect()
		stop()
		stop()
	}
	collect()
	assert.Len(t, asked, 100)
	for plan, n := range asked {
		assert.Equal(t, 1, n, "plan %d", plan)
	}
}

// TestMeasured: the figures are those of the snapshot.
func TestMeasured(t *testing.T) {
	sdk := install(t)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	defer telemetry.Measure(func() telemetry.Snapshot {
		return telemetry.Snapshot{At: now, Functions: []telemetry.FunctionSnapshot{{
			Name:     "f",
			Breakers: []policy.BreakerSnapshot{{Name: "b", State: policy.Isolated}},
			Limiters: []telemetry.LimiterSnapshot{{Name: "l", InFlight: 2, Queued: 3, Bound: 1, MaxQueue: 7}},
			Endpoints: []telemetry.EndpointSnapshot{
				{Name: "in", Ejected: now, InFlight: 4}, {Name: "out", Ejected: now.Add(1)}, {Name: "rests", Resting: now.Add(1)},
			},
			Budget: &telemetry.BudgetSnapshot{Tokens: 6},
			Cache:  &telemetry.CacheSnapshot{Entries: 8, MaxEntries: 9, Bytes: 10, MaxBytes: 11, Evicted: 12, Expired: 13, Purged: 14},
		}}}
	})()
	assert.Equal(t, lines(`
		sparekey.client.breaker.state {breaker} sparekey.breaker.name=b sparekey.breaker.state=isolated sparekey.function.name=f 1
		sparekey.client.cache.evictions {eviction} sparekey.cache.reason=capacity sparekey.function.name=f 12
		sparekey.client.cache.evictions {eviction} sparekey.cache.reason=expired sparekey.function.name=f 13
		sparekey.client.cache.evictions {eviction} sparekey.cache.reason=purged sparekey.function.name=f 14
		sparekey.client.cache.limit {entry} sparekey.function.name=f 9
		sparekey.client.cache.memory.limit By sparekey.function.name=f 11
		sparekey.client.cache.memory.usage By sparekey.function.name=f 10
		sparekey.client.cache.usage {entry} sparekey.function.name=f 8
		sparekey.client.endpoint.healthy {endpoint} sparekey.endpoint.name=in sparekey.function.name=f 1
		sparekey.client.endpoint.usage {request} sparekey.endpoint.name=in sparekey.function.name=f 4
		sparekey.client.limiter.limit {request} sparekey.function.name=f sparekey.limiter.name=l 1
		sparekey.client.limiter.usage {request} sparekey.function.name=f sparekey.limiter.name=l 2
		sparekey.client.queue.limit {request} sparekey.function.name=f sparekey.limiter.name=l 7
		sparekey.client.queue.usage {request} sparekey.function.name=f sparekey.limiter.name=l 3
		sparekey.client.retry.budget.available {retry} sparekey.function.name=f 6`), sdk.measured(t))
}

// TestMeasuredLimits: a limiter that bounds a rate alone has no limit, rather than one of 0.
func TestMeasuredLimits(t *testing.T) {
	sdk := install(t)
	defer telemetry.Measure(func() telemetry.Snapshot {
		return telemetry.Snapshot{Functions: []telemetry.FunctionSnapshot{{
			Name: "f", Limiters: []telemetry.LimiterSnapshot{{Name: "l", PerSecond: 25}},
		}}}
	})()
	var got metricdata.ResourceMetrics
	require.NoError(t, sdk.reader.Collect(t.Context(), &got))
	var names []string
	for _, m := range got.ScopeMetrics[0].Metrics {
		names = append(names, m.Name)
	}
	assert.ElementsMatch(t, []string{"sparekey.client.limiter.usage", "sparekey.client.queue.usage", "sparekey.client.queue.limit"}, names)
}

// TestMeasuredThrottles: of the throttles of a function that share a name, the one that
// refuses most is told of: to add up shares makes no sense.
func TestMeasuredThrottles(t *testing.T) {
	sdk := install(t)
	function := func(name string, refused ...float64) (f telemetry.FunctionSnapshot) {
		f.Name = name
		for _, r := range refused {
			f.Throttles = append(f.Throttles, telemetry.ThrottleSnapshot{Name: "t", Refused: r})
		}
		return f
	}
	defer telemetry.Measure(func() telemetry.Snapshot {
		return telemetry.Snapshot{Functions: []telemetry.FunctionSnapshot{function("f", 0.1, 0.5, 0.2), function("g", 0), function("f", 0.3)}}
	})()
	var got metricdata.ResourceMetrics
	require.NoError(t, sdk.reader.Collect(t.Context(), &got))
	ratios := map[string]float64{}
	for _, m := range got.ScopeMetrics[0].Metrics {
		if gauge, ok := m.Data.(metricdata.Gauge[float64]); ok {
			for _, p := range gauge.DataPoints {
				function, _ := p.Attributes.Value("sparekey.function.name")
				ratios[function.AsString()] = p.Value
			}
		}
	}
	assert.Equal(t, map[string]float64{"f": 0.5, "g": 0}, ratios)
}

// TestReloaded: every outcome is counted, and those that matter are logged.
func TestReloaded(t *testing.T) {
	sdk := install(t)
	var log strings.Builder
	for _, outcome := range []string{telemetry.ConfigApplied, telemetry.ConfigRejected, telemetry.ConfigUnchanged, telemetry.ConfigUnchanged} {
		telemetry.Reloaded(t.Context(), newLogger(&log), "s.yaml", outcome, "s.yaml:1:1: no")
	}
	telemetry.Reloaded(t.Context(), nil, "s.yaml", telemetry.ConfigApplied, "")
	assert.Equal(t, lines(`
		sparekey.client.config.reloads {reload} sparekey.config.outcome=applied 2
		sparekey.client.config.reloads {reload} sparekey.config.outcome=rejected 1
		sparekey.client.config.reloads {reload} sparekey.config.outcome=unchanged 2`), sdk.measured(t))
	assert.Equal(t, lines(`
		level=INFO msg="configuration applied" event.name=sparekey.config.applied file=s.yaml
		level=ERROR msg="configuration rejected" event.name=sparekey.config.rejected file=s.yaml problems="s.yaml:1:1: no"`), log.String())
}
