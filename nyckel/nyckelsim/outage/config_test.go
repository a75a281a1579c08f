package outage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

const exampleConfig = "../../../examples/outage/sparekey.yaml"

// The file of the example says what the demo's own code says, so that the figures are
// the same.
func TestConfigIsTheStack(t *testing.T) {
	o := options{duration: 45 * time.Second, seed: 1}
	d, err := loadData(t.Context(), o)
	require.NoError(t, err)
	want := newStack(o, rulesFor(d), commonest(d.train))
	want.Function = functionName

	p, err := readPlan(exampleConfig, &site{url: "http://127.0.0.1:1", function: "function_1"})
	require.NoError(t, err)
	got, ok := p.Function(functionName)
	require.True(t, ok)
	assert.Equal(t, want, got.Stack)
	assert.Equal(t, "function_1", got.ID)
	assert.True(t, p.File().Accounts[got.Account].Limit.Off)
}

func TestConfigListens(t *testing.T) {
	p, err := readPlan(exampleConfig, &site{url: "http://127.0.0.1:1", function: "function_1"})
	require.NoError(t, err)
	before, _ := p.Function(functionName)
	var heard []policy.BreakerState
	p, err = listeningPlan(p, seeded(1), func(t policy.Transition) { heard = append(heard, t.To) })
	require.NoError(t, err)
	f, _ := p.Function(functionName)
	assert.EqualValues(t, -1, f.Cache.Jitter)
	assert.Zero(t, before.Cache.Jitter, "the plan that was given stays as it is")
	assert.NotNil(t, f.Fallback.Fidelity.Random)
	assert.Nil(t, before.Fallback.Fidelity.Random)
	f.Breaker.OnTransition(t.Context(), policy.Transition{To: policy.Open})
	assert.Equal(t, []policy.BreakerState{policy.Open}, heard)
}

// The demo has the same figures by file.
func TestRunByFile(t *testing.T) {
	run := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Zero(t, realMain(t.Context(), append(args, "-fast", "-json", "-"), &stdout, &stderr), stderr.String())
		return stdout.String()
	}
	figures := run()
	assert.Equal(t, figures, run("-config", exampleConfig))
	assertNothingLeft(t)
	assertInReadme(t, figures)
}

// assertInReadme looks for the figures of the default seed in the README.
func assertInReadme(t *testing.T, figures string) {
	t.Helper()
	var f struct{ Totals []*tally }
	require.NoError(t, json.Unmarshal([]byte(figures), &f))
	bare, ours := f.Totals[0], f.Totals[1]
	require.Equal(t, ours.Calls, ours.Answered)
	stoodIn := 0
	for source, c := range ours.Sources {
		if (telemetry.Answer{Source: source}).Degraded() {
			stoodIn += c.Answers
		}
	}
	readme, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	assert.Contains(t, strings.Join(strings.Fields(string(readme)), " "),
		fmt.Sprintf("the bare client answers %.0f %% of its calls and sparekey all of them, %.0f %% by stand-ins, with %.2f calls to the service for each",
			100*ratio(bare.Answered, bare.Calls), 100*ratio(stoodIn, ours.Answered), ratio(int(ours.Upstream), ours.Calls)))
}

// A stack that renews answers behind its callers' backs can be stopped at any time.
func TestRunRenewing(t *testing.T) {
	config := write(t, t.TempDir(), "sparekey.yaml", `version: 1
accounts: {simulator: {client_id: "${DEMO_CLIENT_ID}", client_secret: "${DEMO_CLIENT_SECRET}", base_url: "${DEMO_URL}"}}
functions:
  ticket_routing:
    id: ${DEMO_FUNCTION}
    cache: {ttl: 1s, stale_while_revalidate: 1h, soft_timeout: 20ms}
    retry: {attempts: 10}
    hedge: {delay: 35ms}
    fallback: {static: {label: triage, confidence: 0.1}}
`)
	for _, at := range []string{"  2.", "burst ──", "503 ──", "outage ──"} {
		ctx, cancel := context.WithCancel(t.Context())
		stdout := &trigger{text: at, fire: cancel}
		require.Zero(t, realMain(ctx, []string{"-fast", "-config", config}, stdout, io.Discard))
		assert.Contains(t, stdout.String(), "\nVerdict: stopped after ", at)
	}
	assertNothingLeft(t)
}

// What another endpoint answers has a place of its own, in figures, marks and plots.
func TestRunWithEndpoints(t *testing.T) {
	config := write(t, t.TempDir(), "sparekey.yaml", `version: 1
accounts: {simulator: {client_id: "${DEMO_CLIENT_ID}", client_secret: "${DEMO_CLIENT_SECRET}", base_url: "${DEMO_URL}"}}
endpoints: {us: {url: "${DEMO_URL}"}, eu: {url: "${DEMO_URL}"}}
functions:
  ticket_routing:
    id: ${DEMO_FUNCTION}
    failover: {endpoints: [us, eu]}
`)
	report := filepath.Join(t.TempDir(), "report.html")
	var stdout bytes.Buffer
	require.Zero(t, realMain(t.Context(), []string{"-fast", "-config", config, "-html", report}, &stdout, &stdout))
	assert.Contains(t, stdout.String(), "each named its source")
	assert.Regexp(t, `\nall phases .*\n +sparekey .* live \d+, endpoint \d+\n`, stdout.String())
	assert.NotContains(t, stdout.String(), "\x00")
	page, err := os.ReadFile(report)
	require.NoError(t, err)
	assert.Contains(t, string(page), `<rect class="endpoint"`)
}

func TestConfigErrors(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, content, want string }{
		{"broken", "version: 1\nfunctoins: {}\n", "broken:2:1: has the unknown key \"functoins\""},
		{"broken", "version: 1\nfunctoins: {}\n", "broken is wrong:\n"},
		{"without", "version: 1\n", "want a function ticket_routing with the id ${DEMO_FUNCTION}"},
		{"foreign", "version: 1\naccounts: {a: {client_id: a, client_secret: b}}\nfunctions: {ticket_routing: {id: function_2}}\n", "want a function ticket_routing with the id ${DEMO_FUNCTION}"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, exitUsage, realMain(t.Context(), []string{"-config", write(t, dir, tt.name, tt.content)}, &stdout, &stderr))
		assert.Contains(t, stderr.String(), tt.want)
		assert.Empty(t, stdout.String())
	}
	var stderr bytes.Buffer
	assert.Equal(t, exitUsage, realMain(t.Context(), []string{"-config", "nowhere.yaml"}, &stderr, &stderr))
	assert.Contains(t, stderr.String(), "open nowhere.yaml")
}
