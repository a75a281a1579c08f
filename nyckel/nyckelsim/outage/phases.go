package outage

import (
	"cmp"
	"math"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// A phase is a stretch of the demo with its faults and its traffic.
type phase struct {
	name     string
	share    float64 // of the whole duration
	rate     float64 // calls per second; zero for that of the options
	faults   nyckelsim.Faults
	duration time.Duration
	calls    int
	every    time.Duration // between two calls
}

// serviceTime is how long the simulated service takes for an answer.
const serviceTime = 30 * time.Millisecond

// healthyShare is the share of the duration in which all is well at first.
const healthyShare = 0.3

// evidence is how many calls are made in that time at least, however short it is:
// without them, there would be nothing to tell how good an answer is that stands
// in for a live one.
const evidence = 600

// healthyRate is how many calls are made per second while all is well at first.
func healthyRate(o options) float64 {
	return max(o.rate, evidence/(healthyShare*o.duration.Seconds()))
}

// The account's limits, as documented by the service, are raised for rates that
// come near them.
const documentedLimit = 25

func accountLimit(o options) int {
	return max(documentedLimit, int(math.Ceil(1.5*healthyRate(o))))
}

// phasesFor lays the phases out over the duration.
func phasesFor(o options) []phase {
	phases := []phase{
		{name: "healthy", share: healthyShare, rate: healthyRate(o)},
		{name: "rate-limited burst", share: 0.06, rate: 2 * float64(accountLimit(o))},
		{name: "60 % 503", share: 0.14, faults: nyckelsim.Faults{Unavailable: 0.6}},
		{name: "ten-fold latency", share: 0.1, faults: nyckelsim.Faults{LatencyFactor: 10}},
		{name: "truncated bodies", share: 0.12, faults: nyckelsim.Faults{Truncate: 0.5}},
		{name: "total outage", share: 0.16, faults: nyckelsim.Faults{Refuse: true}},
		{name: "recovery", share: 0.12},
	}
	for i := range phases {
		p := &phases[i]
		p.faults.Name = p.name
		p.duration = time.Duration(p.share * float64(o.duration))
		p.calls = max(1, int(math.Round(cmp.Or(p.rate, o.rate)*p.duration.Seconds())))
		p.every = p.duration / time.Duration(p.calls)
	}
	return phases
}

func callsIn(phases []phase) int {
	n := 0
	for _, p := range phases {
		n += p.calls
	}
	return n
}
