package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// When the clock is set back, the window begins anew: what was counted by then would not
// leave it until the clock is where it was, and a breaker that has seen an hour of good
// calls would take an hour's faults to open.
func TestRecentClockSetBack(t *testing.T) {
	for name, cfg := range map[string]policy.Breaker{
		"faults":     {},
		"slow calls": {SlowCall: time.Second, SlowRatio: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg = cfg.WithDefaults()
				recent := newRecent(&cfg)
				now := time.Now()
				for range 100 {
					assert.Empty(t, recent.record(now, false, false))
				}
				now = now.Add(-time.Hour)
				slow := cfg.SlowCall > 0
				for range cfg.MinCalls - 1 {
					assert.Empty(t, recent.record(now, !slow, slow))
				}
				assert.Equal(t, name, recent.record(now, !slow, slow))
				assert.Equal(t, cfg.MinCalls, recent.figures(now).calls)
			})
		})
	}
}

// A call that is told of a little late is none of a clock that was set back.
func TestRecentLateCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := policy.Breaker{}.WithDefaults()
		recent := newRecent(&cfg)
		now := time.Now()
		for range cfg.MinCalls {
			assert.Empty(t, recent.record(now, false, false))
		}
		assert.Empty(t, recent.record(now.Add(-cfg.Window/2), true, false))
		assert.Equal(t, figures{calls: cfg.MinCalls + 1, faults: 1}, recent.figures(now))
	})
}

// Nor does a throttle judge by what was rejected before.
func TestLoadClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := newLoad(policy.Throttle{}.WithDefaults())
		now := time.Now()
		for range 100 {
			load.count(policy.Overloaded, now)
		}
		assert.Equal(t, 0.9, load.excess(now))
		now = now.Add(-time.Hour)
		load.count(policy.OK, now)
		assert.Zero(t, load.excess(now))
	})
}
