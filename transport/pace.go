package transport

import (
	"math"
	"time"
)

// pace is a token bucket whose rate adapts to the server's 429s, along a curve like that of
// CUBIC congestion control (RFC 9438 section 4.2). When the server complains, the rate
// falls, only by little if most of a climb had passed, for then the rate was about what
// the server allows. Then it climbs back, quickly at first, slowly near the rate at
// which the server complained, and faster and faster beyond, up to what is allowed. A
// climb lasts long enough that the complaints are few among the answers, and goes on
// only while the rate is used up: what nobody needs cannot be found to be too much.
// The tokens that may be saved up grow with the rate.
//
// It is not safe for concurrent use.
type pace struct {
	allowed float64 // tokens per second, as set
	full    float64 // most tokens: the burst, and what a nanosecond adds, since waits are rounded up

	tokens float64
	last   time.Time // when tokens was right

	learnt float64       // the rate at the last complaint; zero if there was none
	cut    float64       // the share of it that was taken away then
	cutAt  time.Time     // when that was
	climb  time.Duration // how long it takes to be back at that rate
	idle   time.Duration // for which the rate was not used up since
	resume time.Time     // no token before, since the server said so
}

const (
	slowdown  = 0.7              // what a complaint leaves of the rate
	nudge     = 0.9              // what one leaves that came in the second half of a climb
	perClimb  = 200              // a climb lasts for at least as many requests at that rate
	tripClimb = 50               // and for at least as many round trips, one after the other
	leastTime = 10 * time.Second // the shortest climb
	mostTime  = time.Minute      // the longest climb
	slowest   = 0.5              // tokens per second that complaints never take away
	leastLeft = 0.05             // the share of the allowed rate that does so, if it is less
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
	p.advance(now)
	return p.rateAt(now)
}

// rateAt is rate for a time up to which p was not idle since it was advanced.
func (p *pace) rateAt(at time.Time) float64 {
	if p.learnt == 0 {
		return p.allowed
	}
	left, cut := 1-p.climbed(at), p.cut
	if left < 0 {
		cut = 1
	}
	return min(p.allowed, max(p.floor(), p.learnt*(1-cut*left*left*left)))
}

// climbed returns how much of a climb is done, more than 1 beyond its end.
func (p *pace) climbed(at time.Time) float64 {
	return float64(max(0, at.Sub(latest(p.cutAt, p.resume))-p.idle)) / float64(p.climb)
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
		rate := p.rateAt(since)
		p.tokens += passed.Seconds() * rate
		if full := p.room(rate); p.tokens > full {
			p.idle += min(passed, seconds((p.tokens-full)/rate))
			p.tokens = full
		}
	}
	p.last = latest(p.last, now)
}

// room returns how many tokens are saved up at most at a rate.
func (p *pace) room(rate float64) float64 {
	return max(1+rate/float64(time.Second), p.full*min(1, rate/p.allowed))
}

// after returns how long it is at most until there is a token for somebody with
// n others before him; zero means now.
func (p *pace) after(now time.Time, n int) time.Duration {
	p.advance(now)
	pause := max(0, p.resume.Sub(now))
	wait := (float64(n) + 1 - p.tokens) / p.rateAt(now) * float64(time.Second)
	if wait <= waitEpsilon {
		return pause
	}
	return pause + time.Duration(math.Ceil(min(wait-waitEpsilon, forever)))
}

const (
	waitEpsilon = 1e-3    // nanoseconds by which a sum of fractions may be off
	forever     = 1 << 62 // nanoseconds, half of what a duration can hold
)

func (p *pace) take()   { p.tokens-- }
func (p *pace) refund() { p.tokens = min(p.full, p.tokens+1) }

// slowDown takes note of a server that complained about a request that began at
// began, and asked for a pause of wait. Requests that were sent before the last
// slowdown say nothing new.
func (p *pace) slowDown(began, now time.Time, wait time.Duration) {
	p.advance(now)
	rate, late := p.rateAt(now), p.learnt > 0 && p.climbed(now) > 0.5
	if wait > 0 {
		p.resume, p.idle = latest(p.resume, now.Add(min(wait, longPause))), 0 // the climb goes on from there
	}
	if began.Before(p.cutAt) {
		return
	}
	p.cut = 1 - slowdown
	if late {
		p.cut = 1 - nudge
	}
	p.learnt, p.cutAt, p.idle = rate, now, 0
	p.climb = min(max(leastTime, seconds(perClimb/rate), tripClimb*min(now.Sub(began), mostTime)), mostTime)
	p.tokens = min(p.tokens, 0)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
