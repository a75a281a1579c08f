package transport

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// Whatever servers say, in whatever order, and whoever gives up, a wait is as long
// as it was said to be, and a minute at most.
func TestQuotaWaits(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 7))
		q, now := &quota{}, time.Now()
		var sent []uint64
		oneSent := func() uint64 {
			i := random.IntN(len(sent))
			nth := sent[i]
			sent = append(sent[:i], sent[i+1:]...)
			return nth
		}
		for range 40 {
			switch step := random.IntN(6); {
			case step < 2:
				wait := q.after(now, 0)
				require.LessOrEqual(t, wait, time.Minute, "seed %d", seed)
				require.GreaterOrEqual(t, q.after(now, 1), wait, "seed %d: the next comes later", seed)
				now = now.Add(wait)
				require.Zero(t, q.after(now, 0), "seed %d: after %v", seed, wait)
				sent = append(sent, q.admit())
			case step < 3:
				now = now.Add(time.Duration(random.Int64N(int64(3 * time.Second))))
			case len(sent) == 0:
			case step < 4:
				q.refund(oneSent())
			default:
				limit := []float64{0, 5, 100, 1000}[random.IntN(4)]
				left := []float64{0, 1, 4, limit}[random.IntN(4)]
				reset := []time.Duration{0, time.Second, 10 * time.Second, time.Minute, time.Hour}[random.IntN(5)]
				q.observe(policy.Quota{Limit: limit, Remaining: left, Reset: reset}, oneSent(), now)
			}
		}
	}
}

// Where a little comes back all the time, but so slowly that one takes longer than
// the server says that all of it does, who finds nothing left waits no longer than that.
func TestQuotaRollingWaitsForTheResetAtMost(t *testing.T) {
	q, now := &quota{}, time.Now()
	q.rolling, q.fresh = true, slowestQuota
	q.mark, q.markAt = policy.Quota{Limit: 2, Remaining: 1, Reset: 8 * time.Second}, now
	q.observe(policy.Quota{Limit: 2, Remaining: 0, Reset: 8 * time.Second}, q.admit(), now)
	require.Less(t, q.fresh, 1./8)
	assert.Equal(t, 8*time.Second, q.after(now, 0))
}

// How long it is for those who come after n others, by figures that came at the start of
// a minute.
func TestQuotaAfter(t *testing.T) {
	tests := []struct {
		name string
		told policy.Quota
		at   time.Duration // since then
		n    int
		want time.Duration
	}{
		{"nothing left", policy.Quota{Limit: 60}, 0, 0, time.Minute},
		{"nothing left, the next one", policy.Quota{Limit: 60}, 0, 1, time.Minute + time.Second},
		{"at the reset", policy.Quota{Limit: 60}, time.Minute, 0, 0},
		{"at the reset, the next one", policy.Quota{Limit: 60}, time.Minute, 1, time.Second},
		{"just after the reset", policy.Quota{Limit: 60}, time.Minute + time.Second/2, 1, time.Second / 2},
		{"what came since the reset", policy.Quota{Limit: 60}, time.Minute + 10*time.Second, 10, 0},
		{"more than that", policy.Quota{Limit: 60}, time.Minute + 10*time.Second, 11, time.Second},
		{"the limit", policy.Quota{Limit: 60}, time.Hour, 59, 0},
		{"over the limit", policy.Quota{Limit: 60}, time.Hour, 60, time.Second},
		{"what is left", policy.Quota{Limit: 60, Remaining: 30}, 0, 29, 0},
		{"more than is left", policy.Quota{Limit: 60, Remaining: 30}, 0, 30, time.Second},
		{"until the reset", policy.Quota{Limit: 60, Remaining: 30}, 0, 89, time.Minute},
		{"beyond the reset", policy.Quota{Limit: 60, Remaining: 30}, 0, 90, time.Minute + time.Second},
		{"no limit, what is left", policy.Quota{Remaining: 30}, 0, 29, 0},
		{"no limit, more than is left", policy.Quota{Remaining: 30}, 0, 30, 2 * time.Second},
		{"no limit, beyond the reset", policy.Quota{Remaining: 30}, 0, 60, time.Minute},
		{"no limit, at the reset", policy.Quota{Remaining: 30}, time.Minute, 1000, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, now := &quota{}, time.Now()
			tt.told.Reset = time.Minute
			q.observe(tt.told, q.admit(), now)
			for range 2 {
				assert.Equal(t, tt.want, q.after(now.Add(tt.at), tt.n))
			}
		})
	}
}

// Figures beyond what a server can mean are bounded.
func TestQuotaCredible(t *testing.T) {
	sane := policy.Quota{Limit: mostLeft, Remaining: mostLeft, Reset: longestReset}
	assert.Equal(t, sane, credible(sane))
	assert.Equal(t, policy.Quota{Remaining: mostLeft, Reset: longestReset},
		credible(policy.Quota{Limit: mostLeft + 1, Remaining: mostLeft + 1, Reset: longestReset + 1}))
	assert.Equal(t, policy.Quota{Reset: shortestReset}, credible(policy.Quota{}))
}

// What nobody used of what is left is there for those who come later, but never more than the
// server last told of; and where that is nothing, who gives up leaves his place to nobody.
func TestQuotaOfWhatIsLeft(t *testing.T) {
	q, now := &quota{}, time.Now()
	told := policy.Quota{Limit: 60, Remaining: 30, Reset: time.Minute}
	q.observe(told, q.admit(), now)
	for range 30 {
		q.admit()
	}
	now = now.Add(10 * time.Second)
	assert.Zero(t, q.after(now, 9), "one came each second")
	assert.Equal(t, time.Second, q.after(now, 10))

	told.Remaining = 5
	q.observe(told, q.admit(), now)
	assert.Zero(t, q.after(now, 4))
	assert.NotZero(t, q.after(now, 5))

	told.Remaining = 0
	last, gone := q.admit(), q.admit()
	q.observe(told, last, now)
	q.refund(gone)
	assert.Equal(t, time.Minute, q.after(now, 0))
}

// Who was let in after the request that an answer is to is not among those that it tells
// of, unless he was not sent after all and nobody came after him.
func TestQuotaCountsWhoIsUnderWay(t *testing.T) {
	for name, tt := range map[string]struct {
		admitted int
		refunded uint64 // zero for none
		left     int
	}{
		"alone":                {1, 0, 10},
		"two more":             {3, 0, 8},
		"the last is refunded": {3, 3, 9},
		"another is refunded":  {3, 2, 8},
	} {
		t.Run(name, func(t *testing.T) {
			q, now := &quota{}, time.Now()
			for range tt.admitted {
				q.admit()
			}
			if tt.refunded > 0 {
				q.refund(tt.refunded)
			}
			q.observe(policy.Quota{Remaining: 10, Reset: 10 * time.Second}, 1, now)
			assert.Zero(t, q.after(now, tt.left-1))
			assert.NotZero(t, q.after(now, tt.left))
			nth := q.admit()
			assert.Zero(t, q.after(now, tt.left-2))
			assert.NotZero(t, q.after(now, tt.left-1))
			q.refund(nth)
			assert.Zero(t, q.after(now, tt.left-1))
		})
	}
}

// A request that a gate let in and that is not sent leaves nothing behind, neither in the
// count of those in flight, nor in the rate, nor in what the server told.
func TestGateRefunds(t *testing.T) {
	g, now := newGate(policy.Limit{InFlight: 1, PerSecond: 10, Burst: 1}.WithDefaults()), time.Now()
	in := g.admitLocked(now)
	require.False(t, g.admitsLocked(now))
	g.refundLocked(in)
	assert.True(t, g.admitsLocked(now))
	assert.Equal(t, in, g.admitLocked(now))
}
