package transport

import (
	"math"
	"sync"
	"time"
)

// latencies is a running quantile of latencies: a histogram whose buckets, called steps,
// are an eighth of a power of two wide, so that it is right to 9 %. Its counts are
// halved whenever it is full, so that it forgets.
type latencies struct {
	mu       sync.Mutex
	quantile float64 // guarded by mu, as all below
	counts   [latencySteps]uint32
	total    uint32
	fresh    uint32        // since latest was made
	latest   time.Duration // the quantile; zero while there is too little to tell
}

const (
	latencySteps  = 8 * 44 // from a nanosecond to almost five hours
	fewLatencies  = 20     // with less there is no quantile
	mostLatencies = 2000
)

func newLatencies(quantile float64) *latencies { return &latencies{quantile: quantile} }

// change has it be another quantile.
func (l *latencies) change(quantile float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quantile = quantile; l.latest > 0 {
		l.latest = l.quantileLocked()
	}
}

// add counts a time.
func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= mostLatencies {
		l.halveLocked()
	}
	l.counts[latencyStep(d)]++
	l.total++
	if l.fresh++; l.total >= fewLatencies && (l.latest == 0 || l.fresh >= l.total/64) {
		l.fresh = 0
		l.latest = l.quantileLocked()
	}
}

// delay returns the quantile, zero while there is too little to tell.
func (l *latencies) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

func (l *latencies) halveLocked() {
	l.total = 0
	for i := range l.counts {
		l.counts[i] /= 2
		l.total += l.counts[i]
	}
}

// quantileLocked returns the upper end of the step in which the quantile lies, taken one
// standard deviation of the binomial distribution low: where one in twenty is a
// straggler, a few more or less by chance must not make a straggler's time the quantile.
func (l *latencies) quantileLocked() time.Duration {
	n := float64(l.total)
	rank := n*l.quantile - math.Sqrt(n*l.quantile*(1-l.quantile))
	below := 0.0
	for i, count := range l.counts {
		if below += float64(count); below > 0 && below >= rank {
			return stepEnd(i)
		}
	}
	return stepEnd(latencySteps - 1)
}

// latencyStep returns the step that d lies in.
func latencyStep(d time.Duration) int {
	if d <= 1 {
		return 0
	}
	return min(int(8*math.Log2(float64(d))), latencySteps-1)
}

// stepEnd returns the first time above a step.
func stepEnd(step int) time.Duration {
	return time.Duration(math.Ceil(math.Exp2(float64(step+1) / 8)))
}
