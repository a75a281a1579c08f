package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestHedgeDefaults(t *testing.T) {
	want := policy.Hedge{Quantile: 0.95, Max: 1, Ratio: 0.05, DrainBytes: 64 << 10, DrainTime: 50 * time.Millisecond}
	assert.Equal(t, want, policy.Hedge{}.WithDefaults())
	assert.Equal(t, want, want.WithDefaults())
	own := policy.Hedge{Delay: 1, Quantile: 0.5, Max: 2, Ratio: 0.1, DrainBytes: 1, DrainTime: 1}
	assert.Equal(t, own, own.WithDefaults())
}

func TestHedgeValidate(t *testing.T) {
	tests := []struct {
		hedge policy.Hedge
		want  string // "" for right
	}{
		{policy.Hedge{}, ""},
		{policy.Hedge{Quantile: 0.01, Max: 10, Ratio: 1}, ""},
		{policy.Hedge{Quantile: 0.999, Ratio: 0.0001, Delay: time.Hour - 1}, ""},
		{policy.Hedge{DrainBytes: math.MaxInt64}, ""},
		{policy.Hedge{Delay: -1}, "policy: Hedge.Delay is -1ns, want at least 0"},
		{policy.Hedge{Quantile: 1}, "policy: Hedge.Quantile is 1, want 0.01 to 0.999"},
		{policy.Hedge{Quantile: math.NaN()}, "policy: Hedge.Quantile is NaN, want 0.01 to 0.999"},
		{policy.Hedge{Max: -1}, "policy: Hedge.Max is -1, want 1 to 10"},
		{policy.Hedge{Max: 11}, "policy: Hedge.Max is 11, want 1 to 10"},
		{policy.Hedge{Ratio: 1.1}, "policy: Hedge.Ratio is 1.1, want 0.0001 to 1"},
		{policy.Hedge{Ratio: -1}, "policy: Hedge.Ratio is -1, want 0.0001 to 1"},
		{policy.Hedge{Ratio: math.NaN()}, "policy: Hedge.Ratio is NaN, want 0.0001 to 1"},
		{policy.Hedge{DrainBytes: -1}, "policy: Hedge.DrainBytes is -1, want above 0"},
		{policy.Hedge{DrainTime: -1}, "policy: Hedge.DrainTime is -1ns, want above 0"},
	}
	for _, tt := range tests {
		got := ""
		if err := (policy.Stack{Hedge: &tt.hedge, Total: time.Hour}).Validate(); err != nil {
			got = err.Error()
		}
		assert.Equal(t, tt.want, got, "%+v", tt.hedge)
	}
}

// A stack's hedge has its defaults, and what it shares with the rest.
func TestStackHedge(t *testing.T) {
	given := policy.Hedge{}
	s := policy.Stack{Hedge: &given, Retry: policy.Retry{IdempotencyKey: true}}.WithDefaults()
	assert.Equal(t, 0.95, s.Hedge.Quantile)
	assert.True(t, s.Hedge.IdempotencyKey)
	assert.NotNil(t, s.Hedge.Classify)
	assert.Equal(t, policy.Hedge{}, given, "the caller's stays as it is")

	kinds := func(s policy.Stack) []policy.Kind {
		var all []policy.Kind
		for _, p := range s.Parts() {
			all = append(all, p.Kind)
		}
		return all
	}
	assert.Equal(t, []policy.Kind{"call", "timeout", "hedge", "retry", "breaker", "limit", "attempt", "streams", "timeout"}, kinds(s))
	s.Hedge.Off = true
	assert.NotContains(t, kinds(s), policy.KindHedge)
}

func TestExplainHedgeText(t *testing.T) {
	text := policy.Explain(chain(hedge)).String()
	assert.Contains(t, text, "1 hedge after the quantile 0.95, up to 5 %")
	text = policy.Explain(chain(policy.Hedge{Delay: 200 * ms, Max: 2, Ratio: 0.1})).String()
	assert.Contains(t, text, "2 hedges after 200ms, up to 10 %")
}
