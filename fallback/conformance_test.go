package fallback_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A ladder that compares each live answer changes none.
func TestConformanceCompared(t *testing.T) {
	ladder := fallback.NewLadder(fallback.LadderConfig{
		Rungs:    []fallback.Rung{silent("mine"), panics("broken", "oops")},
		Fidelity: policy.Fidelity{Share: 1},
	})
	transporttest.Check(t, ladder.Wrap)
}

// A fallback replaces failures, and does nothing else that a transport may not.
func TestConformance(t *testing.T) {
	static := &policy.Answer{Label: "other", Confidence: 0.1}
	refunds := policy.Rule{
		Name:   "refunds",
		Any:    []policy.Condition{{Words: []string{"refund"}}},
		Answer: policy.Answer{Label: "billing", Confidence: 0.5},
	}
	for _, tt := range []struct {
		name string
		cfg  policy.Fallback
		opts []transporttest.Option
	}{
		{"a static answer", policy.Fallback{Static: static}, []transporttest.Option{transporttest.MayReplace()}},
		{"rules of which none matches", policy.Fallback{Rules: []policy.Rule{refunds}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules, err := fallback.New(tt.cfg)
			require.NoError(t, err)
			transporttest.Check(t, rules.Wrap, tt.opts...)
		})
	}
}
