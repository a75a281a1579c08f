package telemetry

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// An outcome is what a call came to, as an [Activity] counts it.
type outcome uint8

const (
	outcomeLive outcome = iota
	outcomeCache
	outcomeStale
	outcomeSimilar
	outcomeRule
	outcomeStatic
	outcomeOther // another endpoint, or a rung with a name of its own
	outcomeFailed
	outcomeCanceled // nobody waits for an answer any more
	numOutcomes
)

var outcomeNames = [numOutcomes]string{
	string(Live), string(Cache), string(Stale), string(Similar), string(Rule), string(Static), "endpoint", "failed", "canceled",
}

// outcomeOf returns what a call came to.
func outcomeOf(source Source, failed, canceled bool) outcome {
	switch {
	case failed:
		return outcomeFailed
	case canceled:
		return outcomeCanceled
	}
	for o := outcomeLive; o < outcomeOther; o++ {
		if outcomeNames[o] == string(source) {
			return o
		}
	}
	if source == "" { // an error of the service that the caller was handed
		return outcomeFailed
	}
	return outcomeOther
}

// How far back an [Activity] looks, in seconds.
const (
	recentSeconds = 60
	latencySpan   = 30 // latencies are of this span and the one before: 30 to 60 s
)

// An Activity counts calls for a [Snapshot]: in all, and of late those of each second,
// by outcome, and how long they took. [ObserveCall] layers with the same one count
// together. Its zero value has seen no call. It is safe for concurrent use; to count
// takes no lock and no allocation.
type Activity struct {
	total   [numOutcomes]atomic.Uint64
	seconds [recentSeconds + 4][numOutcomes]cell // a ring by second; some more than are read, so that none is read while it begins anew
	spans   [2][numLatencies]cell                // a ring by latencySpan
}

// A cell counts within one period of time. The number of the period is its upper half,
// the count its lower.
type cell struct{ n atomic.Uint64 }

// add counts one in a period. A count of another one gives way: that was earlier, or the
// clock was set back.
func (c *cell) add(period uint32) {
	for {
		old := c.n.Load()
		next := uint64(period)<<32 | 1
		if uint32(old>>32) == period {
			if uint32(old) == math.MaxUint32 {
				return
			}
			next = old + 1
		}
		if c.n.CompareAndSwap(old, next) {
			return
		}
	}
}

// in returns what was counted in a period, 0 if the cell is at another.
func (c *cell) in(period uint32) uint32 {
	if n := c.n.Load(); uint32(n>>32) == period {
		return uint32(n)
	}
	return 0
}

// ended counts a call that ended now.
func (a *Activity) ended(now time.Time, o outcome, took time.Duration) {
	second := uint32(now.Unix())
	a.total[o].Add(1)
	a.seconds[second%uint32(len(a.seconds))][o].add(second)
	if o != outcomeCanceled {
		span := second / latencySpan
		a.spans[span%2][latencyOf(took)].add(span)
	}
}

// second returns what was counted in one second, which must be one of the last
// recentSeconds.
func (a *Activity) second(second uint32) (counts [numOutcomes]uint32) {
	for o := range counts {
		counts[o] = a.seconds[second%uint32(len(a.seconds))][o].in(second)
	}
	return counts
}

// Latencies are counted in steps of an eighth of a power of two of 64 µs, so that
// a quantile is at most 12.5 % too high. The first step has all that is less, the last
// all that is more.
const (
	leastLatency = 64 * time.Microsecond
	octaves      = 22 // up to 4.5 min
	numLatencies = 8 * octaves
)

// latencyOf returns the step that d is in.
func latencyOf(d time.Duration) int {
	n := uint64(max(d, 0) / (leastLatency / 8))
	if n < 8 {
		return 0
	}
	octave := bits.Len64(n) - 4
	return min(8*octave+int(n>>octave)-8, numLatencies-1)
}

// latencyAt returns the upper end of a step.
func latencyAt(step int) time.Duration {
	octave, eighth := step/8, step%8
	return leastLatency / 8 * time.Duration(8+eighth+1) << octave
}

// quantiles returns, for shares above 0 and in rising order, the time within which that
// share of the latest calls ended, and how many calls these are.
func (a *Activity) quantiles(now time.Time, shares ...float64) (took []time.Duration, calls uint64) {
	span := uint32(now.Unix()) / latencySpan
	var counts [numLatencies]uint64
	for step := range counts {
		counts[step] = uint64(a.spans[span%2][step].in(span)) + uint64(a.spans[(span+1)%2][step].in(span-1))
		calls += counts[step]
	}
	took = make([]time.Duration, len(shares))
	below, step := uint64(0), 0
	for i, share := range shares {
		rank := uint64(math.Ceil(share * float64(calls)))
		for step < numLatencies-1 && below+counts[step] < rank {
			below += counts[step]
			step++
		}
		if calls > 0 {
			took[i] = latencyAt(step)
		}
	}
	return took, calls
}
