package transport

import (
	"net/http"
	"slices"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// Snapshot returns what the stacks of some transports look like now, those of
// clients that [Wrap] returned, say. Each is one function's. What is kept for each
// host, or for each key of a [PerKey], is in it for all of them.
func Snapshot(transports ...http.RoundTripper) telemetry.Snapshot {
	s := telemetry.Snapshot{At: time.Now()}
	var seen []*telemetry.Events
	for _, rt := range transports {
		var f telemetry.FunctionSnapshot
		for layer := range everyLayer(rt) {
			if r, ok := layer.(telemetry.Reporter); ok {
				r.Report(&f)
			}
			if e, ok := layer.(interface{ Events() *telemetry.Events }); ok && !slices.Contains(seen, e.Events()) {
				seen = append(seen, e.Events())
				s.Events = append(s.Events, e.Events().Last()...)
			}
		}
		s.Functions = append(s.Functions, f)
	}
	s.Events = telemetry.Newest(s.Events)
	return s
}

// Breakers returns the circuit breakers among the layers of rt, those included that
// are kept for each host or key, as of now.
func Breakers(rt http.RoundTripper) []*Breaker {
	var all []*Breaker
	for layer := range everyLayer(rt) {
		if b, ok := layer.(*breaker); ok {
			all = append(all, b.Breaker)
		}
	}
	return all
}

// everyLayer yields the layers of rt, outermost first, and those that it keeps for
// each key, one key after the other.
func everyLayer(rt http.RoundTripper) func(yield func(http.RoundTripper) bool) {
	return func(yield func(http.RoundTripper) bool) { descend(rt, nil, yield) }
}

// descend yields the layers of rt down to the one at which it ends, and reports
// whether to go on.
func descend(rt, end http.RoundTripper, yield func(http.RoundTripper) bool) bool {
	for range maxWalk {
		if rt == nil || end != nil && same(rt, end) {
			return true
		}
		if !yield(rt) {
			return false
		}
		fork, ok := rt.(branching)
		if !ok {
			_, rt, _ = look(rt)
			continue
		}
		for _, branch := range fork.branches() {
			if !descend(branch, fork.below(), yield) {
				return false
			}
		}
		rt = fork.below()
	}
	return true
}

// A branching layer sends each request through one of several branches, which all end
// in what is below.
type branching interface {
	branches() []http.RoundTripper
	below() http.RoundTripper
}

// branches returns the layers that are kept now, one for each key.
func (p *perKey) branches() []http.RoundTripper {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []http.RoundTripper
	for _, kept := range slices.Concat(p.again.Values(), p.once.Values()) {
		all = append(all, kept.rt)
	}
	return all
}

func (p *perKey) below() http.RoundTripper { return p.next }

// branches returns the layers of each endpoint, and those for requests to none.
func (f *failover) branches() []http.RoundTripper { return append(slices.Clip(f.to), f.noEndpoint) }

func (f *failover) below() http.RoundTripper { return f.next }

// Report implements [telemetry.Reporter].
func (b *breaker) Report(f *telemetry.FunctionSnapshot) {
	f.Breakers = append(f.Breakers, b.Snapshot())
}

// Report implements [telemetry.Reporter].
func (l *limiter) Report(f *telemetry.FunctionSnapshot) {
	state := l.State()
	f.Limiters = append(f.Limiters, telemetry.LimiterSnapshot{
		Name: l.cfg.Name, InFlight: state.InFlight, Queued: state.Queued, Bound: state.Bound, PerSecond: state.PerSecond,
		MaxQueue: max(0, l.cfg.MaxQueue),
	})
}

// Report implements [telemetry.Reporter].
func (t *throttle) Report(f *telemetry.FunctionSnapshot) {
	f.Throttles = append(f.Throttles, telemetry.ThrottleSnapshot{Name: t.cfg.Name, Refused: t.Refusing()})
}

// Report implements [telemetry.Reporter]. Of several budgets it tells the outermost
// one's.
func (r *retry) Report(f *telemetry.FunctionSnapshot) {
	if f.Budget == nil {
		f.Budget = &telemetry.BudgetSnapshot{Tokens: r.cfg.Bucket.Tokens(time.Now()), Burst: r.cfg.Bucket.Burst()}
	}
}

// Report implements [telemetry.Reporter].
func (f *failover) Report(s *telemetry.FunctionSnapshot) {
	for _, state := range f.State() {
		s.Endpoints = append(s.Endpoints, telemetry.EndpointSnapshot{
			Name: state.Name, Region: state.Region, Ejected: state.Ejected, Resting: state.Resting,
			Latency: state.Latency, InFlight: state.InFlight, Asked: state.Asked, Faults: state.Faults,
		})
	}
}
