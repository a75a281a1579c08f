package console

import (
	"math"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// The types below are snapshots as scripts and the page read them. Durations and
// ages are in seconds; a time that is not there is left out.
type (
	page struct {
		At        time.Time  `json:"at"`
		Actions   []string   `json:"actions"` // what can be done here
		Functions []function `json:"functions"`
		Queues    []queue    `json:"queues"`
		Config    *config    `json:"config,omitempty"`
		Events    []event    `json:"events"`
	}
	function struct {
		Name      string            `json:"name"`
		Calls     map[string]uint64 `json:"calls"`
		Minute    map[string]uint64 `json:"minute"`
		Seconds   [][4]uint32       `json:"seconds"` // live, cached, degraded, failed
		P50       float64           `json:"p50"`
		P95       float64           `json:"p95"`
		P99       float64           `json:"p99"`
		Recent    uint64            `json:"recent"`
		Breakers  []breaker         `json:"breakers"`
		Limiters  []limiter         `json:"limiters"`
		Throttles []throttle        `json:"throttles"`
		Endpoints []endpoint        `json:"endpoints"`
		Budget    *budget           `json:"budget,omitempty"`
		Cache     *cache            `json:"cache,omitempty"`
		Fidelity  []fidelity        `json:"fidelity"`
	}
	breaker struct {
		Name         string    `json:"name"`
		State        string    `json:"state"`
		Calls        int       `json:"calls"`
		Faults       int       `json:"faults"`
		Slow         int       `json:"slow"`
		Probes       int       `json:"probes"`
		Since        time.Time `json:"since,omitzero"`
		Until        time.Time `json:"until,omitzero"`
		MetricsOnly  bool      `json:"metricsOnly"`
		MetricsUntil time.Time `json:"metricsUntil,omitzero"`
		Reason       string    `json:"reason,omitempty"`
	}
	limiter struct {
		Name      string  `json:"name"`
		InFlight  int     `json:"inFlight"`
		Queued    int     `json:"queued"`
		Bound     int     `json:"bound"`
		PerSecond float64 `json:"perSecond"`
	}
	throttle struct {
		Name    string  `json:"name"`
		Refused float64 `json:"refused"`
	}
	endpoint struct {
		Name     string    `json:"name"`
		Region   string    `json:"region,omitempty"`
		Ejected  time.Time `json:"ejected,omitzero"`
		Resting  time.Time `json:"resting,omitzero"`
		Latency  float64   `json:"latency"`
		InFlight int       `json:"inFlight"`
		Asked    int64     `json:"asked"`
		Faults   int64     `json:"faults"`
	}
	budget struct {
		Tokens int     `json:"tokens"`
		Burst  float64 `json:"burst"`
	}
	cache struct {
		Entries    int    `json:"entries"`
		MaxEntries int    `json:"maxEntries"`
		Bytes      int64  `json:"bytes"`
		MaxBytes   int64  `json:"maxBytes"`
		Hits       uint64 `json:"hits"`
		Stale      uint64 `json:"stale"`
		Misses     uint64 `json:"misses"`
		Evicted    uint64 `json:"evicted"`
		Expired    uint64 `json:"expired"`
		Purged     uint64 `json:"purged"`
	}
	fidelity struct {
		Rung     string `json:"rung"`
		Asked    int    `json:"asked"`
		Answered int    `json:"answered"`
		Agreed   int    `json:"agreed"`
	}
	queue struct {
		Name      string  `json:"name"`
		Waiting   int     `json:"waiting"`
		Scheduled int     `json:"scheduled"`
		Running   int     `json:"running"`
		Dead      int     `json:"dead"`
		Oldest    float64 `json:"oldest"`
	}
	config struct {
		Name      string    `json:"name"`
		AppliedAt time.Time `json:"appliedAt,omitzero"`
		Problems  string    `json:"problems,omitempty"`
	}
	event struct {
		At       time.Time `json:"at"`
		Function string    `json:"function,omitempty"`
		Kind     string    `json:"kind"`
		Text     string    `json:"text"`
	}
)

// shown returns a snapshot as it is shown.
func shown(s telemetry.Snapshot, actions []string) page {
	p := page{
		At: s.At, Actions: actions,
		Functions: each(s.Functions, shownFunction),
		Queues: each(s.Queues, func(q telemetry.QueueSnapshot) queue {
			return queue{Name: q.Name, Waiting: q.Waiting, Scheduled: q.Scheduled, Running: q.Running, Dead: q.Dead, Oldest: q.Oldest.Seconds()}
		}),
		Config: (*config)(s.Config),
		Events: each(s.Events, func(e telemetry.Event) event { return event(e) }),
	}
	if p.At.IsZero() {
		p.At = time.Now()
	}
	return p
}

func shownFunction(f telemetry.FunctionSnapshot) function {
	shown := function{
		Name: f.Name, Calls: f.Calls, Minute: f.Minute,
		Seconds: each(f.Seconds, func(s telemetry.SecondSnapshot) [4]uint32 {
			return [4]uint32{s.Live, s.Cached, s.Degraded, s.Failed}
		}),
		P50: f.P50.Seconds(), P95: f.P95.Seconds(), P99: f.P99.Seconds(), Recent: f.Recent,
		Breakers: each(f.Breakers, shownBreaker),
		Limiters: each(f.Limiters, func(l telemetry.LimiterSnapshot) limiter {
			return limiter{Name: l.Name, InFlight: l.InFlight, Queued: l.Queued, Bound: l.Bound, PerSecond: finite(l.PerSecond)}
		}),
		Throttles: each(f.Throttles, func(t telemetry.ThrottleSnapshot) throttle {
			return throttle{Name: t.Name, Refused: finite(t.Refused)}
		}),
		Endpoints: each(f.Endpoints, func(e telemetry.EndpointSnapshot) endpoint {
			return endpoint{
				Name: e.Name, Region: e.Region, Ejected: e.Ejected, Resting: e.Resting,
				Latency: e.Latency.Seconds(), InFlight: e.InFlight, Asked: e.Asked, Faults: e.Faults,
			}
		}),
		Cache:    (*cache)(f.Cache),
		Fidelity: each(f.Fidelity, func(f telemetry.FidelitySnapshot) fidelity { return fidelity(f) }),
	}
	if f.Budget != nil {
		shown.Budget = &budget{Tokens: f.Budget.Tokens, Burst: finite(f.Budget.Burst)}
	}
	return shown
}

func shownBreaker(b policy.BreakerSnapshot) breaker {
	return breaker{
		Name: b.Name, State: b.State.String(), Calls: b.Calls, Faults: b.Faults, Slow: b.Slow, Probes: b.Probes,
		Since: b.Last.At, Until: b.Until, MetricsOnly: b.MetricsOnly, MetricsUntil: b.MetricsUntil, Reason: b.Reason,
	}
}

// each returns what show makes of each, as a list even if there are none.
func each[From, To any](all []From, show func(From) To) []To {
	shown := make([]To, len(all))
	for i, one := range all {
		shown[i] = show(one)
	}
	return shown
}

// finite returns f, or zero, which stands for no bound, if JSON has no number for
// it.
func finite(f float64) float64 {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return 0
	}
	return f
}
