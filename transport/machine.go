package transport

import (
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/sparekey/sparekey/policy"
)

// machine is the state machine of a breaker: failsafe-go's circuit breaker
// counts and decides; around it stand what it lacks. Permits of half-open are
// leases that expire; a generation makes late outcomes count for nothing; the
// open time grows.
type machine struct {
	cfg policy.Breaker

	mu         sync.Mutex
	circuit    circuitbreaker.CircuitBreaker[any] // guarded by mu, as all below
	state      policy.BreakerState                // circuit's
	generation uint64                             // counts changes of state
	leases     []lease                            // probes under way, oldest first
	lastLease  uint64
	openings   int       // in a row, without a close between them
	until      time.Time // when an open breaker becomes half open
}

// A permit is the right to send one request.
type permit struct {
	generation uint64
	lease      uint64 // zero unless the request is a probe
}

// A lease is a permit in half-open. Its probe counts as a fault when it expires.
type lease struct {
	id      uint64
	expires time.Time
}

// never is the delay that failsafe-go's breaker gets: the machine itself decides
// when open ends, since only so can the time grow.
const never = 1<<63 - 1

func newMachine(cfg policy.Breaker) *machine {
	circuit := circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(cfg.Ratio, uint(cfg.MinCalls), cfg.Window).
		WithSuccessThreshold(uint(cfg.Probes)).
		WithDelay(never).
		Build()
	return &machine{cfg: cfg, circuit: circuit}
}

func (m *machine) current(now time.Time) policy.BreakerState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == policy.Open && !now.Before(m.until) {
		return policy.HalfOpen
	}
	return m.state
}

// acquire returns a permit or a refusal, and the change of state that the
// passing of time brought about, if any.
func (m *machine) acquire(now time.Time) (permit, *policy.Transition, *policy.Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var change *policy.Transition
	switch m.state {
	case policy.Closed:
		return permit{generation: m.generation}, nil, nil
	case policy.Open:
		if now.Before(m.until) {
			return permit{}, nil, refusal(m.until)
		}
		m.circuit.HalfOpen()
		change = m.moveLocked(policy.HalfOpen, 0, now)
	case policy.HalfOpen:
		if change = m.expireLocked(now); change != nil {
			return permit{}, change, refusal(m.until)
		}
	}
	if len(m.leases) >= m.cfg.Probes {
		return permit{}, change, refusal(m.leases[0].expires)
	}
	m.lastLease++
	m.leases = append(m.leases, lease{id: m.lastLease, expires: now.Add(m.cfg.ProbeLease)})
	return permit{generation: m.generation, lease: m.lastLease}, change, nil
}

// settle takes a permit back with the outcome of its request, and returns the
// change of state that follows.
func (m *machine) settle(p permit, v policy.Verdict, now time.Time) *policy.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.generation != m.generation {
		return nil
	}
	if change := m.expireLocked(now); change != nil {
		return change
	}
	if !m.returnLocked(p.lease) {
		return nil
	}
	switch {
	case v.Class.IsFault():
		m.circuit.RecordFailure()
	case v.Class == policy.OK, m.state == policy.HalfOpen && isUp(v.Class):
		m.circuit.RecordSuccess()
	}
	return m.followLocked(v.Wait, now)
}

// isUp reports whether a probe's outcome shows that the server is there, though
// the outcome is no success.
func isUp(c policy.Class) bool {
	switch c {
	case policy.Canceled, policy.Refused, policy.Unknown:
		return false
	}
	return !c.IsFault()
}

// returnLocked removes a lease and reports whether it was still good. A permit
// without a lease always is.
func (m *machine) returnLocked(id uint64) bool {
	if id == 0 {
		return true
	}
	for i, l := range m.leases {
		if l.id == id {
			m.leases = append(m.leases[:i], m.leases[i+1:]...)
			return true
		}
	}
	return false
}

// expireLocked counts probes whose time is up as faults.
func (m *machine) expireLocked(now time.Time) *policy.Transition {
	for len(m.leases) > 0 && !now.Before(m.leases[0].expires) {
		m.leases = m.leases[1:]
		m.circuit.RecordFailure()
		if change := m.followLocked(0, now); change != nil {
			return change
		}
	}
	return nil
}

// followLocked takes over the state that failsafe-go's breaker came to.
func (m *machine) followLocked(wait time.Duration, now time.Time) *policy.Transition {
	switch {
	case m.state != policy.Open && m.circuit.IsOpen():
		return m.moveLocked(policy.Open, wait, now)
	case m.state != policy.Closed && m.circuit.IsClosed():
		return m.moveLocked(policy.Closed, 0, now)
	}
	return nil
}

func (m *machine) moveLocked(to policy.BreakerState, wait time.Duration, now time.Time) *policy.Transition {
	change := &policy.Transition{Name: m.cfg.Name, From: m.state, To: to, At: now}
	m.state = to
	m.generation++
	m.leases = nil
	switch to {
	case policy.Open:
		m.until = now.Add(m.openTime(wait))
		m.openings++
		change.Until = m.until
	case policy.Closed:
		m.openings = 0
	}
	return change
}

// openTime doubles with each opening in a row. A server that says when to come
// back is taken at its word. Both are capped.
func (m *machine) openTime(wait time.Duration) time.Duration {
	open := m.cfg.OpenFor
	for range m.openings {
		if open >= m.cfg.MaxOpenFor/2 {
			open = m.cfg.MaxOpenFor
			break
		}
		open *= 2
	}
	return min(max(open, wait), m.cfg.MaxOpenFor)
}

func refusal(retryAt time.Time) *policy.Refusal {
	return &policy.Refusal{Layer: "breaker", Reason: "breaker_open", RetryAt: retryAt, Err: ErrOpen}
}
