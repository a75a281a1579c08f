package providersim

import (
	"math"
	"time"
)

// bucket is a token bucket. Its server's lock guards it.
type bucket struct {
	Limit
	level float64 // as of at
	at    time.Time
}

// A standing is what the header fields say of a limit.
type standing struct {
	limited   bool // there is a limit
	limit     int
	remaining int
	reset     time.Duration // until the bucket is full
	retry     time.Duration // until there is room for one call
}

// set changes the limit. The level stays, as far as the new bucket holds it.
func (b *bucket) set(l Limit, now time.Time) {
	l.Burst = max(l.Burst, 1)
	if b.fill(now); b.PerSecond == 0 {
		b.level = float64(l.Burst)
	}
	b.Limit = l
}

func (b *bucket) fill(now time.Time) {
	b.level = min(float64(b.Burst), b.level+b.PerSecond*now.Sub(b.at).Seconds())
	b.at = now
}

// take takes a token if there is one.
func (b *bucket) take(now time.Time) (standing, bool) {
	if b.PerSecond == 0 {
		return standing{}, true
	}
	const rounding = 1e-10
	b.fill(now)
	ok := b.level >= 1-rounding
	if ok {
		b.level = max(0, b.level-1)
	}
	return standing{
		limited:   true,
		limit:     b.Burst,
		remaining: int(b.level + rounding),
		reset:     b.until(float64(b.Burst)),
		retry:     b.until(1),
	}, ok
}

// until returns how long it takes to reach a level, rounded up to a millisecond. What
// takes longer than a century takes a century.
func (b *bucket) until(level float64) time.Duration {
	const century = 100 * 365 * 24 * 3600e3
	missing := max(0, level-b.level)
	return time.Duration(math.Ceil(min(missing/b.PerSecond*1e3-1e-6, century))) * time.Millisecond
}
