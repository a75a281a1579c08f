package transport

import (
	"context"
	"errors"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// ErrIsolated is matched by every error with which a [Breaker] that was isolated
// by hand refuses a request. The error matches [ErrOpen], too, and its text has
// the reason that was given.
var ErrIsolated = errors.New("transport: circuit breaker is isolated")

// isolated is [ErrIsolated] with a reason.
type isolated struct{ reason string }

func (e *isolated) Error() string {
	if e.reason == "" {
		return ErrIsolated.Error()
	}
	return ErrIsolated.Error() + ": " + e.reason
}

func (e *isolated) Is(target error) bool { return target == ErrIsolated || target == ErrOpen }

// Isolate makes the breaker refuse every request until the time given, or, if
// that is zero, until it is released; then probes decide whether it closes. It
// takes the place of an earlier Isolate or Observe. A time that has passed
// isolates nobody. The reason is for people: it appears in the errors of the
// requests that are refused and in transitions.
func (b *Breaker) Isolate(reason string, until time.Time) {
	b.announceManual(b.machine.isolate(reason, until, time.Now()))
}

// Observe makes the breaker refuse nobody until the time given, or, if that is
// zero, until it is released: it counts and changes its state as before, and
// tells of it, but lets every request through. It takes the place of an earlier
// Isolate or Observe. A time that has passed changes nothing.
func (b *Breaker) Observe(reason string, until time.Time) {
	b.announceManual(b.machine.observe(reason, until, time.Now()))
}

// Release ends what Isolate or Observe began. A breaker that was isolated is half
// open then, since nobody knows how the server is; one that was observed refuses
// again as its state says. Otherwise Release does nothing.
func (b *Breaker) Release() { b.announceManual(b.machine.release(time.Now())) }

// Close closes the breaker by hand, whatever its state, and makes it forget all
// that it has counted. It ends what Isolate or Observe began.
func (b *Breaker) Close(reason string) { b.announceManual(b.machine.close(reason, time.Now())) }

// announceManual announces what was done by hand, and logs it: there is no call whose
// record it could be in.
func (b *Breaker) announceManual(news []policy.Transition) {
	ctx := context.Background()
	for _, tr := range news {
		telemetry.Changed(ctx, b.cfg.Logger, tr)
	}
	b.announce(ctx, news)
}

func (m *machine) isolate(reason string, until, now time.Time) []policy.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tickLocked(now); !isPast(until, now) {
		m.order = order{reason: reason, isolated: &isolated{reason: reason}}
		m.moveLocked(policy.Transition{To: policy.Isolated, Trigger: policy.ByHand, Reason: reason, Until: until, At: now})
	}
	return m.takeNewsLocked()
}

func (m *machine) observe(reason string, until, now time.Time) []policy.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tickLocked(now); isPast(until, now) {
		return m.takeNewsLocked()
	}
	if m.state == policy.Isolated {
		m.moveLocked(policy.Transition{To: policy.HalfOpen, Trigger: policy.ByHand, Reason: m.order.reason, At: now})
	}
	m.order = order{reason: reason, observe: true, until: until}
	m.recordLocked(policy.Transition{From: m.state, To: m.state, Trigger: policy.ByHand, Reason: reason, Until: until, At: now})
	return m.takeNewsLocked()
}

func (m *machine) release(now time.Time) []policy.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tickLocked(now)
	switch {
	case m.state == policy.Isolated:
		m.moveLocked(policy.Transition{To: policy.HalfOpen, Trigger: policy.ByHand, Reason: m.order.reason, At: now})
	case m.order.observe:
		m.unobserveLocked(policy.ByHand, now)
	}
	return m.takeNewsLocked()
}

func (m *machine) close(reason string, now time.Time) []policy.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tickLocked(now)
	m.order = order{}
	m.moveLocked(policy.Transition{To: policy.Closed, Trigger: policy.ByHand, Reason: reason, At: now})
	return m.takeNewsLocked()
}

// unobserveLocked makes the breaker refuse again.
func (m *machine) unobserveLocked(trigger policy.Trigger, now time.Time) {
	reason := m.order.reason
	m.order = order{}
	m.recordLocked(policy.Transition{From: m.state, To: m.state, Trigger: trigger, Reason: reason, At: now})
}
