package transport

import "time"

// pace is a token bucket whose rate learns: it falls when the server says that
// it was too high and climbs back to what is allowed. It is not safe for
// concurrent use.
type pace struct {
	allowed float64 // tokens per second, as set
	burst   float64

	current float64   // tokens per second, as learnt
	tokens  float64   // may be below zero: then somebody is early
	last    time.Time // when tokens was right
	cutAt   time.Time // when the server last said 429
	resume  time.Time // no token before, since the server said so
}

const (
	slowdown  = 0.7              // what a 429 leaves of the rate
	slowest   = 0.05             // share of the allowed rate that is always left
	recovery  = 0.1              // of the allowed rate, won back each second
	longPause = 60 * time.Second // the longest pause that a server is granted
)

func newPace(perSecond float64, burst int) *pace {
	return &pace{allowed: perSecond, current: perSecond, burst: float64(burst), tokens: float64(burst)}
}

// advance brings the tokens up to now. While the server has asked for a pause
// none come in.
func (p *pace) advance(now time.Time) {
	since := maxTime(p.last, p.resume)
	if p.last.IsZero() {
		since = now
	}
	p.last = maxTime(p.last, now)
	passed := now.Sub(since).Seconds()
	if passed <= 0 {
		return
	}
	p.tokens = min(p.burst, p.tokens+passed*p.current)
	p.current = min(p.allowed, p.current+passed*recovery*p.allowed)
}

// next returns how long it is until there is a token; zero or less means now.
func (p *pace) next(now time.Time) time.Duration { return p.after(now, 0) }

// after returns how long it is until there is a token for somebody with n others
// before him.
func (p *pace) after(now time.Time, n int) time.Duration {
	p.advance(now)
	pause := max(0, p.resume.Sub(now))
	missing := float64(n) + 1 - p.tokens
	if missing <= dust {
		return pause
	}
	// A nanosecond more, for a fraction of one that is cut off.
	return pause + time.Duration(missing/p.current*float64(time.Second)) + 1
}

// dust is what a sum of fractions may fall short of a whole token.
const dust = 1e-9

func (p *pace) take()   { p.tokens-- }
func (p *pace) refund() { p.tokens = min(p.burst, p.tokens+1) }

// slowDown takes note of a 429 to a request that began at began. Those that were
// sent before the last slowdown say nothing new.
func (p *pace) slowDown(began, now time.Time, wait time.Duration) {
	p.advance(now)
	if wait > 0 {
		p.resume = maxTime(p.resume, now.Add(min(wait, longPause)))
	}
	if began.Before(p.cutAt) {
		return
	}
	p.cutAt = now
	p.current = max(slowest*p.allowed, slowdown*p.current)
	p.tokens = min(p.tokens, 0)
}

// rate returns the rate that is let through now, in tokens per second.
func (p *pace) rate(now time.Time) float64 {
	p.advance(now)
	return p.current
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
