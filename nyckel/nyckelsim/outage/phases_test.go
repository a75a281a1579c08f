package outage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlan(t *testing.T) {
	for _, o := range []options{
		{rate: 1, duration: 3 * time.Second}, {rate: 10, duration: 45 * time.Second}, {rate: 500, duration: 30 * time.Minute},
	} {
		phases := phasesFor(o)
		assert.Equal(t, phases, phasesFor(o))
		var sum time.Duration
		for _, p := range phases {
			sum += p.duration
			assert.Positive(t, p.calls, p.name)
			assert.Positive(t, p.every, p.name)
			assert.LessOrEqual(t, time.Duration(p.calls)*p.every, p.duration, p.name)
			assert.Equal(t, p.name, p.faults.Name)
			if perSecond := float64(time.Second) / float64(p.every); p.name == "rate-limited burst" {
				assert.Greater(t, perSecond, float64(accountLimit(o)), "the burst exceeds the limit")
			} else {
				assert.LessOrEqual(t, perSecond, float64(accountLimit(o)), "%s keeps within the limit", p.name)
			}
		}
		assert.GreaterOrEqual(t, phases[0].calls, evidence)
		assert.InDelta(t, o.duration, sum, float64(time.Microsecond))
	}
}

// The stack's own settings hold for every duration that the flags allow.
func TestStack(t *testing.T) {
	for _, duration := range []time.Duration{3 * time.Second, 10 * time.Second, 45 * time.Second, 30 * time.Minute} {
		stack := newStack(options{duration: duration}, ownRules(), "other")
		require.NoError(t, stack.Validate())
		assert.LessOrEqual(t, stack.Total, 3*time.Second)
		assert.Greater(t, patience, stack.Total, "the caller waits for the stack")
		assert.Greater(t, stack.Attempt.FirstByte, 10*serviceTime, "a slow answer is waited for")
	}
}
