package nyckelsim

import (
	"net/http"
	"sync"
	"time"
)

// A limiter holds one account's two limits. Each refuses at once and neither
// knows of the other. It is safe for concurrent use.
type limiter struct {
	rate        int // calls in any one second; negative: no limit
	concurrency int // calls in flight; negative: no limit

	mu       sync.Mutex
	inFlight int
	admitted []time.Time // within the last second, oldest first; refusals do not count
}

// acquire admits a call that began at now, or returns a 429. The caller of an
// admitted call must release it.
func (l *limiter) acquire(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.concurrency >= 0 && l.inFlight >= l.concurrency {
		return failf(http.StatusTooManyRequests, "Too many requests in flight: the limit is %d.", l.concurrency)
	}
	if l.rate >= 0 {
		for len(l.admitted) > 0 && now.Sub(l.admitted[0]) >= time.Second {
			l.admitted = l.admitted[1:]
		}
		if len(l.admitted) >= l.rate {
			return failf(http.StatusTooManyRequests, "Too many requests: the limit is %d per second.", l.rate)
		}
		l.admitted = append(l.admitted, now)
	}
	l.inFlight++
	return nil
}

func (l *limiter) release() {
	l.mu.Lock()
	l.inFlight--
	l.mu.Unlock()
}
