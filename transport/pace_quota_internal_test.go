package transport

import (
	"math/rand/v2"
	"testing"
	"time"

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
				q.hear(policy.Quota{Limit: limit, Remaining: left, Reset: reset}, oneSent(), now)
			}
		}
	}
}
