package nyckel

import (
	"cmp"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// What the service allows an account: so many calls in any one second, and so many
// in flight.
const (
	accountRate     = 25
	accountInFlight = 25
)

// accountLimit fills the zero fields of the limit of an account. Waiting for one's
// turn is part of an attempt, so nobody waits for longer than half of what the least
// patient of the stacks grants one: what is left is for the service, and none of it is
// taken for a service that does not answer.
func accountLimit(l policy.Limit, stacks ...policy.Stack) policy.Limit {
	l.Name = cmp.Or(l.Name, "account")
	l.PerSecond = cmp.Or(l.PerSecond, accountRate)
	l.Burst = cmp.Or(l.Burst, 1)
	l.InFlight = cmp.Or(l.InFlight, accountInFlight)
	if l.MaxWait == 0 {
		l.MaxWait = 5 * time.Second
		for _, stack := range stacks {
			if patience := stack.WithDefaults().Attempt.FirstByte; patience > 0 {
				l.MaxWait = min(l.MaxWait, patience/2)
			}
		}
	}
	return l
}
