package outage

import (
	"bytes"
	"context"
	"strings"
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
	want := newStack(o, rulesFor(d), commonest(d.train), nil)
	want.Function = functionName
	want.Breaker.OnTransition = nil

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
	p, err = listening(p, func(t policy.Transition) { heard = append(heard, t.To) })
	require.NoError(t, err)
	f, _ := p.Function(functionName)
	f.Breaker.OnTransition(t.Context(), policy.Transition{To: policy.Open})
	assert.Equal(t, []policy.BreakerState{policy.Open}, heard)
}

// The demo itself, by file, as far as its first answers.
func TestRunByFile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout := &trigger{text: "sparekey L", fire: cancel}
	var stderr bytes.Buffer
	require.Zero(t, realMain(ctx, []string{"-duration", "30m", "-rate", "20", "-config", exampleConfig}, stdout, &stderr), stderr.String())
	_, verdict, _ := strings.Cut(stdout.String(), "Verdict: ")
	assert.Contains(t, verdict, "sparekey 100.0 %", "every call is answered")
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
