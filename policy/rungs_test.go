package policy_test

import (
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
