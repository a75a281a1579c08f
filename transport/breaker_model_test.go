package transport_test

import (
	"math"
	"slices"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// What a call can come to, as a breaker sees it.
type outcome int

const (
	succeeds outcome = iota
	fails
	gives    // the caller gives up
	hurries  // the caller's deadline passes
	declines // the server is up, and says no
	outcomes
)

// model is a breaker that is too simple to be wrong: it keeps every call for ever
// and works out the rest.
type model struct {
	cfg    policy.Breaker
	random float64 // the same each time

	state policy.BreakerState
	stays int          // in a state, so far
	calls []*modelCall // let through, in the order in which they began
	ended []*modelCall // those of them that counted, in the order in which they ended
	opens int          // in a row
	until time.Time

	reason       string // of the order in force
	observed     bool   // by order
	observedTill time.Time

	changes []policy.Transition
}

// modelCall is a call that was let through.
type modelCall struct {
	stay    int // in which it began, -1 if nobody counts it
	began   time.Time
	expires time.Time
	probe   bool
	over    bool

	fault, slow bool      // if it counted
	at          time.Time // when it did
}

// live returns the probes that are under way.
func (m *model) live() []*modelCall {
	var live []*modelCall
	for _, c := range m.calls {
		if c.probe && !c.over && c.stay == m.stays {
			live = append(live, c)
		}
	}
	return live
}

// window returns what a closed breaker counts now.
func (m *model) window(now time.Time) (all, faults, slow int) {
	tenth := int64(m.cfg.Window / 10)
	for _, c := range slices.Backward(m.ended) {
		switch {
		case c.stay != m.stays:
			continue
		case m.cfg.LastCalls > 0 && all == m.cfg.LastCalls:
			continue
		case m.cfg.LastCalls <= 0 && now.UnixNano()/tenth-c.at.UnixNano()/tenth >= 10:
			continue
		}
		all++
		if c.fault {
			faults++
		}
		if c.slow {
			slow++
		}
	}
	return all, faults, slow
}

// begin lets a call through, or says until when not.
func (m *model) begin(now time.Time) (c *modelCall, refusal string, until time.Time) {
	m.pass(now)
	live := m.live()
	switch {
	case m.state == policy.Isolated:
		return nil, "breaker_isolated", m.until
	case m.state == policy.Open:
		refusal, until = "breaker_open", m.until
	case m.state == policy.HalfOpen && len(live) >= m.cfg.Probes:
		refusal, until = "breaker_open", firstExpiry(live)
	}
	c = &modelCall{stay: m.stays, probe: m.state == policy.HalfOpen, began: now, expires: now.Add(m.cfg.ProbeLease)}
	if refusal != "" {
		if !m.observes() {
			return nil, refusal, until
		}
		c = &modelCall{stay: -1}
	}
	m.calls = append(m.calls, c)
	return c, "", time.Time{}
}

// observes reports whether nobody is refused.
func (m *model) observes() bool {
	return m.state != policy.Isolated && (m.observed || m.cfg.MetricsOnly)
}

// pass lets time pass until now.
func (m *model) pass(now time.Time) {
	if m.observed && !m.observedTill.IsZero() && !now.Before(m.observedTill) {
		m.unobserve(policy.ByExpiry, now)
	}
	if m.waits() && !m.until.IsZero() && !now.Before(m.until) {
		tr := policy.Transition{To: policy.HalfOpen, Trigger: policy.ByExpiry, At: now}
		if m.state == policy.Isolated {
			tr.Reason = m.reason
		}
		m.change(tr)
	}
	if live := m.live(); len(live) > 0 && !now.Before(firstExpiry(live)) {
		m.open(policy.Transition{Trigger: policy.ByLease, At: now}, 0)
	}
}

// waits reports whether the state ends at until.
func (m *model) waits() bool { return m.state == policy.Open || m.state == policy.Isolated }

// firstExpiry returns when the first of the leases ends.
func firstExpiry(live []*modelCall) time.Time {
	return slices.MinFunc(live, func(a, b *modelCall) int { return a.expires.Compare(b.expires) }).expires
}

// goesOn takes note of a call whose body is read on.
func (m *model) goesOn(c *modelCall, slow bool, now time.Time) {
	if c.stay != m.stays || !c.probe {
		return
	}
	if m.pass(now); c.stay != m.stays || c.over {
		return
	}
	if now.Sub(c.began) < m.cfg.ProbeLease {
		c.expires = now.Add(m.cfg.ProbeLease)
		return
	}
	m.end(c, succeeds, slow, 0, now)
}

// end counts the outcome of a call.
func (m *model) end(c *modelCall, o outcome, slow bool, wait time.Duration, now time.Time) {
	if c.stay != m.stays {
		return
	}
	if m.pass(now); c.stay != m.stays || c.over {
		return
	}
	c.over = true
	if counts := o == succeeds || o == fails || o == declines && c.probe; !counts {
		return
	}
	c.fault, c.slow, c.at = o == fails, slow && m.cfg.SlowCall > 0, now
	m.ended = append(m.ended, c)
	if c.probe {
		m.judgeProbes(c, wait)
	} else {
		m.judgeWindow(wait, now)
	}
}

func (m *model) judgeProbes(last *modelCall, wait time.Duration) {
	good := 0
	for _, c := range m.ended {
		if c.stay == m.stays && !c.fault && !c.slow {
			good++
		}
	}
	tr := policy.Transition{Trigger: policy.ByProbe, At: last.at}
	switch {
	case last.fault || last.slow:
		m.open(tr, wait)
	case good >= m.cfg.Probes:
		tr.To = policy.Closed
		m.change(tr)
	}
}

func (m *model) judgeWindow(wait time.Duration, now time.Time) {
	all, faults, slow := m.window(now)
	tr := policy.Transition{Trigger: policy.ByThreshold, At: now}
	switch {
	case all < m.cfg.MinCalls:
	case m.tooMany(faults, all, m.cfg.Ratio):
		tr.Reason = "faults"
		m.open(tr, wait)
	case m.cfg.SlowCall > 0 && m.tooMany(slow, all, m.cfg.SlowRatio):
		tr.Reason = "slow calls"
		m.open(tr, wait)
	}
}

func (m *model) tooMany(bad, all int, ratio float64) bool {
	if m.cfg.LastCalls > 0 {
		return float64(bad) > ratio*float64(m.cfg.LastCalls)-0.001
	}
	return math.Round(100*float64(bad)/float64(all)) >= math.Round(100*ratio)
}

func (m *model) open(tr policy.Transition, wait time.Duration) {
	open := m.cfg.OpenFor << m.opens
	m.opens++
	if wait > open {
		open = wait
	}
	if m.cfg.Jitter > 0 {
		open += time.Duration(m.random * m.cfg.Jitter * float64(open))
	}
	tr.To, tr.Until = policy.Open, tr.At.Add(min(open, m.cfg.MaxOpenFor))
	m.change(tr)
}

// change begins a stay in another state.
func (m *model) change(tr policy.Transition) {
	if m.state == policy.Closed {
		tr.Calls, tr.Faults, tr.Slow = m.window(tr.At)
	}
	if tr.To == policy.Closed {
		m.opens = 0
	}
	tr.From = m.state
	m.state, m.until = tr.To, tr.Until
	m.stays++
	m.announce(tr)
}

func (m *model) announce(tr policy.Transition) {
	tr.MetricsOnly = m.observes()
	m.changes = append(m.changes, tr)
}

func (m *model) isolate(reason string, until, now time.Time) {
	if m.pass(now); until.IsZero() || until.After(now) {
		m.observed, m.reason = false, reason
		m.change(policy.Transition{To: policy.Isolated, Trigger: policy.ByHand, Reason: reason, At: now, Until: until})
	}
}

func (m *model) observe(reason string, until, now time.Time) {
	if m.pass(now); !until.IsZero() && !until.After(now) {
		return
	}
	if m.state == policy.Isolated {
		m.release(now)
	}
	m.observed, m.reason, m.observedTill = true, reason, until
	m.announce(policy.Transition{From: m.state, To: m.state, Trigger: policy.ByHand, Reason: reason, At: now, Until: until})
}

func (m *model) unobserve(trigger policy.Trigger, now time.Time) {
	m.observed = false
	m.announce(policy.Transition{From: m.state, To: m.state, Trigger: trigger, Reason: m.reason, At: now})
}

func (m *model) release(now time.Time) {
	m.pass(now)
	if m.observed {
		m.unobserve(policy.ByHand, now)
	}
	if m.state == policy.Isolated {
		m.change(policy.Transition{To: policy.HalfOpen, Trigger: policy.ByHand, Reason: m.reason, At: now})
	}
}

func (m *model) closes(reason string, now time.Time) {
	m.pass(now)
	m.observed = false
	m.change(policy.Transition{To: policy.Closed, Trigger: policy.ByHand, Reason: reason, At: now})
}

// next is when something happens by itself, zero if never.
func (m *model) next() time.Time {
	if live := m.live(); len(live) > 0 {
		return firstExpiry(live)
	}
	if m.waits() {
		return m.until
	}
	return m.observedTill
}

// snapshot is what Snapshot should say.
func (m *model) snapshot(now time.Time) policy.BreakerSnapshot {
	s := policy.BreakerSnapshot{State: m.state}
	if m.waits() {
		s.Until = m.until
		if !m.until.IsZero() && !now.Before(m.until) {
			s.State, s.Until = policy.HalfOpen, time.Time{}
		}
	}
	if s.State == policy.Closed {
		s.Calls, s.Faults, s.Slow = m.window(now)
	}
	s.Probes = len(m.live())
	if s.State == policy.Isolated {
		s.Reason = m.reason
	} else {
		s.MetricsOnly = m.cfg.MetricsOnly
		if m.observed && (m.observedTill.IsZero() || now.Before(m.observedTill)) {
			s.MetricsOnly, s.MetricsUntil, s.Reason = true, m.observedTill, m.reason
		}
	}
	if n := len(m.changes); n > 0 {
		s.Last = m.changes[n-1]
	}
	return s
}
