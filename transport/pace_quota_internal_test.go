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
