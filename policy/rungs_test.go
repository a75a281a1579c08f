package policy_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestWithout(t *testing.T) {
	ctx := t.Context()
	assert.False(t, policy.Excluded(ctx, policy.RungStale))

	some := policy.Without(policy.Without(ctx, policy.RungSimilar), policy.RungStatic, "mine")
	for rung, want := range map[string]bool{"stale": false, "similar": true, "rules": false, "static": true, "mine": true} {
		assert.Equal(t, want, policy.Excluded(some, rung), rung)
	}
	assert.False(t, policy.Excluded(ctx, policy.RungSimilar), "the parent stays as it was")
}

func TestStrict(t *testing.T) {
	ctx := policy.Strict(policy.Without(t.Context(), policy.RungStatic))
	for _, rung := range append(policy.Rungs(), "mine") {
		assert.True(t, policy.Excluded(ctx, rung), rung)
	}
	assert.True(t, policy.Excluded(policy.Without(ctx, "mine"), policy.RungStale), "strict stays strict")
}

func TestCheckLadder(t *testing.T) {
	static := &policy.Answer{Label: "other"}
	tests := map[string]struct {
		fallback policy.Fallback
		want     []string // in the error, none if it is right
	}{
		"zero":                {policy.Fallback{}, nil},
		"another order":       {policy.Fallback{Rungs: []string{"rules", "stale", "static"}, Static: static}, nil},
		"no rung":             {policy.Fallback{Rungs: []string{}}, []string{"Fallback.Rungs is empty"}},
		"unknown":             {policy.Fallback{Rungs: []string{"stale", "rule"}}, []string{`Fallback.Rungs[1] is "rule", want one of stale, similar, rules, static`}},
		"twice":               {policy.Fallback{Rungs: []string{"stale", "stale"}}, []string{`Fallback.Rungs[1] is "stale" a second time`}},
		"behind static":       {policy.Fallback{Rungs: []string{"static", "rules"}, Static: static}, []string{`Fallback.Rungs[0] is "static", want it to be the last`}},
		"static that is none": {policy.Fallback{Rungs: []string{"static", "rules"}}, nil},
		"share":               {policy.Fallback{Fidelity: policy.Fidelity{Share: 1.5}}, []string{"Fallback.Fidelity.Share is 1.5"}},
		"no share":            {policy.Fallback{Fidelity: policy.Fidelity{Share: -1}}, nil},
		"share that is no number": {
			policy.Fallback{Fidelity: policy.Fidelity{Share: math.NaN()}},
			[]string{"Fallback.Fidelity.Share is NaN"},
		},
		"all at once": {policy.Fallback{Rungs: []string{"a", "b"}, Fidelity: policy.Fidelity{Share: 2}}, []string{`"a"`, `"b"`, "Share"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.fallback.CheckLadder()
			assert.Equal(t, len(tt.want) > 0, err != nil, "error: %v", err)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

func TestLadderRungs(t *testing.T) {
	full := policy.Fallback{Rules: make([]policy.Rule, 1), Static: &policy.Answer{Label: "other"}}
	turned := full
	turned.Rungs = []string{"rules", "similar", "stale"}
	similar := &policy.Cache{Similar: &policy.Similar{}}
	tests := map[string]struct {
		stack policy.Stack
		want  []string
	}{
		"no fallback":    {policy.Stack{Cache: similar}, nil},
		"everything":     {policy.Stack{Fallback: &full, Cache: similar}, policy.Rungs()},
		"own order":      {policy.Stack{Fallback: &turned, Cache: similar}, []string{"rules", "similar", "stale"}},
		"no similar":     {policy.Stack{Fallback: &full, Cache: &policy.Cache{}}, []string{"stale", "rules", "static"}},
		"no stale":       {policy.Stack{Fallback: &full, Cache: &policy.Cache{StaleIfError: -1, Similar: &policy.Similar{}}}, []string{"similar", "rules", "static"}},
		"no cache":       {policy.Stack{Fallback: &full}, []string{"rules", "static"}},
		"cache off":      {policy.Stack{Fallback: &full, Cache: &policy.Cache{Off: true}}, []string{"rules", "static"}},
		"cache only":     {policy.Stack{Fallback: &policy.Fallback{}, Cache: &policy.Cache{}}, []string{"stale"}},
		"nothing at all": {policy.Stack{Fallback: &policy.Fallback{}}, []string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.stack.LadderRungs())
			err := tt.stack.Validate()
			assert.Equal(t, tt.stack.Fallback != nil && len(tt.want) == 0, err != nil, "error: %v", err)
		})
	}
}
