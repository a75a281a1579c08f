package transport

import (
	"time"

	"github.com/sparekey/sparekey/policy"
)

const (
	p90Up     = 1.05                           // factor by which a slower answer raises the p90
	p90Down   = 1.0054                         // divisor by which a quicker one lowers it: nine of them undo one rise
	p90For    = time.Minute                    // after an answer, for which the p90 is compared with others
	neverSlow = float64(10 * time.Millisecond) // a latency up to this is not slow
)

// timedLocked takes note of how long an answer of m took. Too many in a row that
// took too long, and m is asked only if nobody else is left.
func (r *rotation) timedLocked(now time.Time, m *member, latency float64) {
	baseline := 0.0
	if latency > neverSlow {
		baseline = r.baselineLocked(now, m)
	}
	switch slow := r.isSlow(latency, baseline); {
	case slow && !m.ejectedUntil.IsZero(): // it was asked all the same
		m.slow, m.faults = true, 0
		m.startOverLocked(now) // what becomes of this answer does not bring it back
	case slow:
		if m.slows++; m.slows >= r.cfg.Ejection.Faults && r.setAsideLocked(now, m, baseline) {
			return
		}
	default:
		if m.slows = 0; m.unproven {
			m.p90 = latency // things may be different from what they were
		}
	}
	m.trackP90Locked(now, latency)
}

// missLocked looks for members that are waited for in vain: as many answers as put
// one out are to come, and there was none for as long as would be too long for each.
func (r *rotation) missLocked(now time.Time) {
	for _, m := range r.members {
		if m.unheard < r.cfg.Ejection.Faults || !m.ejectedUntil.IsZero() {
			continue
		}
		silence := float64(now.Sub(m.heardAt))
		if silence <= max(neverSlow, m.p90) {
			continue // as is usual
		}
		if baseline := r.baselineLocked(now, m); r.isSlow(silence, baseline) {
			r.setAsideLocked(now, m, baseline)
		}
	}
}

func (r *rotation) isSlow(latency, baseline float64) bool {
	return baseline > 0 && latency > r.cfg.Ejection.SlowerThan*baseline
}

// setAsideLocked puts m out for being slow, if it may go, and reports that.
func (r *rotation) setAsideLocked(now time.Time, m *member, baseline float64) bool {
	if !r.mayEjectLocked(m, func(other *member) bool { return !other.ejectedUntil.IsZero() }) {
		return false
	}
	r.ejectLocked(now, m, true)
	m.p90 = baseline // to be measured by when it comes back
	return true
}

// trackP90Locked moves the estimate of the 90th percentile a step towards a latency: a
// few that are far off hardly move it. A high percentile, so that where some questions
// take long, as many of them in a row as make m slow do not come by chance.
func (m *member) trackP90Locked(now time.Time, latency float64) {
	m.answeredAt = now
	m.timed++
	switch {
	case m.p90 == 0:
		m.p90 = latency
	case latency > m.p90:
		m.p90 *= p90Up
	case latency < m.p90:
		m.p90 /= p90Down
	}
}

// baselineLocked returns the latency with which that of m is compared, or zero if
// there is none: that of the quickest other member in rotation. With [policy.Ordered]
// the others may not be asked at all, or be quicker and yet not be preferred, so there
// it is the p90 of m itself, if that is more. While m is too new to have one, that of
// the quickest other member, ejected ones included, stands for it.
func (r *rotation) baselineLocked(now time.Time, m *member) float64 {
	if r.cfg.Ejection.SlowerThan < 0 || r.cfg.Strategy == policy.LeastLatency {
		return 0
	}
	quickest := r.quickestLocked(now, m, func(other *member) bool { return other.ejectedUntil.IsZero() })
	if r.cfg.Strategy != policy.Ordered {
		return quickest
	}
	own := m.p90
	if m.timed < r.cfg.Ejection.Faults {
		own = r.quickestLocked(now, m, func(*member) bool { return true })
	}
	if own == 0 {
		return 0
	}
	return max(own, quickest)
}

// quickestLocked returns the latency of the quickest member other than m that counts, or
// zero if that is not known: its p90, or what it takes now, if that is more. For when
// all become slow at once, the cause is the requests.
func (r *rotation) quickestLocked(now time.Time, m *member, counts func(*member) bool) float64 {
	quickest := 0.0
	for _, other := range r.members {
		if other == m || !counts(other) || other.p90 == 0 || now.Sub(other.answeredAt) > p90For {
			continue
		}
		if takes := max(other.p90, other.latencyLocked(now)); quickest == 0 || takes < quickest {
			quickest = takes
		}
	}
	return quickest
}
