package console_test

import (
	"cmp"
	"context"
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/telemetry/console"
)

var update = flag.Bool("update", false, "renew the picture in the README")

// TestBrowser looks at the page in a real Chromium. It needs a folder in which
// somebody ran "npm install axe-core puppeteer-core", named by SPAREKEY_BROWSER,
// besides node and chromium; SPAREKEY_SHOTS names a folder for screenshots. With
// -update, one of them becomes the picture in the README.
func TestBrowser(t *testing.T) {
	modules := os.Getenv("SPAREKEY_BROWSER")
	if modules == "" {
		t.Skip("SPAREKEY_BROWSER names no folder with axe-core and puppeteer-core")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium")
	}
	troubled := &troubled{}
	watch := console.New(troubled.snapshot, console.Options{
		Authorize: console.Local, Actions: troubled, Reload: func(context.Context) error { return nil },
	})
	server := httptest.NewServer(watch)
	defer server.Close()
	defer watch.Close()
	shots := cmp.Or(os.Getenv("SPAREKEY_SHOTS"), t.TempDir())
	text, err := exec.CommandContext(t.Context(), node, "testdata/browser.mjs", server.URL, modules, chromium, shots).CombinedOutput()
	require.NoError(t, err, string(text))
	if *update {
		picture, err := os.ReadFile(filepath.Join(shots, "light-1360.png"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile("console.png", picture, 0o644))
	}
}

// troubled has all that a page can show, and one breaker that obeys.
type troubled struct {
	mu    sync.Mutex
	until time.Time // guarded by mu, as what follows
	acted bool
}

func (s *troubled) Isolate(_, _, _ string, until time.Time) bool { return s.set(until) }
func (s *troubled) Release(string, string) bool                  { return s.set(time.Time{}) }
func (s *troubled) Purge(string) bool                            { return true }

func (s *troubled) set(until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until, s.acted = until, true
	return true
}

func (s *troubled) snapshot() telemetry.Snapshot {
	s.mu.Lock()
	until, acted := s.until, s.acted
	s.mu.Unlock()
	now := time.Now()
	obeys := policy.BreakerSnapshot{Name: "up.test:443", Calls: 188, Faults: 3}
	if !until.IsZero() {
		obeys.State, obeys.Until, obeys.Reason = policy.Isolated, until, "maintenance"
	}
	functions := []telemetry.FunctionSnapshot{
		troubledFunction("search", 0, obeys),
		troubledFunction("ticket_routing_of_a_long_name", 1, policy.BreakerSnapshot{Name: "api-eu.example.com:443", State: policy.Open, Until: now.Add(20 * time.Second)}),
		troubledFunction("chat", 2,
			policy.BreakerSnapshot{Name: "one", State: policy.HalfOpen, Probes: 1},
			policy.BreakerSnapshot{Name: "two", State: policy.Isolated, Reason: "contract review"},
			policy.BreakerSnapshot{Name: "three", MetricsOnly: true}),
	}
	if acted { // two clients without a name, which are not for the picture
		functions = append(functions, telemetry.FunctionSnapshot{}, telemetry.FunctionSnapshot{})
	}
	functions[2].Endpoints = []telemetry.EndpointSnapshot{
		{Name: "one", Region: "us", Latency: 412 * time.Millisecond, InFlight: 5, Asked: 19233, Faults: 40},
		{Name: "two", Region: "us", Ejected: now.Add(23 * time.Second), Asked: 820, Faults: 611},
		{Name: "three", Region: "eu", Resting: now.Add(8 * time.Second)},
	}
	return telemetry.Snapshot{
		At: now, Functions: functions,
		Queues: []telemetry.QueueSnapshot{{Name: "overnight", Waiting: 120, Scheduled: 9, Running: 4, Dead: 2, Oldest: 83 * time.Second}},
		Config: &telemetry.ConfigSnapshot{Name: "sparekey.yaml", AppliedAt: now.Add(-time.Hour), Problems: `sparekey.yaml:4:13: functions.search.retry: has the unknown key "atempts"; did you mean attempts?`},
		Events: []telemetry.Event{
			{At: now.Add(-time.Minute), Function: "ticket_routing_of_a_long_name", Kind: "breaker", Text: "api-eu.example.com:443: closed to open, by threshold (faults)"},
			{At: now.Add(-time.Hour), Kind: "config", Text: "sparekey.yaml was not taken: 1 problem"},
		},
	}
}

// troubledFunction returns a function of which the worse the higher.
func troubledFunction(name string, worse int, breakers ...policy.BreakerSnapshot) telemetry.FunctionSnapshot {
	seconds := make([]telemetry.SecondSnapshot, 60)
	for i := range seconds {
		seconds[i] = telemetry.SecondSnapshot{Live: uint32(9 + i%7), Cached: 4, Degraded: uint32(4 * worse), Failed: uint32(worse / 2)}
	}
	counts := map[string]uint64{"live": 720, "endpoint": uint64(20 * worse), "cache": 240, "stale": uint64(80 * worse), "rule": uint64(160 * worse), "failed": uint64(60 * (worse / 2))}
	return telemetry.FunctionSnapshot{
		Name: name, Calls: counts, Minute: counts, Seconds: seconds, Recent: 900,
		P50: 90 * time.Millisecond, P95: 210 * time.Millisecond, P99: 1300 * time.Millisecond,
		Breakers:  breakers,
		Limiters:  []telemetry.LimiterSnapshot{{Name: "api-eu.example.com:443", InFlight: 12 * worse, Queued: worse, Bound: 25, PerSecond: 25}},
		Throttles: []telemetry.ThrottleSnapshot{{Name: "api-eu.example.com:443", Refused: 0.034}},
		Budget:    &telemetry.BudgetSnapshot{Tokens: 10 - 3*worse, Burst: 10},
		Cache:     &telemetry.CacheSnapshot{Entries: 4213, MaxEntries: 10000, Bytes: 9 << 20, MaxBytes: 64 << 20, Hits: 812, Stale: 20, Misses: 1023},
		Fidelity:  []telemetry.FidelitySnapshot{{Rung: "stale", Asked: 900, Answered: 700, Agreed: 691}, {Rung: "static", Asked: 900, Answered: 900, Agreed: 210}},
	}
}
