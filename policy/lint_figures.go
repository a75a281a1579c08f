package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// lintFigures looks at the figures of part i beside those of the layers around
// it and inside it.
func lintFigures(parts []Part, i int) []error {
	around, inside := headerBound(parts[:i]), headerBound(parts[i+1:])
	switch parts[i].Kind {
	case KindHedge:
		return lintHedge(parts[i].hedge(), around, parts[i+1:])
	case KindRetry:
		return lintRetry(parts[i].retry(), around, inside)
	case KindFailover:
		return lintFailover(parts[i].failover(), around, inside)
	case KindBreaker:
		return lintBreaker(parts[i].breaker(), around, inside)
	case KindLimit:
		return lintLimit(parts[i].limit(), around)
	}
	return nil
}

// A bound is the least time to the header that some layers allow, zero without
// one.
type bound struct {
	name  string
	limit time.Duration
}

func (b bound) String() string { return fmt.Sprintf("%s %v", b.name, b.limit) }

// headerBound returns the bound of the timeouts among parts.
func headerBound(parts []Part) bound {
	var least bound
	for _, p := range parts {
		if p.Kind != KindTimeout {
			continue
		}
		t := p.timeout()
		least = least.tightenBy(p, "FirstByte", t.FirstByte)
		least = least.tightenBy(p, "Total", t.Total)
	}
	return least
}

// tightenBy returns the tighter one of b and a limit of p, if that is one.
func (b bound) tightenBy(p Part, field string, limit time.Duration) bound {
	return b.tighter(bound{p.String() + "'s " + field, limit})
}

// tighter returns the tighter one of b and other.
func (b bound) tighter(other bound) bound {
	if other.limit <= 0 || b.limit > 0 && b.limit <= other.limit {
		return b
	}
	return other
}

func lintRetry(r Retry, around, inside bound) []error {
	if !r.repeats() {
		return nil
	}
	errs := []error{r.lintBudget()}
	if around.limit > 0 {
		if inside.limit >= around.limit {
			errs = append(errs, finding("%v must be below %v: no attempt times out before the call does, so none that hangs is repeated; make the attempt's limit half of the call's or less", inside, around))
		}
		errs = append(errs, r.lintWaits(around))
		if r.DrainTime >= around.limit && r.DrainTime != defaultDrainTime {
			errs = append(errs, finding("Retry.DrainTime %v must be below %v: one answer that drips takes up the whole call while it is thrown away; leave it at %v", r.DrainTime, around, defaultDrainTime))
		}
	}
	for _, class := range slices.Sorted(maps.Keys(r.Classes)) {
		if reason := hopeless[class]; reason != "" && r.AttemptsFor(class) > 1 {
			errs = append(errs, finding("Retry.Classes[%v] allows %d attempts: %s; set its Attempts to 1", class, r.AttemptsFor(class), reason))
		}
	}
	return errs
}

// defaultDrainTime is that of a [Retry] and a [Hedge].
const defaultDrainTime = 50 * time.Millisecond

// hopeless are the classes that do not pass within a call, and why.
var hopeless = map[Class]string{
	Unknown:         "what no rule names may have done anything, and is never repeated",
	OK:              "an answer is not repeated",
	QuotaExceeded:   "a quota that is used up does not come back within a call",
	Unauthenticated: "the same credentials fail again",
	Forbidden:       "the same credentials are refused again",
	Invalid:         "a request that is wrong stays wrong",
	Filtered:        "the same content is refused again",
	Canceled:        "the caller has left",
	Refused:         "who said no were we ourselves, to stop the traffic",
}

// lintBudget finds a budget that never has a token, or none after the first.
func (r Retry) lintBudget() error {
	budget, name := r.Budget, "Retry.Budget"
	if r.Bucket != nil {
		budget, name = *r.Bucket.settings.Load(), "the budget of Retry.Bucket"
	}
	switch {
	case budget.Off:
	case budget.Burst < 1-tokenEpsilon:
		return finding("%s has a Burst of %v beside %d attempts: it never holds a whole token, so nothing is repeated; set Burst to 1 or more, or Retry.Off", name, budget.Burst, r.MaxAttempts())
	case budget.Ratio < 0 && budget.PerSecond < 0:
		return finding("%s has neither Ratio nor PerSecond: after the first %d retries of all calls there is never another; set one of them, or Retry.Off", name, int(budget.Burst))
	}
	return nil
}

// lintWaits finds waits that do not fit into the call. The usual first waits are
// left alone, since full jitter makes most of them shorter.
func (r Retry) lintWaits(around bound) error {
	var errs []error
	waits := func(name string, b Backoff, usual time.Duration) {
		if b.Func == nil && b.Base >= around.limit && (b.Base != usual || b.Jitter == NoJitter) {
			errs = append(errs, finding("%s.Base %v must be below %v: the first wait already takes up the whole call, so nothing is repeated; shorten it", name, b.Base, around))
		}
	}
	waits("Retry.Backoff", r.Backoff, defaultBase)
	waits("Retry.Throttled", r.Throttled, defaultThrottledBase)
	for _, class := range slices.Sorted(maps.Keys(r.Classes)) {
		if b := r.backoff(class); hopeless[class] == "" && r.AttemptsFor(class) > 1 {
			usual := r.Backoff.Base
			if class == RateLimited || class == Overloaded {
				usual = r.Throttled.Base
			}
			waits(fmt.Sprintf("Retry.Classes[%v].Backoff", class), b, usual)
		}
	}
	return errors.Join(errs...)
}

func lintHedge(h Hedge, around bound, inside []Part) []error {
	var errs []error
	if around.limit > 0 && h.Delay >= around.limit {
		errs = append(errs, finding("Hedge.Delay %v must be below %v: the call is over before it is hedged; shorten it, or leave it out to follow the live times", h.Delay, around))
	}
	if p, ok := roomForOne(inside); ok {
		errs = append(errs, finding("%v inside hedge lets one request be in flight: none can go beside another, so the hedge of one that takes long waits for its end; let two be in flight or more, or set Hedge.Off", p))
	}
	return append(errs, h.lintBudget())
}

// lintBudget finds a budget that never has a token, or none after the first.
func (h Hedge) lintBudget() error {
	if h.Bucket == nil {
		return nil
	}
	switch budget := h.Bucket.settings.Load(); {
	case budget.Off:
	case budget.Burst < 1-tokenEpsilon:
		return finding("the budget of Hedge.Bucket has a Burst of %v: it never holds a whole token, so nothing is hedged; set Burst to 1 or more, or Hedge.Off", budget.Burst)
	case budget.Ratio < 0 && budget.PerSecond < 0:
		return finding("the budget of Hedge.Bucket has neither Ratio nor PerSecond: after the first %d hedges of all calls there is never another; set one of them, or Hedge.Off", int(budget.Burst))
	}
	return nil
}

// roomForOne returns a limit of one request in flight among the layers that a request
// and its hedge both pass. A failover may send them to different endpoints, and what
// a foreign layer does with them nobody knows.
func roomForOne(parts []Part) (Part, bool) {
	for _, p := range parts {
		switch p.Kind {
		case KindFailover, KindForeign:
			return Part{}, false
		case KindLimit:
			if l := p.limit(); l.InFlight == 1 || l.adapts() && l.Adaptive.Max == 1 {
				return p, true
			}
		}
	}
	return Part{}, false
}

func lintFailover(f Failover, around, inside bound) []error {
	if len(f.Endpoints) < 2 || around.limit == 0 || inside.limit < around.limit {
		return nil
	}
	return []error{finding("%v must be below %v: no endpoint times out before the call does, so none that hangs is made up for by another; make the attempt's limit half of the call's or less", inside, around)}
}

func lintBreaker(b Breaker, around, inside bound) []error {
	var errs []error
	if least := inside.tighter(around); least.limit > 0 && b.SlowCall >= least.limit {
		errs = append(errs, finding("Breaker.SlowCall %v must be below %v: a call times out before it is slow; shorten it, or leave it out", b.SlowCall, least))
	}
	if inside.limit == 0 {
		return errs
	}
	if b.LastCalls <= 0 && b.Window < inside.limit {
		errs = append(errs, finding("Breaker.Window %v must not be below %v: attempts that time out leave the window one by one, so it never opens for a server that hangs; make it twice that", b.Window, inside))
	}
	if b.ProbeLease < inside.limit {
		errs = append(errs, finding("Breaker.ProbeLease %v must not be below %v: a probe that takes as long as any attempt may counts as failed, so it never closes for a slow server; make it as long", b.ProbeLease, inside))
	}
	if own := b.Patience != (Breaker{SlowCall: b.SlowCall}).WithDefaults().Patience; own && b.Patience > inside.limit {
		errs = append(errs, finding("Breaker.Patience %v must not be above %v: an attempt times out before a caller has waited so long for it, so his deadline never counts; shorten it, or make it negative if that is meant", b.Patience, inside))
	}
	return errs
}

func lintLimit(l Limit, around bound) []error {
	var errs []error
	if l.Burst > 0 && l.PerSecond == 0 {
		errs = append(errs, finding("Limit.Burst %d has no PerSecond beside it: nothing bounds the rate; set PerSecond, to -1 if no bound is meant, or leave Burst out", l.Burst))
	}
	if l.InFlight > 0 && l.Adaptive != (Adaptive{}).withDefaults() {
		errs = append(errs, finding("Limit.Adaptive is set beside InFlight %d: the bound is fixed and does not adapt; leave one of them out", l.InFlight))
	}
	hasBound := l.InFlight >= 0 || l.PerSecond > 0 // else the server's own is all there is to wait for
	if around.limit > 0 && hasBound && l.longestWait() >= around.limit {
		errs = append(errs, finding("Limit.MaxWait %v must be below %v: a request may wait its turn until there is no time left to send it; make it a fifth of that", l.MaxWait, around))
	}
	return errs
}

// longestWait returns how long a request may wait in the queue, be it only for what
// the server says of its own limit, zero if there is no queue.
func (l Limit) longestWait() time.Duration {
	if l.MaxQueue < 0 {
		return 0
	}
	return max(0, cmp.Or(l.MaxWait, 5*time.Second))
}
