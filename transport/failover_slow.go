package transport

import (
	"time"

	"github.com/sparekey/sparekey/policy"
)

const (
	usualUp   = 1.05                           // by which a slower answer moves what is usual,
	usualDown = 1.0054                         // and a quicker one: nine of those are as much
	usualFor  = time.Minute                    // for which that is compared with others
	neverSlow = float64(10 * time.Millisecond) // what takes no longer is not slow
)

// timedLocked takes note of how long an answer of m took. Too many in a row that
// took too long, and m is asked only if nobody else is left.
func (r *rotation) timedLocked(now time.Time, m *member, latency float64) {
	yardstick := 0.0
	if latency > neverSlow {
		yardstick = r.yardstickLocked(now, m)
	}
	switch slow := r.isSlow(latency, yardstick); {
	case slow && !m.out.IsZero(): // it was asked all the same
		m.slow, m.faults = true, 0
		m.startOverLocked(now) // what becomes of this answer does not bring it back
	case slow:
		if m.slows++; m.slows >= r.cfg.Ejection.Faults && r.setAsideLocked(now, m, yardstick) {
			return
		}
	default:
		if m.slows = 0; m.unproven {
			m.usual = latency // things may be different from what they were
		}
	}
	m.usualLocked(now, latency)
}

// missLocked looks for members that are waited for in vain: as many answers as put
// one out are to come, and there was none for as long as would be too long for each.
func (r *rotation) missLocked(now time.Time) {
	for _, m := range r.members {
		if m.unheard < r.cfg.Ejection.Faults || !m.out.IsZero() {
			continue
		}
		silence := float64(now.Sub(m.heardAt))
		if silence <= max(neverSlow, m.usual) {
			continue // as is usual
		}
		if yardstick := r.yardstickLocked(now, m); r.isSlow(silence, yardstick) {
			r.setAsideLocked(now, m, yardstick)
		}
	}
}

func (r *rotation) isSlow(latency, yardstick float64) bool {
	return yardstick > 0 && latency > r.cfg.Ejection.SlowerThan*yardstick
}

// setAsideLocked puts m out for being slow, if it may go, and reports that.
func (r *rotation) setAsideLocked(now time.Time, m *member, yardstick float64) bool {
	if !r.mayEjectLocked(m, func(other *member) bool { return !other.out.IsZero() }) {
		return false
	}
	r.ejectLocked(now, m, true)
	m.usual = yardstick // to be measured by when it comes back
	return true
}

// usualLocked moves what is usual a step towards a latency: a few that are far off
// hardly move it. It comes to what nine answers in ten keep to, so that where some
// questions take long, as many in a row as make m slow do not come by chance.
func (m *member) usualLocked(now time.Time, latency float64) {
	m.usualAt = now
	m.timed++
	switch {
	case m.usual == 0:
		m.usual = latency
	case latency > m.usual:
		m.usual *= usualUp
	case latency < m.usual:
		m.usual /= usualDown
	}
}

// yardstickLocked returns the latency with which that of m is compared, or zero if
// there is none: that of the quickest other one in rotation. In an order of preference
// those may not be asked at all, and may be quicker by their nature and yet not be
// preferred. So there it is what was usual of m, if that is more; at first, that of the
// one that m stands in for.
func (r *rotation) yardstickLocked(now time.Time, m *member) float64 {
	if r.cfg.Ejection.SlowerThan < 0 || r.cfg.Strategy == policy.LeastLatency {
		return 0
	}
	quickest := r.quickestLocked(now, m, func(other *member) bool { return other.out.IsZero() })
	if r.cfg.Strategy != policy.Ordered {
		return quickest
	}
	usual := m.usual
	if m.timed < r.cfg.Ejection.Faults {
		usual = r.quickestLocked(now, m, func(*member) bool { return true })
	}
	if usual == 0 {
		return 0
	}
	return max(usual, quickest)
}

// quickestLocked returns the latency of the quickest one other than m that counts, or
// zero if that is not known: what is usual of it, or what it takes now, if that is
// more. When all become slow at once, it is the requests.
func (r *rotation) quickestLocked(now time.Time, m *member, counts func(*member) bool) float64 {
	quickest := 0.0
	for _, other := range r.members {
		if other == m || !counts(other) || other.usual == 0 || now.Sub(other.usualAt) > usualFor {
			continue
		}
		if takes := max(other.usual, other.latencyLocked(now)); quickest == 0 || takes < quickest {
			quickest = takes
		}
	}
	return quickest
}
