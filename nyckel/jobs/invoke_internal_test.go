package jobs

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// What a layer knows of when it makes sense to try again counts, too, where the service
// said nothing, and the later of the two where both did.
func TestOutcomeWaitsUntilItMakesSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, class := range []policy.Class{policy.Refused, policy.Overloaded} {
			o := outcomeOf(&policy.Error{Verdict: policy.Verdict{Class: class}, RetryAt: time.Now().Add(time.Minute)})
			assert.Equal(t, time.Minute, o.After, class)
			o = outcomeOf(&policy.Error{Verdict: policy.Verdict{Class: class, Wait: time.Hour}, RetryAt: time.Now().Add(time.Minute)})
			assert.Equal(t, time.Hour, o.After, class)
		}
		for after, want := range map[time.Duration]time.Duration{time.Minute: accountTrouble, time.Hour: time.Hour} {
			o := outcomeOf(&policy.Error{Verdict: policy.Verdict{Class: policy.QuotaExceeded}, RetryAt: time.Now().Add(after)})
			assert.Equal(t, want, o.After, "the account's trouble takes its time")
		}
	})
}
