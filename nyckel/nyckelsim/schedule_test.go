package nyckelsim_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := nyckelsim.New(nyckelsim.Config{})
		phases := []nyckelsim.Phase{
			{Duration: time.Minute},
			{Duration: 2 * time.Minute, Faults: nyckelsim.Faults{Name: "storm", Unavailable: .5}},
			{Duration: time.Minute, Faults: nyckelsim.Faults{Name: "dark", Refuse: true}},
		}
		start := time.Now()
		var begun []time.Duration
		err := nyckelsim.Run(t.Context(), sim, phases, func(i int, p nyckelsim.Phase) {
			begun = append(begun, time.Since(start))
			assert.Equal(t, phases[i], p)
			assert.Equal(t, p.Faults, sim.Faults())
		})
		assert.NoError(t, err)
		assert.Equal(t, []time.Duration{0, time.Minute, 3 * time.Minute}, begun)
		assert.Equal(t, 4*time.Minute, time.Since(start))
		assert.Equal(t, nyckelsim.Faults{}, sim.Faults())
	})
}

func TestRunCanceled(t *testing.T) {
	errEnough := errors.New("enough")
	tests := []struct {
		name       string
		after      time.Duration // negative: before it starts
		wantPhases int
	}{
		{"before it starts", -1, 0},
		{"in a phase", 90 * time.Second, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := nyckelsim.New(nyckelsim.Config{})
				ctx, cancel := context.WithCancelCause(t.Context())
				if tt.after < 0 {
					cancel(errEnough)
				} else {
					time.AfterFunc(tt.after, func() { cancel(errEnough) })
				}
				storm := nyckelsim.Phase{Duration: time.Minute, Faults: nyckelsim.Faults{Internal: 1}}
				start, begun := time.Now(), 0
				err := nyckelsim.Run(ctx, sim, []nyckelsim.Phase{storm, storm, storm}, func(int, nyckelsim.Phase) { begun++ })
				assert.ErrorIs(t, err, errEnough)
				assert.Equal(t, max(0, tt.after), time.Since(start))
				assert.Equal(t, tt.wantPhases, begun)
				assert.Equal(t, nyckelsim.Faults{}, sim.Faults(), "healthy again")
			})
		})
	}
}

func TestRunChecksPhases(t *testing.T) {
	before := nyckelsim.Faults{Name: "before"}
	for _, bad := range []nyckelsim.Phase{
		{Duration: -1},
		{Faults: nyckelsim.Faults{Stall: 2}},
	} {
		sim := nyckelsim.New(nyckelsim.Config{Faults: before})
		err := nyckelsim.Run(t.Context(), sim, []nyckelsim.Phase{{}, bad}, nil)
		assert.ErrorContains(t, err, "phase 1")
		assert.Equal(t, before, sim.Faults(), "nothing has changed")
	}
}
