package policy_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestLimitDefaults(t *testing.T) {
	adaptive := policy.Adaptive{Initial: 200, Min: 2, Max: 1000, Tolerance: 2.5}
	tests := []struct {
		name string
		set  policy.Limit
		want policy.Limit
	}{
		{"none set", policy.Limit{}, policy.Limit{MaxQueue: 1000, MaxWait: 5 * time.Second, Adaptive: adaptive}},
		{
			"burst of a second",
			policy.Limit{PerSecond: 25},
			policy.Limit{PerSecond: 25, Burst: 25, MaxQueue: 1000, MaxWait: 5 * time.Second, Adaptive: adaptive},
		},
		{
			"burst of a slow rate",
			policy.Limit{PerSecond: 0.5},
			policy.Limit{PerSecond: 0.5, Burst: 1, MaxQueue: 1000, MaxWait: 5 * time.Second, Adaptive: adaptive},
		},
		{
			"burst as set",
			policy.Limit{PerSecond: 25, Burst: 3},
			policy.Limit{PerSecond: 25, Burst: 3, MaxQueue: 1000, MaxWait: 5 * time.Second, Adaptive: adaptive},
		},
		{
			"burst of a rate that is no number fit for it",
			policy.Limit{PerSecond: math.Inf(1)},
			policy.Limit{PerSecond: math.Inf(1), Burst: 1e9, MaxQueue: 1000, MaxWait: 5 * time.Second, Adaptive: adaptive},
		},
		{
			"no rate, no queue, no wait",
			policy.Limit{PerSecond: -1, MaxQueue: -1, MaxWait: -1},
			policy.Limit{PerSecond: -1, MaxQueue: -1, MaxWait: -1, Adaptive: adaptive},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.set.WithDefaults()
			assert.Equal(t, tt.want, got)
			assert.Equal(t, got, got.WithDefaults(), "filled twice")
		})
	}
}

// What is set of the adaptive bound draws the defaults of the rest with it.
func TestAdaptiveDefaults(t *testing.T) {
	tests := []struct{ set, want policy.Adaptive }{
		{policy.Adaptive{Initial: 1}, policy.Adaptive{Initial: 1, Min: 1, Max: 1000}},
		{policy.Adaptive{Initial: 5000}, policy.Adaptive{Initial: 5000, Min: 2, Max: 5000}},
		{policy.Adaptive{Max: 10}, policy.Adaptive{Initial: 10, Min: 2, Max: 10}},
		{policy.Adaptive{Max: 1}, policy.Adaptive{Initial: 1, Min: 1, Max: 1}},
		{policy.Adaptive{Min: 300}, policy.Adaptive{Initial: 300, Min: 300, Max: 1000}},
		{policy.Adaptive{Min: 3000}, policy.Adaptive{Initial: 3000, Min: 3000, Max: 3000}},
		{policy.Adaptive{Min: 3, Max: 4}, policy.Adaptive{Initial: 4, Min: 3, Max: 4}},
	}
	for _, tt := range tests {
		limit := policy.Limit{Adaptive: tt.set}
		tt.want.Tolerance = 2.5
		assert.Equal(t, tt.want, limit.WithDefaults().Adaptive, "of %+v", tt.set)
		assert.NoError(t, limit.Validate(), "%+v", tt.set)
	}
}

func TestLimitValidate(t *testing.T) {
	adaptive := func(a policy.Adaptive) policy.Limit { return policy.Limit{Adaptive: a} }
	tests := []struct {
		limit policy.Limit
		want  string // "" if it is right
	}{
		{policy.Limit{}, ""},
		{policy.Limit{PerSecond: -1, InFlight: -1, MaxQueue: -1, MaxWait: -1}, ""},
		{policy.Limit{PerSecond: 1e9}, ""},
		{policy.Limit{PerSecond: 1e-9}, ""},
		{policy.Limit{PerSecond: 1.1e9}, "policy: Limit.PerSecond is 1.1e+09, want at most 1e9"},
		{policy.Limit{PerSecond: math.Inf(1)}, "policy: Limit.PerSecond is +Inf, want at most 1e9"},
		{policy.Limit{PerSecond: math.NaN()}, "policy: Limit.PerSecond is NaN, want at most 1e9"},
		{policy.Limit{PerSecond: 1, Burst: -1}, "policy: Limit.Burst is -1, want at least 0"},
		{adaptive(policy.Adaptive{Initial: -1}), "policy: Limit.Adaptive.Initial is -1, want Min to Max, 1 to 1000"},
		{adaptive(policy.Adaptive{Min: -1}), "policy: Limit.Adaptive.Min is -1, want at least 1"},
		{adaptive(policy.Adaptive{Min: 5, Max: 4}), "policy: Limit.Adaptive.Initial is 4, want Min to Max, 5 to 4"},
		{adaptive(policy.Adaptive{Initial: 11, Max: 10}), "policy: Limit.Adaptive.Initial is 11, want Min to Max, 2 to 10"},
		{adaptive(policy.Adaptive{Tolerance: 1}), "policy: Limit.Adaptive.Tolerance is 1, want above 1 and finite"},
		{adaptive(policy.Adaptive{Tolerance: math.Inf(1)}), "policy: Limit.Adaptive.Tolerance is +Inf, want above 1 and finite"},
		{adaptive(policy.Adaptive{Tolerance: math.NaN()}), "policy: Limit.Adaptive.Tolerance is NaN, want above 1 and finite"},
	}
	for _, tt := range tests {
		name := "right"
		if tt.want != "" {
			name = strings.Fields(tt.want)[1]
		}
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := tt.limit.Validate(); err != nil {
				got = err.Error()
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
