package transport_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Of the last calls, however long ago they were.
func TestBreakerLastCalls(t *testing.T) {
	tests := []struct {
		name     string
		ratio    float64
		minCalls int
		calls    string // f a fault, . none
		want     policy.BreakerState
	}{
		{"half of the window", 0, 0, "ff..f..f.f", policy.Open},
		{"less than half", 0, 0, "ff..f..f..", policy.Closed},
		{"half of the window, with a good one among them", 0, 5, "ffff.f", policy.Open},
		{"half of a window that is not full yet", 0, 5, "fffff", policy.Open},
		{"half of the calls, but not of the window", 0, 5, "ffff....", policy.Closed},
		{"too few calls", 0, 6, "fffff", policy.Closed},
		{"enough calls, by a good one", 0, 6, "fffff.", policy.Open},
		{"faults leave the window", 0, 1, "ffff..........ffff", policy.Closed},
		{"one by one", 0, 1, "ffff......ffff.", policy.Closed},
		{"until there are enough", 0, 1, "ffff......fffff", policy.Open},
		{"a tenth", 0.1, 1, "f", policy.Open},
		{"every one", 1, 0, "ffffffffff", policy.Open},
		{"all but one", 1, 0, ".fffffffff", policy.Closed},
		{"all but one that has left", 1, 0, ".ffffffffff", policy.Open},
		{"a share is rounded up", 0.33, 1, "fff", policy.Closed},
		{"and reached", 0.33, 1, "ffff", policy.Open},
		{"though its product is not exact", 0.7, 1, "fffffff", policy.Open}, // 10*0.7 > 7 in floating point
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{LastCalls: 10, Ratio: tt.ratio, MinCalls: tt.minCalls})
				for i, c := range tt.calls {
					step := fine
					if c == 'f' {
						step = fault
					}
					require.NoError(t, b.call(step))
					if i < len(tt.calls)-1 {
						b.want(policy.Closed)
						time.Sleep(time.Hour)
					}
				}
				b.want(tt.want)
			})
		})
	}
}

// A call is slow by its header, at SlowCall and not a nanosecond before.
func TestBreakerSlowCalls(t *testing.T) {
	const slowCall = time.Second
	cfg := policy.Breaker{SlowCall: slowCall, SlowRatio: 0.5, MinCalls: 4}
	slow := transporttest.After(slowCall, fine)
	t.Run("at the ratio", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, cfg)
			require.NoError(t, b.call(fine))
			require.NoError(t, b.call(transporttest.After(slowCall-1, fine)))
			require.NoError(t, b.call(slow))
			b.want(policy.Closed)
			require.NoError(t, b.call(slow))
			b.want(policy.Open)
			got := b.changes[0]
			assert.Equal(t, policy.TooManySlow, got.Reason)
			assert.Equal(t, [3]int{4, 0, 2}, [3]int{got.Calls, got.Faults, got.Slow})
		})
	})
	t.Run("off by default", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{MinCalls: 1})
			require.NoError(t, b.call(transporttest.After(time.Hour, fine)))
			b.want(policy.Closed)
		})
	})
	t.Run("a long body is not slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, cfg)
			for range 4 {
				require.NoError(t, b.call(transporttest.Stream(200, []transporttest.Chunk{{After: time.Minute, Data: "late"}})))
			}
			b.want(policy.Closed)
			assert.Zero(t, b.Snapshot().Slow)
		})
	})
	t.Run("of the last calls", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cfg := cfg
			cfg.LastCalls = 4
			b := newRig(t, cfg)
			for range 3 {
				require.NoError(t, b.call(slow))
			}
			b.want(policy.Closed)
			require.NoError(t, b.call(fine))
			b.want(policy.Open)
		})
	})
	t.Run("a fault that was slow is both", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, cfg)
			require.NoError(t, b.call(transporttest.After(slowCall, fault)))
			got := b.Snapshot()
			assert.Equal(t, [3]int{1, 1, 1}, [3]int{got.Calls, got.Faults, got.Slow})
		})
	})
	t.Run("a probe that is slow is a fault", func(t *testing.T) {
		for name, step := range map[string]transporttest.Step{
			"200": slow, "404": transporttest.After(slowCall, transporttest.Reply(404, "no")),
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newRig(t, cfg)
					b.open(5 * time.Second)
					require.NoError(t, b.call(step))
					b.want(policy.Open)
				})
			})
		}
	})
	t.Run("a probe that is slow and given up decides nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, cfg)
			b.open(5 * time.Second)
			require.Error(t, b.call(transporttest.After(slowCall, transporttest.Fail(context.Canceled))))
			b.want(policy.HalfOpen)
		})
	})
}

// What the window is said to hold is true when it is asked for, calls or no
// calls.
func TestBreakerSnapshotExpires(t *testing.T) {
	const window = 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{Name: "up", Window: window})
		figures := func(calls, faults int) {
			t.Helper()
			got := b.Snapshot()
			assert.Equal(t, policy.BreakerSnapshot{Name: "up", Calls: calls, Faults: faults}, got)
		}
		figures(0, 0)
		require.NoError(t, b.call(fault))
		require.NoError(t, b.call(transporttest.Reply(404, "no"))) // does not count
		figures(1, 1)
		time.Sleep(window / 2)
		require.NoError(t, b.call(fine))
		figures(2, 1)
		time.Sleep(window/2 - 1)
		figures(2, 1)
		time.Sleep(2 * time.Nanosecond)
		figures(1, 0)
		time.Sleep(window/2 - 2)
		figures(1, 0)
		time.Sleep(2 * time.Nanosecond)
		figures(0, 0)
	})
}

func TestBreakerSnapshotStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 1})
		require.NoError(t, b.call(fault))
		until := time.Now().Add(5 * time.Second)
		last := policy.Transition{
			To: policy.Open, At: time.Now(), Until: until,
			Trigger: policy.ByThreshold, Reason: policy.TooManyFaults, Calls: 1, Faults: 1,
		}
		assert.Equal(t, policy.BreakerSnapshot{State: policy.Open, Until: until, Last: last}, b.Snapshot())
		time.Sleep(time.Until(until) - 1)
		assert.Equal(t, policy.BreakerSnapshot{State: policy.Open, Until: until, Last: last}, b.Snapshot())
		time.Sleep(2 * time.Nanosecond)
		assert.Equal(t, policy.BreakerSnapshot{State: policy.HalfOpen, Last: last}, b.Snapshot())
		b.begin()
		b.begin()
		got := b.Snapshot()
		assert.Equal(t, 2, got.Probes)
		assert.Equal(t, policy.Transition{From: policy.Open, To: policy.HalfOpen, At: time.Now(), Trigger: policy.ByExpiry}, got.Last)
	})
}
