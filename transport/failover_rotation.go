package transport

import (
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// rotation is the health of endpoints, and the choice among them. Sets of
// endpoints are bits by index.
type rotation struct {
	cfg policy.Failover
	all uint64

	mu      *sync.Mutex // of all rotations that share members
	members []*member   // guarded by mu
}

// A member is the state of an endpoint.
type member struct {
	weight float64
	away   bool // in another region than we are

	ailing       bool      // false if no field of this paragraph needs a look
	faults       int       // in a row
	slows        int       // answers in a row that took too long
	ejections    int       // in a row
	ejectedUntil time.Time // until when it is ejected, zero if it is not
	slow         bool      // it is ejected because it is slow, and still asked if nobody else is left
	slowStartAt  time.Time // when its slow start began, zero if it is over
	since        time.Time // requests that began earlier tell nothing of its health
	unproven     bool      // it is back because its time is up: one request at a time waits for its header
	onTrial      bool      // that request is under way
	restUntil    time.Time // until when the server asked for no requests

	credit     float64   // of the smooth weighted round robin
	latency    float64   // peak-sensitive average in nanoseconds, zero if not known
	latencyAt  time.Time // when the average was last updated
	p90        float64   // 90th percentile of the latency in nanoseconds, zero if not known
	answeredAt time.Time // when the p90 was last updated
	timed      int       // answers that the p90 has seen
	inFlight   int
	unheard    int       // requests that began after since and have no outcome yet
	heardAt    time.Time // when one had its outcome last, or when unheard rose from zero
	asked      int64     // requests ever
	billed     int64     // of those, the ones that may have been processed
	faulty     int64     // of those, the ones that ended in a fault
	probes     probeCount
}

// restAtMost bounds how long a Retry-After keeps an endpoint out of the choice.
const restAtMost = 60 * time.Second

// leastShare is what an endpoint gets at the beginning of its slow start.
const leastShare = 0.1

func newRotation(cfg policy.Failover) *rotation {
	r := &rotation{cfg: cfg, mu: new(sync.Mutex), members: make([]*member, len(cfg.Endpoints))}
	for i, e := range cfg.Endpoints {
		r.all |= 1 << i
		r.members[i] = &member{weight: e.Weight, away: cfg.Region != "" && e.Region != cfg.Region}
	}
	return r
}

// first returns the index of the endpoint that an attempt goes to first, and takes
// it for asked, from start on.
func (r *rotation) first(t *tried, key string) (index int, start time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	start = time.Now() // under the lock, and so after everything that is known
	index = r.chooseLocked(start, t, key, true)
	r.members[index].beginLocked(start)
	return index, start
}

// another returns the index of an endpoint to ask after others have failed, or -1
// if there is none.
func (r *rotation) another(now time.Time, t *tried, key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chooseLocked(now, t, key, false)
}

// chooseLocked returns -1 if there is none to ask, which cannot be if the choice is
// a fresh one: the first of an attempt.
func (r *rotation) chooseLocked(now time.Time, t *tried, key string, fresh bool) int {
	r.missLocked(now)
	pool := t.from(r.availableLocked(now), r.all, fresh)
	if pool == 0 {
		return -1
	}
	return r.pickLocked(now, r.preferredLocked(now, pool), key)
}

// availableLocked returns those that may be asked: the ones in rotation and not at
// rest, or all when too few are well.
func (r *rotation) availableLocked(now time.Time) uint64 {
	in, resting, well := r.all, uint64(0), len(r.members)
	for i, m := range r.members {
		if !m.ailing {
			continue
		}
		m.returnLocked(now, r.cfg.Ejection)
		if m.failsLocked() {
			in &^= 1 << i
		}
		if m.faults >= r.cfg.Ejection.Faults {
			well--
		}
		if now.Before(m.restUntil) {
			resting |= 1 << i
		}
		m.ailing = !m.isFineLocked(now)
	}
	if float64(well) < r.cfg.Ejection.PanicBelow*float64(len(r.members)) || in == 0 {
		in = r.all
	}
	return orElse(in&^resting, in)
}

// failsLocked reports whether m is out because it fails.
func (m *member) failsLocked() bool { return !m.ejectedUntil.IsZero() && !m.slow }

// isFineLocked reports whether there is nothing to say about m.
func (m *member) isFineLocked(now time.Time) bool {
	return m.faults == 0 && m.ejectedUntil.IsZero() && m.slowStartAt.IsZero() && !m.unproven && !now.Before(m.restUntil)
}

// returnLocked takes m back into the rotation if its time is up, or nothing is ejected
// any more. Until it has proven itself, one fault, and it is out again.
func (m *member) returnLocked(now time.Time, e policy.Ejection) {
	if e.Off && !m.ejectedUntil.IsZero() {
		m.rejoinLocked(now, e)
	}
	if !m.ejectedUntil.IsZero() && !now.Before(m.ejectedUntil) {
		wasSlow := m.slow
		m.rejoinLocked(m.ejectedUntil, e)
		m.faults = e.Faults - 1
		if wasSlow {
			m.slows = e.Faults - 1
		}
		m.unproven, m.onTrial = true, false
	}
}

func (m *member) rejoinLocked(at time.Time, e policy.Ejection) {
	m.ejectedUntil, m.slow, m.faults, m.slows = time.Time{}, false, 0, 0
	m.startOverLocked(at)
	if e.SlowStart > 0 {
		m.slowStartAt = at
	}
}

// preferredLocked leaves out of pool those that are in slow start and not to be
// asked this time, those that are slow, and those that are far away, as long as
// others are left.
func (r *rotation) preferredLocked(now time.Time, pool uint64) uint64 {
	var warming, slow, away uint64
	for rest := pool; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		m := r.members[i]
		if m.away {
			away |= 1 << i
		}
		if !m.ailing {
			continue
		}
		if m.unproven && m.onTrial || !m.slowStartAt.IsZero() && r.cfg.Random() >= m.slowStartShareLocked(now, r.cfg.Ejection.SlowStart) {
			warming |= 1 << i
		}
		if m.slow {
			slow |= 1 << i
		}
	}
	for _, last := range [...]uint64{warming, slow, away} {
		pool = orElse(pool&^last, pool)
	}
	return pool
}

// slowStartShareLocked returns how much of its usual traffic m gets in its slow start.
func (m *member) slowStartShareLocked(now time.Time, slowStart time.Duration) float64 {
	return max(leastShare, float64(now.Sub(m.slowStartAt))/float64(slowStart))
}

func orElse(set, other uint64) uint64 {
	if set != 0 {
		return set
	}
	return other
}

// begin says that a request goes to an endpoint, from start on.
func (r *rotation) begin(index int) (start time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	start = time.Now()
	r.members[index].beginLocked(start)
	return start
}

func (m *member) beginLocked(now time.Time) {
	m.inFlight++
	m.asked++
	m.onTrial = m.unproven
	if m.unheard++; m.unheard == 1 {
		m.heardAt = now
	}
}

// answered says how long an endpoint took to the header, or to a timeout, and whether
// the caller waits no longer. It reports whether that timeout tells nothing of the
// endpoint: the caller gave it less time than it usually needs.
func (r *rotation) answered(index int, start time.Time, v policy.Verdict, left bool) (hasty bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[index]
	if !start.Before(m.since) {
		m.unheard = max(0, m.unheard-1)
	}
	m.heardAt = now
	latency := float64(now.Sub(start))
	hasty = left && v.Class == policy.TimedOut && latency < m.p90
	if v.Class == policy.OK || v.Class == policy.TimedOut && !hasty {
		m.measureLocked(now, latency)
	}
	if v.Class == policy.OK && !start.Before(m.since) {
		m.onTrial = false // its body may be a stream of minutes
		r.timedLocked(now, m, latency)
	}
	if v.Executed != policy.NotExecuted && v.Class != policy.Refused {
		m.billed++
	}
	return hasty
}

// isHasty reports whether a caller whose deadline came in the middle of a body, for
// more of which he had waited since then, if he had, gave the endpoint less time than
// it usually needs to its header.
func (r *rotation) isHasty(index int, waiting time.Time) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return waiting.IsZero() || float64(now.Sub(waiting)) < r.members[index].p90
}

// end says what became of a request to an endpoint.
func (r *rotation) end(to *endpoint, start time.Time, v policy.Verdict) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[to.index]
	m.inFlight--
	if !start.Before(m.since) {
		m.onTrial = false
	}
	switch effectOf(v, to.hasCredentials) {
	case isFault:
		m.faulty++
		if !start.Before(m.since) {
			r.faultLocked(now, m)
		}
	case wantsRest:
		if until := now.Add(min(v.Wait, restAtMost)); until.After(m.restUntil) {
			m.restUntil, m.ailing = until, true
		}
	case isWell:
		if !start.Before(m.since) {
			m.wellLocked(now, r.cfg.Ejection)
		}
	}
}

// faultLocked counts a fault, and ejects m if there are too many.
func (r *rotation) faultLocked(now time.Time, m *member) {
	m.ailing = true
	if m.faults++; m.faults >= r.cfg.Ejection.Faults && !m.failsLocked() && r.mayEjectLocked(m, (*member).failsLocked) {
		r.ejectLocked(now, m, false)
	}
}

// mayEjectLocked reports whether m may go out beside the others that are out.
func (r *rotation) mayEjectLocked(m *member, isOut func(*member) bool) bool {
	e := r.cfg.Ejection
	out := 1
	for _, other := range r.members {
		if other != m && isOut(other) {
			out++
		}
	}
	return !e.Off && len(r.members) > 1 && out <= max(1, int(e.MaxShare*float64(len(r.members))))
}

func (r *rotation) ejectLocked(now time.Time, m *member, slow bool) {
	m.ailing = true
	m.ejections++
	m.ejectedUntil, m.slowStartAt = now.Add(r.cfg.Ejection.ForEjection(m.ejections)), time.Time{}
	m.startOverLocked(now)
	m.slow, m.unproven, m.slows = slow, false, 0
}

// startOverLocked makes what began before a time say nothing of m.
func (m *member) startOverLocked(at time.Time) { m.since, m.unheard = at, 0 }

// wellLocked says that m works.
func (m *member) wellLocked(now time.Time, e policy.Ejection) {
	m.faults, m.unproven = 0, false
	switch {
	case !m.ejectedUntil.IsZero(): // it was asked because too few are well
		m.rejoinLocked(now, e)
	case m.slowStartAt.IsZero(), now.Sub(m.slowStartAt) >= e.SlowStart:
		m.slowStartAt, m.ejections = time.Time{}, 0
	}
}

// An effect is what an outcome says about an endpoint.
type effect uint8

const (
	saysNothing effect = iota
	isFault
	wantsRest
	isWell
)

func effectOf(v policy.Verdict, ownCredentials bool) effect {
	switch v.Class {
	case policy.RateLimited, policy.Overloaded:
		switch {
		case v.Wait > 0:
			return wantsRest
		case v.Class == policy.Overloaded:
			return isFault
		}
		return saysNothing
	case policy.Unauthenticated, policy.QuotaExceeded:
		if ownCredentials {
			return isFault
		}
		return saysNothing // of the others' credentials
	case policy.Unknown, policy.Canceled, policy.Refused:
		return saysNothing
	}
	if v.Class.IsFault() {
		return isFault
	}
	return isWell
}

// latencyDecay is the time in which what was measured loses most of its weight.
const latencyDecay = 10 * time.Second

// measureLocked adds a latency to the average, a peak EWMA: a latency above the average
// replaces it, one below counts the more the longer ago the last one was.
func (m *member) measureLocked(now time.Time, latency float64) {
	if keep := m.decayLocked(now); latency >= m.latency*keep {
		m.latency = latency
	} else {
		m.latency = m.latency*keep + latency*(1-keep)
	}
	m.latencyAt = now
}

// latencyLocked returns how long an answer takes, as far as can be told now: the
// average, or what those that are waited for take already.
func (m *member) latencyLocked(now time.Time) float64 {
	latency := m.latency * m.decayLocked(now)
	if m.unheard > 0 {
		latency = max(latency, float64(now.Sub(m.heardAt)))
	}
	return latency
}

// decayLocked returns the weight of the average now.
func (m *member) decayLocked(now time.Time) float64 {
	return math.Exp(-float64(max(0, now.Sub(m.latencyAt))) / float64(latencyDecay))
}
