package transport

import (
	"math"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/sparekey/sparekey/policy"
)

// recent holds the last calls of a closed breaker and decides when there are too
// many faults or slow calls among them. The counting and deciding is
// failsafe-go's, whose circuit breakers serve as windows here: one for faults, one
// for slow calls. What a window of time is found to hold is counted beside them,
// since theirs keep the calls that have left it until the next one comes.
type recent struct {
	cfg             *policy.Breaker
	faults          circuitbreaker.CircuitBreaker[any]
	slow            circuitbreaker.CircuitBreaker[any] // nil if no call is slow
	tally           tally
	last            []mark    // a ring of the last calls, if those count; call n is at n % len(last)
	noted           int       // how many calls were put into the ring, ever
	incompleteUntil time.Time // until when the circuits do not know all that the window of time holds

	tooManyFaults, tooManySlow bool // so they found
}

func newRecent(cfg *policy.Breaker) *recent {
	r := &recent{cfg: cfg, tally: tally{slice: cfg.Window / numSlices}}
	r.begin()
	return r
}

// begin makes circuits that know of no call.
func (r *recent) begin() {
	r.tooManyFaults, r.tooManySlow = false, false
	r.faults = r.circuit(r.cfg.Ratio, &r.tooManyFaults)
	r.slow = nil
	if r.cfg.SlowCall > 0 {
		r.slow = r.circuit(r.cfg.SlowRatio, &r.tooManySlow)
	}
}

// A reach is which calls a breaker counts: those of a time, or so many.
type reach struct {
	window time.Duration
	calls  int
}

func windowOf(cfg policy.Breaker) reach {
	if cfg.LastCalls > 0 {
		return reach{calls: cfg.LastCalls}
	}
	return reach{window: cfg.Window}
}

// judgesOtherwise reports whether the same calls may be too many faults or slow
// ones by one's settings and not by the other's.
func judgesOtherwise(a, b policy.Breaker) bool {
	return a.Ratio != b.Ratio || a.MinCalls != b.MinCalls || max(a.SlowCall, 0) != max(b.SlowCall, 0) || a.SlowRatio != b.SlowRatio
}

// retune has the calls that are held judged by other settings, when the next one
// comes.
func (r *recent) retune(now time.Time) {
	r.begin()
	if r.cfg.LastCalls <= 0 {
		r.incompleteUntil = now.Add(r.cfg.Window)
		return
	}
	// The next call will take the place of the oldest, which must not count then.
	for n := max(0, r.noted-r.cfg.LastCalls+1); n < r.noted; n++ {
		call := r.last[n%len(r.last)]
		r.note(call.fault, call.slow)
	}
}

// circuit returns a circuit breaker that opens, and sets tooMany, when ratio of
// the calls it is told of are failures.
func (r *recent) circuit(ratio float64, tooMany *bool) circuitbreaker.CircuitBreaker[any] {
	builder := circuitbreaker.NewBuilder[any]().
		OnOpen(func(circuitbreaker.StateChangedEvent) { *tooMany = true })
	if r.cfg.LastCalls > 0 {
		builder.WithFailureThresholdRatio(share(ratio, r.cfg.LastCalls), uint(r.cfg.LastCalls))
	} else {
		builder.WithFailureRateThreshold(ratio, uint(r.cfg.MinCalls), r.cfg.Window)
	}
	return builder.Build()
}

// share returns the least number of calls that is ratio of all.
func share(ratio float64, all int) uint {
	const rounding = 1e-9 // 0.1 of 30 is 3, though 0.1*30 is a little more
	return uint(max(1, math.Ceil(ratio*float64(all)-rounding)))
}

// record adds a call and returns the reason to open, or "" if there is none.
func (r *recent) record(now time.Time, fault, slow bool) string {
	if r.cfg.LastCalls <= 0 && r.tally.isRewound(now) {
		r.begin()
		r.tally = tally{slice: r.tally.slice}
	}
	r.note(fault, slow)
	if r.cfg.LastCalls <= 0 {
		r.tally.add(now, fault, slow)
	} else {
		r.keep(mark{fault, slow})
	}
	if now.Before(r.incompleteUntil) {
		return r.judge(now)
	}
	switch {
	case !r.tooManyFaults && !r.tooManySlow:
		return ""
	case r.cfg.LastCalls > 0 && r.figures(now).calls < r.cfg.MinCalls:
		return "" // too early: no call has left the window, so they stay too many
	case r.tooManyFaults:
		return policy.TooManyFaults
	}
	return policy.TooManySlow
}

// judge returns the reason to open that there is in all that the window of time
// holds, as circuits do that know it. Those that found one in a part start anew.
func (r *recent) judge(now time.Time) string {
	reason := r.reason(r.figures(now))
	if reason == "" && (r.tooManyFaults || r.tooManySlow) {
		r.begin()
		r.incompleteUntil = now.Add(r.cfg.Window)
	}
	return reason
}

// reason returns the reason to open that figures give, "" if they give none. It rounds
// to whole percents, as failsafe-go does.
func (r *recent) reason(f figures) string {
	rounded := func(n int) float64 { return math.Round(100*float64(n)/float64(f.calls)) / 100 }
	switch {
	case f.calls < r.cfg.MinCalls:
		return ""
	case rounded(f.faults) >= r.cfg.Ratio:
		return policy.TooManyFaults
	case r.slow != nil && rounded(f.slow) >= r.cfg.SlowRatio:
		return policy.TooManySlow
	}
	return ""
}

// A mark is what is kept of a call.
type mark struct{ fault, slow bool }

// keep keeps one of the last calls.
func (r *recent) keep(call mark) {
	if len(r.last) < r.cfg.LastCalls {
		r.last = append(r.last, call)
	} else {
		r.last[r.noted%len(r.last)] = call
	}
	r.noted++
}

// note tells the circuits of a call.
func (r *recent) note(fault, slow bool) {
	note(r.faults, fault)
	if r.slow != nil {
		note(r.slow, slow)
	}
}

func note(circuit circuitbreaker.CircuitBreaker[any], failure bool) {
	if failure {
		circuit.RecordFailure()
	} else {
		circuit.RecordSuccess()
	}
}

// figures returns what the window holds now.
func (r *recent) figures(now time.Time) figures {
	if r.cfg.LastCalls <= 0 {
		return r.tally.sum(now)
	}
	f := figures{calls: int(r.faults.Metrics().Executions()), faults: int(r.faults.Metrics().Failures())}
	if r.slow != nil {
		f.slow = int(r.slow.Metrics().Failures())
	}
	return f
}

// hasSuccess reports whether the window holds a call that ended well.
func (r *recent) hasSuccess(now time.Time) bool {
	held := r.figures(now)
	return held.calls > held.faults
}

// figures are how many calls there were, and how many of them were bad.
type figures struct{ calls, faults, slow int }

// numSlices is how many parts a window of time has, as failsafe-go's have: they
// leave it one at a time.
const numSlices = 10

// tally counts calls within a window of time.
type tally struct {
	slice  time.Duration
	latest int64 // the number of the last slice with a call
	parts  [numSlices]struct {
		number int64 // of slices since the epoch
		figures
	}
}

func (t *tally) number(now time.Time) int64 { return now.UnixNano() / int64(t.slice) }

// isRewound reports whether the clock was set back by more than the window since the
// last call. What is held would stay until the clock is where it was: failsafe-go counts
// by the wall clock, too.
func (t *tally) isRewound(now time.Time) bool { return t.number(now) < t.latest-numSlices }

func (t *tally) add(now time.Time, fault, slow bool) {
	number := t.number(now)
	t.latest = max(t.latest, number)
	part := &t.parts[number%numSlices]
	if part.number != number {
		part.number, part.figures = number, figures{}
	}
	part.calls++
	if fault {
		part.faults++
	}
	if slow {
		part.slow++
	}
}

func (t *tally) sum(now time.Time) (sum figures) {
	number := t.number(now)
	for _, part := range t.parts {
		if part.number > number-numSlices && part.number <= number {
			sum.calls += part.calls
			sum.faults += part.faults
			sum.slow += part.slow
		}
	}
	return sum
}
