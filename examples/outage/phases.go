package main

import (
	"math"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// A phase is a stretch of the demo with its faults and its traffic.
type phase struct {
	name     string
	share    float64 // of the whole duration
	burst    bool    // the traffic exceeds what the account may send
	faults   nyckelsim.Faults
	duration time.Duration
	calls    int
	every    time.Duration // between two calls
}

// serviceTime is how long the simulated service takes for an answer.
const serviceTime = 30 * time.Millisecond

// The account's limit, as documented by the service, is raised for rates that
// come near it.
const documentedLimit = 25

func accountLimit(rate float64) int {
	return max(documentedLimit, int(math.Ceil(1.5*rate)))
}

// plan lays the phases out over the duration.
func plan(o options) []phase {
	phases := []phase{
		{name: "healthy", share: 0.18},
		{name: "rate-limited burst", share: 0.08, burst: true},
		{name: "60 % 503", share: 0.16, faults: nyckelsim.Faults{Unavailable: 0.6}},
		{name: "ten-fold latency", share: 0.12, faults: nyckelsim.Faults{LatencyFactor: 10}},
		{name: "truncated bodies", share: 0.14, faults: nyckelsim.Faults{Truncate: 0.5}},
		{name: "total outage", share: 0.16, faults: nyckelsim.Faults{Refuse: true}},
		{name: "recovery", share: 0.16},
	}
	for i := range phases {
		p := &phases[i]
		rate := o.rate
		if p.burst {
			rate = 2 * float64(accountLimit(o.rate))
		}
		p.faults.Name = p.name
		p.duration = time.Duration(p.share * float64(o.duration))
		p.calls = max(1, int(math.Round(rate*p.duration.Seconds())))
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
