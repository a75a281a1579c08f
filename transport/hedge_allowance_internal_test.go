package transport

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What each event leaves of a balance, in hedges.
func TestHedgeAllowance(t *testing.T) {
	earn, giveBack, strain := (*hedgeAllowance).earn, (*hedgeAllowance).giveBack, (*hedgeAllowance).strain
	take := func(a *hedgeAllowance) { a.take() }
	tests := []struct {
		name          string
		event         func(*hedgeAllowance)
		balance, want float64
	}{
		{"a good answer pays its share", earn, 2, 2.25},
		{"no more is saved", earn, 9.9, 10},
		{"a hedge costs one", take, 1, 0},
		{"and there is none on credit", take, 0.75, 0.75},
		{"one that did not start is given back", giveBack, 2.5, 3.5},
		{"but not beyond what is saved", giveBack, 9.5, 10},
		{"a failure costs one", strain, 2.5, 1.5},
		{"even on credit", strain, 0, -1},
		{"which is bounded", strain, -9.5, -10},
		{"and makes up for nothing", strain, -70, -70},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := hedgeAllowance{ratio: 0.25, balance: tt.balance}
			tt.event(&a)
			assert.Equal(t, tt.want, a.balance)
		})
	}
}

// A hedge of no use costs no more than others unless there were ten such in a row; then
// each costs twice as much as the one before, up to 64 times, until one wins.
func TestHedgeAllowanceUseless(t *testing.T) {
	var a hedgeAllowance
	costs := func(hedges int) float64 {
		a.balance = float64(hedges)
		for range hedges {
			assert.True(t, a.take())
		}
		a.judge(hedges, false)
		return -a.balance
	}
	extra := func() (all []float64) {
		for range 18 {
			all = append(all, costs(1))
		}
		return all
	}
	want := []float64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 7, 15, 31, 63, 63, 63}
	assert.Equal(t, want, extra())
	a.judge(2, true)
	assert.Equal(t, want, extra())

	a.judge(1, true)
	assert.Equal(t, []float64{0, 0, 0, 1 + 3, 7 + 15 + 31}, []float64{costs(3), costs(3), costs(4), costs(2), costs(3)}, "each hedge of a call counts")
}
