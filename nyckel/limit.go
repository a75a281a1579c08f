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

// accountLimit fills the zero fields of the limit of an account.
func accountLimit(l policy.Limit) policy.Limit {
	l.Name = cmp.Or(l.Name, "account")
	l.PerSecond = cmp.Or(l.PerSecond, accountRate)
	l.Burst = cmp.Or(l.Burst, 1)
	l.InFlight = cmp.Or(l.InFlight, accountInFlight)
	l.MaxWait = cmp.Or(l.MaxWait, 5*time.Second)
	return l
}
