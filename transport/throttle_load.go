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
	window    time.Duration
	throttler adaptivethrottler.AdaptiveThrottler[any]

	mu       sync.Mutex
	rejected time.Time // when the server did so last, zero if never; guarded by mu
}

func newLoad(cfg policy.Throttle) *load {
	return &load{
		window: cfg.Window,
		throttler: adaptivethrottler.NewBuilder[any]().
			WithFailureRateThreshold(cfg.Ratio, uint(cfg.MinCalls), cfg.Window).
			WithMaxRejectionRate(cfg.MaxRefused).
			Build(),
	}
}

// excess returns the share of requests that should not be sent now.
func (l *load) excess(now time.Time) float64 {
	l.mu.Lock()
	calm := l.rejected.IsZero() || now.Sub(l.rejected) >= l.window
	l.mu.Unlock()
	if calm {
		return 0
	}
	l.throttler.TryAcquirePermit() // for the rate, which it only then brings up to date
	return l.throttler.RejectionRate()
}

// count takes the outcome of a request.
func (l *load) count(c policy.Class, now time.Time) {
	switch {
	case isRejection(c):
		l.throttler.RecordFailure()
		l.mu.Lock()
		l.rejected = now
		l.mu.Unlock()
	case isUp(c):
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
