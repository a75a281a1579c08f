package outage

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

const exampleConfig = "../../../examples/outage/sparekey.yaml"

// The file of the example says what the demo's own code says, so that the figures are
// the same.
func TestConfigIsTheStack(t *testing.T) {
	o := options{duration: 45 * time.Second, seed: 1}
	d, err := loadData(o)
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
	var heard []policy.BreakerState
	p, err = listeningPlan(p, seeded(1), func(t policy.Transition) { heard = append(heard, t.To) })
	require.NoError(t, err)
	f, _ := p.Function(functionName)
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
	assert.Equal(t, run(), run("-config", exampleConfig))
	assertNothingLeft(t)
}

func TestConfigErrors(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, content, want string }{
		{"broken", "version: 1\nfunctoins: {}\n", "broken:2:1: has the unknown key \"functoins\""},
		{"without", "version: 1\n", "want a function ticket_routing with the id ${DEMO_FUNCTION}"},
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
