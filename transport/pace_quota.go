package transport

import (
	"math"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// quota keeps to what a server tells of its rate limit. While much is left it
// hardly holds anybody up; the less is left, the thinner it spreads that, so that
// some is left for others who share the account; when nothing is left it waits.
//
// Servers differ in what they call a reset. With some, all comes back at that
// moment; with others a little comes back all the time, and the reset is when all
// of it has. Their figures tell them apart: only with the latter does the reset
// move away as less is left.
//
// It is not safe for concurrent use.
type quota struct {
	rate   float64 // tokens per second, until the reset
	fresh  float64 // tokens per second that the server allows, after that
	full   float64 // the most tokens until the reset
	limit  float64 // the most after that; zero if it is not known
	tokens float64
	last   time.Time // when tokens was right

	resume time.Time // nobody goes on before
	reset  time.Time

	admitted uint64 // requests, ever
	heard    uint64 // of which one the figures are

	rolling bool // a little comes back all the time
	mark    policy.Quota
	markAt  time.Time // when mark was heard
}

const (
	// plenty is how many times faster than the server allows requests may go when
	// nothing of the limit is used. Where little comes back all the time, one in
	// plenty is what remains unused, as a reserve.
	plenty = 4

	shortestReset = 10 * time.Millisecond // less cannot be told from none
	longestReset  = 24 * time.Hour
	mostLeft      = 1e12

	slowestQuota = 1. / 60 // requests per second that are always left, as after longPause
)

func (q *quota) admit() uint64 {
	q.admitted++
	q.tokens = max(0, q.tokens-1)
	return q.admitted
}

// refund takes back the admission of the nth request. If others came after it, its
// number remains used: what follows is counted from theirs.
func (q *quota) refund(nth uint64) {
	if nth == q.admitted {
		q.admitted--
	}
	q.tokens++
}

// advance brings the tokens up to now.
func (q *quota) advance(now time.Time) {
	if until := earliest(now, q.reset); until.After(q.last) {
		q.tokens = min(q.full, q.tokens+until.Sub(q.last).Seconds()*q.rate)
		q.last = until
		if until.Equal(q.reset) {
			q.full, q.tokens = max(1, q.limit), max(1, q.tokens)
		}
	}
	if now.After(q.last) {
		q.tokens = min(q.full, q.tokens+max(0, now.Sub(latest(q.last, q.resume)).Seconds())*q.fresh)
		q.last = now
	}
}

// after returns how long it is at most until somebody with n others before him
// may go on; zero means now.
func (q *quota) after(now time.Time, n int) time.Duration {
	const epsilon = 1e-9 // tokens by which a sum of fractions may be off
	if q.limit == 0 && !now.Before(q.reset) {
		return max(0, q.resume.Sub(now)) // nobody knows how fast
	}
	q.advance(now)
	wait := max(0, q.resume.Sub(now))
	missing := float64(n) + 1 - q.tokens
	if missing <= epsilon {
		return wait
	}
	if now.Before(q.reset) {
		left := q.reset.Sub(now).Seconds()
		if left*q.rate >= missing {
			return max(wait, seconds(missing/q.rate))
		}
		missing = float64(n) + 1 - max(1, q.tokens+left*q.rate)
		wait = max(wait, q.reset.Sub(now))
	}
	if q.limit == 0 || missing <= epsilon {
		return wait
	}
	return wait + seconds(missing/q.fresh)
}

// observe takes note of the figures in the answer to the nth request.
func (q *quota) observe(f policy.Quota, nth uint64, now time.Time) {
	if nth <= q.heard {
		return // they are older than those that are known
	}
	first := q.heard == 0
	q.heard = nth
	q.advance(now)
	f = credible(f)
	q.watch(f, now)

	// Those that were sent since may not be among the used ones yet.
	left := max(0, f.Remaining-float64(q.admitted-nth))
	pause := q.spread(f, left)
	q.limit, q.full = f.Limit, max(1, left)
	q.reset, q.last = now.Add(f.Reset), now
	if f.Remaining == 0 {
		q.pause(pause, now)
	}
	if first {
		q.tokens = left
	}
	q.tokens = min(q.tokens, left)
}

// pause sees to it that nobody goes on for as long as that: the server said so, or
// a limit that does not count requests is used up, and nobody knows how many fit
// into what comes back.
func (q *quota) pause(wait time.Duration, now time.Time) {
	q.resume = latest(q.resume, now.Add(min(wait, longPause)))
}

// credible bounds figures to what a server can mean.
func credible(f policy.Quota) policy.Quota {
	f.Reset = min(max(f.Reset, shortestReset), longestReset)
	if f.Limit > mostLeft {
		f.Limit = 0
	}
	f.Remaining = min(f.Remaining, mostLeft)
	return f
}

// watch finds out how the limit comes back, and how fast.
func (q *quota) watch(f policy.Quota, now time.Time) {
	const slack = 50 * time.Millisecond // clocks of servers differ
	if f.Limit != q.mark.Limit {
		q.rolling, q.fresh, q.markAt = false, 0, time.Time{}
	}
	sameRound := !q.markAt.IsZero() && now.Before(q.markAt.Add(q.mark.Reset))
	switch {
	case !sameRound || f.Remaining > q.mark.Remaining:
		q.mark, q.markAt = f, now
	case f.Remaining < q.mark.Remaining && f.Reset > q.mark.Reset+slack:
		if !q.rolling {
			q.rolling, q.fresh = true, 0
		}
	case q.rolling && f.Reset < q.mark.Reset*3/4-time.Second:
		q.rolling, q.fresh = false, 0
	}
	if f.Limit == 0 {
		return
	}
	if q.rolling {
		q.follow((f.Limit - f.Remaining) / f.Reset.Seconds())
		return
	}
	if perSecond := max(slowestQuota, f.Limit/f.Reset.Seconds()); q.fresh == 0 || perSecond < q.fresh {
		q.fresh = perSecond // of what comes back at once, the longest wait is the round
	}
}

// follow smooths a rate that is worked out from rounded figures.
func (q *quota) follow(perSecond float64) {
	const weight = 1. / 4
	switch {
	case perSecond == 0: // all is there, whatever comes back
	case q.fresh == 0:
		q.fresh = max(slowestQuota, perSecond)
	default:
		q.fresh = max(slowestQuota, q.fresh+weight*(perSecond-q.fresh))
	}
}

// spread sets the rate for what is left, and returns how long to wait when it is
// nothing.
func (q *quota) spread(f policy.Quota, left float64) time.Duration {
	share := 0.
	if f.Limit > 0 {
		share = max(left, 0.5) / f.Limit
	}
	if !q.rolling || q.fresh == 0 {
		q.rate = max(left/f.Reset.Seconds()*max(1, plenty*share), slowestQuota)
		return f.Reset
	}
	q.rate = max(q.fresh*plenty*share, slowestQuota)
	return min(seconds(1/q.fresh), f.Reset)
}

// seconds returns n seconds, rounded up, as far as a duration goes.
func seconds(n float64) time.Duration {
	return time.Duration(math.Ceil(min(n*float64(time.Second), forever)))
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
