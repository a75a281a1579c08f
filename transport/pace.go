package transport

import (
	"math"
	"time"
)

// pace is a token bucket whose rate learns. When the server says that it was too
// high, it falls; then it climbs back, quickly at first, slowly near the rate at
// which the server complained, and faster and faster beyond, up to what is
// allowed. It is not safe for concurrent use.
type pace struct {
	allowed float64 // tokens per second, as set
	full    float64 // tokens: the burst and what a nanosecond adds, for waits are rounded up

	tokens float64
	last   time.Time // when tokens was right

	learnt float64   // the rate at the last complaint; zero if there was none
	cutAt  time.Time // when that was
	resume time.Time // no token before, since the server said so
}

const (
	slowdown  = 0.7              // what a complaint leaves of the rate
	climb     = 5 * time.Second  // how long it takes to be back at that rate, at least
	perClimb  = 30               // requests that a climb lasts for, at least
	slowest   = 0.5              // tokens per second that are always left,
	leastLeft = 0.05             // or this share of the allowed rate, if that is less
	longPause = 60 * time.Second // the longest pause that a server is granted
)

func newPace(perSecond float64, burst int) *pace {
	p := &pace{tokens: float64(burst)}
	p.allow(perSecond, burst)
	return p
}

func (p *pace) allow(perSecond float64, burst int) {
	p.allowed, p.full = perSecond, float64(burst)+perSecond/float64(time.Second)
}

// change allows another rate from now on.
func (p *pace) change(perSecond float64, burst int, now time.Time) {
	p.advance(now)
	p.allow(perSecond, burst)
	p.tokens = min(p.tokens, float64(burst))
}

// rate returns the rate that is let through now, in tokens per second.
func (p *pace) rate(now time.Time) float64 {
	if p.learnt == 0 {
		return p.allowed
	}
	since := max(0, now.Sub(latest(p.cutAt, p.resume)).Seconds())
	left := 1 - since/max(climb.Seconds(), perClimb/p.learnt)
	return min(p.allowed, max(p.floor(), p.learnt*(1-(1-slowdown)*left*left*left)))
}

func (p *pace) floor() float64 { return min(slowest, leastLeft*p.allowed) }

// advance brings the tokens up to now. While the server has asked for a pause
// none come in.
func (p *pace) advance(now time.Time) {
	since := latest(p.last, p.resume)
	if p.last.IsZero() {
		since = now
	}
	if passed := now.Sub(since); passed > 0 {
		// The rate at the start is the one that the waits were worked out with.
		p.tokens = min(p.full, p.tokens+passed.Seconds()*p.rate(since))
	}
	p.last = latest(p.last, now)
}

// after returns how long it is at most until there is a token for somebody with
// n others before him; zero means now.
func (p *pace) after(now time.Time, n int) time.Duration {
	p.advance(now)
	pause := max(0, p.resume.Sub(now))
	wait := (float64(n) + 1 - p.tokens) / p.rate(now) * float64(time.Second)
	if wait <= dust {
		return pause
	}
	return pause + time.Duration(math.Ceil(min(wait-dust, forever)))
}

const (
	dust    = 1e-3    // nanoseconds by which a sum of fractions may be off
	forever = 1 << 62 // nanoseconds, half of what a duration can hold
)

func (p *pace) take()   { p.tokens-- }
func (p *pace) refund() { p.tokens = min(p.full, p.tokens+1) }

// slowDown takes note of a server that complained about a request that began at
// began, and asked for a pause of wait. Requests that were sent before the last
// slowdown say nothing new.
func (p *pace) slowDown(began, now time.Time, wait time.Duration) {
	p.advance(now)
	rate := p.rate(now)
	if wait > 0 {
		p.resume = latest(p.resume, now.Add(min(wait, longPause)))
	}
	if began.Before(p.cutAt) {
		return
	}
	p.learnt, p.cutAt = rate, now
	p.tokens = min(p.tokens, 0)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
