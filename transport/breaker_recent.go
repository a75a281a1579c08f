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
	cfg    *policy.Breaker
	faults circuitbreaker.CircuitBreaker[any]
	slow   circuitbreaker.CircuitBreaker[any] // nil if no call is slow
	tally  tally

	tooManyFaults, tooManySlow bool // so they found
}

func newRecent(cfg *policy.Breaker) *recent {
	r := &recent{cfg: cfg, tally: tally{slice: cfg.Window / numSlices}}
	r.faults = r.circuit(cfg.Ratio, &r.tooManyFaults)
	if cfg.SlowCall > 0 {
		r.slow = r.circuit(cfg.SlowRatio, &r.tooManySlow)
	}
	return r
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
	note(r.faults, fault)
	if r.slow != nil {
		note(r.slow, slow)
	}
	if r.cfg.LastCalls <= 0 {
		r.tally.add(now, fault, slow)
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
	slice time.Duration
	parts [numSlices]struct {
		number int64 // of slices since the epoch
		figures
	}
}

func (t *tally) add(now time.Time, fault, slow bool) {
	number := now.UnixNano() / int64(t.slice)
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
	number := now.UnixNano() / int64(t.slice)
	for _, part := range t.parts {
		if part.number > number-numSlices && part.number <= number {
			sum.calls += part.calls
			sum.faults += part.faults
			sum.slow += part.slow
		}
	}
	return sum
}
