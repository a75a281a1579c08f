package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// machine is the state machine of a breaker. It is told the time, and returns the
// transitions for others to announce. Permits belong to a generation, that is to
// one stay in one state: the outcome of a call that began in an earlier one counts
// for nothing.
type machine struct {
	// calm is the generation while the breaker is closed and no time that was set by
	// hand is still to come, else zero. It lets calls begin without the lock.
	calm atomic.Uint64

	mu         sync.Mutex
	cfg        policy.Breaker // guarded by mu, as all below
	state      policy.BreakerState
	generation uint64          // counts stays in a state, from 1
	recent     *recent         // calls of a closed breaker
	probes     probes          // of one that is half open
	openings   int             // in a row, without a close between them
	until      time.Time       // when an open or isolated breaker becomes half open
	refusal    *policy.Refusal // with which it refuses until then
	order      order           // by hand, if one is in force
	last       policy.Transition
	news       []policy.Transition // that nobody has been told of yet
}

// An order is what was said by hand: isolate the breaker, or only observe.
type order struct {
	reason   string
	observe  bool
	until    time.Time // when observing ends, zero if it does not by itself
	isolated error     // with which an isolated breaker refuses
}

// A permit is the right to send one request. The zero permit is one whose outcome
// does not count.
type permit struct {
	generation uint64
	lease      uint64 // zero unless the request is a probe
}

func newMachine(cfg policy.Breaker) *machine {
	m := &machine{cfg: cfg}
	m.enterLocked(policy.Closed)
	m.updateCalmLocked()
	return m
}

// change gives the breaker other settings, for what it decides from now on. What it
// has counted is kept, unless it counts within another window now.
func (m *machine) change(to policy.Breaker, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.cfg
	m.cfg = to
	switch {
	case m.recent == nil:
	case windowOf(from) != windowOf(to):
		m.recent = newRecent(&m.cfg)
	case judgesOtherwise(from, to):
		m.recent.retune(now)
	}
}

// pass returns a permit at once if the breaker is closed and stays so for now.
func (m *machine) pass() (permit, bool) {
	generation := m.calm.Load()
	return permit{generation: generation}, generation != 0
}

// acquire returns a permit or a refusal, and the transitions that the passing of
// time brought about.
func (m *machine) acquire(now time.Time) (permit, []policy.Transition, *policy.Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tickLocked(now)
	p, refusal := m.admitLocked(now)
	if refusal != nil && m.observesLocked() {
		p, refusal = permit{}, nil
	}
	return p, m.takeNewsLocked(), refusal
}

func (m *machine) admitLocked(now time.Time) (permit, *policy.Refusal) {
	p := permit{generation: m.generation}
	switch m.state {
	case policy.Open, policy.Isolated:
		return p, m.refusal
	case policy.HalfOpen:
		if m.probes.live() >= m.cfg.Probes {
			return p, refusal("breaker_open", ErrOpen, m.probes.expiry())
		}
		p.lease = m.probes.begin(now, m.cfg.ProbeLease)
	}
	return p, nil
}

func refusal(reason string, err error, retryAt time.Time) *policy.Refusal {
	return &policy.Refusal{Layer: "breaker", Reason: reason, RetryAt: retryAt, Err: err}
}

// observesLocked reports whether nobody is refused. An isolated breaker refuses
// whatever its settings: it was said later, and by hand.
func (m *machine) observesLocked() bool {
	return m.state != policy.Isolated && (m.cfg.MetricsOnly || m.order.observe)
}

// settle takes a permit back with the outcome of its request, and returns the
// transitions that follow.
func (m *machine) settle(p permit, v policy.Verdict, slow bool, now time.Time) []policy.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.generation != m.generation {
		return nil
	}
	if m.tickLocked(now); p.generation == m.generation {
		m.countLocked(p, v, slow, now)
	}
	return m.takeNewsLocked()
}

// probeContinues renews the lease of a probe whose answer still comes. A probe that has
// lasted for a whole lease counts as ended: a stream may be long, and nobody waits for it.
func (m *machine) probeContinues(p permit, v policy.Verdict, slow bool, now time.Time) []policy.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.generation != m.generation {
		return nil
	}
	if m.tickLocked(now); p.generation == m.generation && !m.probes.renew(p.lease, now, m.cfg.ProbeLease) {
		m.countLocked(p, v, slow, now)
	}
	return m.takeNewsLocked()
}

func (m *machine) countLocked(p permit, v policy.Verdict, slow bool, now time.Time) {
	fault := v.Class.IsFault()
	switch m.state {
	case policy.Closed:
		if !fault && v.Class != policy.OK {
			return
		}
		if v.Class == policy.TimedOut && m.cfg.TolerateTimeouts && m.recent.hasSuccess(now) {
			return
		}
		if reason := m.recent.record(now, fault, slow); reason != "" {
			m.openLocked(v.Wait, policy.Transition{Trigger: policy.ByThreshold, Reason: reason, At: now})
		}
	case policy.HalfOpen:
		if !m.probes.end(p.lease) {
			return // it counted while its answer came
		}
		switch up := isUp(v.Class); {
		case fault, up && slow:
			m.openLocked(v.Wait, policy.Transition{Trigger: policy.ByProbe, At: now})
		case up:
			if m.probes.good++; m.probes.good >= m.cfg.Probes {
				m.moveLocked(policy.Transition{To: policy.Closed, Trigger: policy.ByProbe, At: now})
			}
		}
	}
}

// isUp reports whether a probe's outcome shows that the server is there, though
// the outcome need be no success.
func isUp(c policy.Class) bool {
	switch c {
	case policy.Canceled, policy.Refused, policy.Unknown:
		return false
	}
	return !c.IsFault()
}

// tickLocked does what the passing of time has made due.
func (m *machine) tickLocked(now time.Time) {
	if m.order.observe && isPast(m.order.until, now) {
		m.unobserveLocked(policy.ByExpiry, now)
	}
	switch m.state {
	case policy.Open, policy.Isolated:
		if isPast(m.until, now) {
			m.moveLocked(policy.Transition{To: policy.HalfOpen, Trigger: policy.ByExpiry, Reason: m.isolationLocked(), At: now})
		}
	case policy.HalfOpen:
		if isPast(m.probes.expiry(), now) {
			m.openLocked(0, policy.Transition{Trigger: policy.ByLease, At: now})
		}
	}
}

// isolationLocked returns the reason of an isolation, "" without one.
func (m *machine) isolationLocked() string {
	if m.state != policy.Isolated {
		return ""
	}
	return m.order.reason
}

// isPast reports whether a time that was set has come. The zero time never does.
func isPast(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// openLocked opens the breaker for as long as its past and the server suggest.
func (m *machine) openLocked(wait time.Duration, tr policy.Transition) {
	m.openings++
	tr.To, tr.Until = policy.Open, tr.At.Add(m.cfg.OpenTime(m.openings, wait, m.cfg.Random()))
	m.moveLocked(tr)
}

// moveLocked begins a stay in the state tr.To, until tr.Until.
func (m *machine) moveLocked(tr policy.Transition) {
	if m.state == policy.Closed {
		held := m.recent.figures(tr.At)
		tr.Calls, tr.Faults, tr.Slow = held.calls, held.faults, held.slow
	}
	tr.From = m.state
	if m.state == policy.Isolated && tr.To != policy.Isolated {
		m.order = order{}
	}
	m.until = tr.Until
	m.enterLocked(tr.To)
	m.recordLocked(tr)
}

func (m *machine) enterLocked(state policy.BreakerState) {
	m.state = state
	m.generation++
	m.probes = probes{}
	m.recent = nil
	m.refusal = nil
	switch state {
	case policy.Closed:
		m.recent = newRecent(&m.cfg)
		m.openings = 0
	case policy.Open:
		m.refusal = refusal("breaker_open", ErrOpen, m.until)
	case policy.Isolated:
		m.refusal = refusal("breaker_isolated", m.order.isolated, m.until)
	}
}

// recordLocked adds tr to the news.
func (m *machine) recordLocked(tr policy.Transition) {
	tr.Name = m.cfg.Name
	tr.MetricsOnly = m.observesLocked()
	m.last = tr
	m.news = append(m.news, tr)
	m.updateCalmLocked()
}

// updateCalmLocked sets calm by what the machine is like now.
func (m *machine) updateCalmLocked() {
	calm := uint64(0)
	if m.state == policy.Closed && m.order.until.IsZero() {
		calm = m.generation
	}
	m.calm.Store(calm)
}

// takeNewsLocked returns the news, for somebody to announce once the lock is free.
func (m *machine) takeNewsLocked() []policy.Transition {
	news := m.news
	m.news = nil
	return news
}

// snapshot returns what the breaker looks like at a time.
func (m *machine) snapshot(now time.Time) policy.BreakerSnapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := policy.BreakerSnapshot{Name: m.cfg.Name, State: m.state, Until: m.until, Last: m.last}
	if isPast(m.until, now) {
		s.State, s.Until = policy.HalfOpen, time.Time{}
	}
	switch s.State {
	case policy.Closed:
		held := m.recent.figures(now)
		s.Calls, s.Faults, s.Slow = held.calls, held.faults, held.slow
	case policy.HalfOpen:
		s.Probes = m.probes.live()
	case policy.Isolated:
		s.Reason = m.order.reason
	}
	observed := m.order.observe && !isPast(m.order.until, now)
	if observed {
		s.Reason, s.MetricsUntil = m.order.reason, m.order.until
	}
	s.MetricsOnly = s.State != policy.Isolated && (observed || m.cfg.MetricsOnly)
	return s
}
