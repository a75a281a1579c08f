package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestThrottleDefaults(t *testing.T) {
	want := policy.Throttle{Ratio: 0.5, MinCalls: 10, Window: 30 * time.Second, MaxRefused: 0.9}
	assert.Equal(t, want, policy.Throttle{}.WithDefaults())
	assert.Equal(t, want, want.WithDefaults())
	own := policy.Throttle{Ratio: 0.2, MinCalls: 1, Window: time.Second, MaxRefused: 0.5}
	assert.Equal(t, own, own.WithDefaults())
}

func TestThrottleValidate(t *testing.T) {
	tests := []struct {
		throttle policy.Throttle
		want     string // "" for right
	}{
		{policy.Throttle{}, ""},
		{policy.Throttle{Ratio: 0.01, MaxRefused: 0.01, MinCalls: 1, Window: 10 * ms}, ""},
		{policy.Throttle{Ratio: 0.99, MaxRefused: 0.99}, ""},
		{policy.Throttle{Ratio: 1}, "policy: Throttle.Ratio is 1, want 0.01 to 0.99"},
		{policy.Throttle{Ratio: -0.5}, "policy: Throttle.Ratio is -0.5, want 0.01 to 0.99"},
		{policy.Throttle{Ratio: math.NaN()}, "policy: Throttle.Ratio is NaN, want 0.01 to 0.99"},
		{policy.Throttle{MaxRefused: 1}, "policy: Throttle.MaxRefused is 1, want 0.01 to 0.99"},
		{policy.Throttle{MaxRefused: math.NaN()}, "policy: Throttle.MaxRefused is NaN, want 0.01 to 0.99"},
		{policy.Throttle{MinCalls: -1}, "policy: Throttle.MinCalls is -1, want at least 1"},
		{policy.Throttle{Window: 10*ms - 1}, "policy: Throttle.Window is 9.999999ms, want at least 10ms"},
	}
	for _, tt := range tests {
		got := ""
		if err := (policy.Stack{Throttle: &tt.throttle}).Validate(); err != nil {
			got = err.Error()
		}
		assert.Equal(t, tt.want, got)
	}
}

func TestThrottleInStack(t *testing.T) {
	stack := policy.Stack{Throttle: &policy.Throttle{}}
	filled := stack.WithDefaults()
	assert.Equal(t, policy.Throttle{}, *stack.Throttle, "the settings are left alone")
	assert.Equal(t, 0.9, filled.Throttle.MaxRefused)
	assert.NotNil(t, filled.Throttle.Classify, "the stack's")

	var kinds []policy.Kind
	for _, p := range stack.Parts() {
		kinds = append(kinds, p.Kind)
	}
	assert.Equal(t, []policy.Kind{
		policy.KindCall, policy.KindTimeout, policy.KindRetry, policy.KindThrottle, policy.KindBreaker,
		policy.KindLimit, policy.KindAttempt, policy.KindStreams, policy.KindTimeout,
	}, kinds)
	assert.Contains(t, policy.Explain(stack.Parts()).String(), "above 50 % of ≥ 10 in 30s, up to 90 %, per Authority")
	assert.Equal(t, policy.Explain(policy.Default().Parts()).Worst, policy.Explain(stack.Parts()).Worst, "it waits for nothing")
}
