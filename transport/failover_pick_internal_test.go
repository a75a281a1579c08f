package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// Each two of the endpoints are compared as often as any other two.
func TestFailoverTwoChoices(t *testing.T) {
	var chance []float64
	r := newRotation(policy.Failover{Endpoints: make([]policy.Endpoint, 3), Random: func() float64 {
		next := chance[0]
		chance = chance[1:]
		return next
	}})
	for i, m := range r.members { // the later, the quicker
		m.latency, m.latencyAt = float64(10-i), time.Now()
	}
	picked := make([]int, 3)
	for _, first := range []float64{0, 0.4, 0.9} {
		for _, second := range []float64{0, 0.9} {
			chance = []float64{first, second}
			picked[r.twoChoicesLocked(time.Now(), r.all)]++
		}
	}
	assert.Equal(t, []int{0, 2, 4}, picked)
}

// Who waits for an endpoint that is back waits no less because a request from before
// is answered.
func TestFailoverLateAnswerIsNotOneOfThose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotation(policy.Failover{Endpoints: make([]policy.Endpoint, 2)}.WithDefaults())
		before := r.begin(0)
		time.Sleep(time.Second)
		r.ejectLocked(time.Now(), r.members[0], false)
		time.Sleep(time.Hour)
		r.availableLocked(time.Now())
		r.begin(0)
		r.answered(0, before, policy.Verdict{Class: policy.OK}, false)
		time.Sleep(3 * time.Hour)
		assert.InDelta(t, 3*time.Hour, r.members[0].latencyLocked(time.Now()), 0)
	})
}

// A key stands for the same endpoint in every process, also in those of an earlier
// version that run beside this one.
func TestFailoverKeysStayInPlace(t *testing.T) {
	for text, want := range map[[2]string]uint64{
		{"", ""}:        0x0992e16d4af04425,
		{"eu", "user1"}: 0x36c9c3ec47e84dd7,
		{"eu", "user2"}: 0x7e944b0a85dc4656,
		{"euu", "ser1"}: 0x426d9a6f94c076e6,
	} {
		assert.Equal(t, want, fnv64(text[0], text[1]), text)
	}
}
