package transport

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// A bound that falls when other settings come stays within them, also when it
// turns out that the server has become slower and the fall was of no use.
func TestAdaptiveChangedWhileItFalls(t *testing.T) {
	for _, to := range []policy.Adaptive{{Min: 2, Max: 20, Tolerance: 2.5}, {Min: 150, Max: 1000, Tolerance: 2.5}} {
		a := newAdaptive(policy.Adaptive{Initial: 100, Min: 2, Max: 1000, Tolerance: 2.5})
		now := time.Now()
		answer := func(took time.Duration) {
			began := now
			now = now.Add(took)
			a.answered(began, now, a.allowed())
		}
		for range 50 {
			answer(10 * time.Millisecond)
		}
		for before := a.allowed(); a.allowed() >= before; {
			answer(100 * time.Millisecond)
		}
		a.change(to)
		for range 1000 {
			answer(100 * time.Millisecond)
			assert.LessOrEqual(t, a.allowed(), to.Max)
			assert.GreaterOrEqual(t, a.allowed(), to.Min)
		}
	}
}

// Of several timeouts with no window of answers between them, the first tells how
// much was too much: the bound rises quickly again up to half of what it was then.
func TestAdaptiveCeilingOfTheFirstOfSeveralCuts(t *testing.T) {
	a := newAdaptive(policy.Adaptive{Initial: 64, Min: 1, Max: 1000, Tolerance: 2.5})
	now := time.Now()
	for range 3 {
		began := now
		now = now.Add(time.Second)
		a.timedOut(began, now)
	}
	assert.Equal(t, 8, a.allowed())
	for range 100 { // all before a window ends
		a.answered(now, now, a.allowed())
		a.window = window{start: now}
	}
	assert.Equal(t, 32, a.allowed())
}
