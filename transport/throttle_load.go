package transport

import (
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivethrottler"

	"github.com/sparekey/sparekey/policy"
)

// load tells how much more a throttle's requests are than the server accepts. The
// counting and the formula are failsafe-go's. Its chance is not used: it cannot be
// given, and it forgets what has left the window only when it counts the next
// outcome, so that a client that comes back after a pause would be judged by the
// time before it.
type load struct {
	mu        sync.Mutex
	cfg       policy.Throttle // guarded by mu, as all below
	throttler adaptivethrottler.AdaptiveThrottler[any]
	tally     tally     // what came to an outcome; the faults are rejections
	rejected  time.Time // when the server did so last, zero if never
}

func newLoad(cfg policy.Throttle) *load {
	return &load{cfg: cfg, throttler: newThrottler(cfg), tally: tally{slice: cfg.Window / numSlices}}
}

func newThrottler(cfg policy.Throttle) adaptivethrottler.AdaptiveThrottler[any] {
	return adaptivethrottler.NewBuilder[any]().
		WithFailureRateThreshold(cfg.Ratio, uint(cfg.MinCalls), cfg.Window).
		WithMaxRejectionRate(cfg.MaxRefused).
		Build()
}

// change has what is counted judged by other settings. What is known counts for
// the rest of a window as if it had come just now.
func (l *load) change(to policy.Throttle, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.cfg
	l.cfg = to
	if from.Ratio == to.Ratio && from.MinCalls == to.MinCalls && from.Window == to.Window && from.MaxRefused == to.MaxRefused {
		return
	}
	l.throttler = newThrottler(to)
	if from.Window != to.Window {
		l.tally = tally{slice: to.Window / numSlices}
		return
	}
	known := l.tally.sum(now)
	for range known.calls - known.faults {
		l.throttler.RecordSuccess()
	}
	for range known.faults {
		l.throttler.RecordFailure()
	}
}

// excess returns the share of requests that should not be sent now.
func (l *load) excess(now time.Time) float64 {
	l.mu.Lock()
	calm := now.Sub(l.rejected) >= l.cfg.Window
	throttler := l.throttler
	l.mu.Unlock()
	if calm {
		return 0
	}
	throttler.TryAcquirePermit() // for the rate, which it only then brings up to date
	return throttler.RejectionRate()
}

// count takes the outcome of a request.
func (l *load) count(c policy.Class, now time.Time) {
	rejection := isRejection(c)
	if !rejection && !isUp(c) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tally.isRewound(now) {
		l.throttler, l.tally = newThrottler(l.cfg), tally{slice: l.tally.slice}
	}
	l.tally.add(now, rejection, false)
	if rejection {
		l.rejected = now
		l.throttler.RecordFailure()
	} else {
		l.throttler.RecordSuccess()
	}
}

// isRejection reports whether an outcome is a server's way to say that it has too
// much to do.
func isRejection(c policy.Class) bool {
	switch c {
	case policy.Overloaded, policy.RateLimited, policy.TimedOut:
		return true
	}
	return false
}
