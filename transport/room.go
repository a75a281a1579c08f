package transport

import (
	"math"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// Room returns how many requests like req the breakers and limiters among the
// layers of rt would let through now, and, if none, how long at least until they
// would let one through, as far as they can tell; zero if they cannot. A rate has
// room for all as soon as it has a token: the others wait for theirs in the limiter.
// It is for those who have work that can wait, and better stays where it is until
// then.
//
// It looks and changes nothing: who asks has no claim to the room. Of a request, it
// looks at what the keys of [PerKey] are made of. It looks no further than a
// [Failover], as another endpoint may take what the first will not, and is
// math.MaxInt if nothing stands in the way. A nil rt is [http.DefaultTransport].
func Room(rt http.RoundTripper, req *http.Request) (n int, wait time.Duration) {
	now := time.Now()
	n = math.MaxInt
	for range maxWalk {
		switch layer := rt.(type) {
		case nil, *failover:
			return n, wait
		case *perKey:
			rt = layer.existing(layer.key(req))
			continue
		case interface {
			room(now time.Time) (int, time.Duration)
		}:
			room, longer := layer.room(now)
			n, wait = min(n, room), max(wait, longer)
		}
		_, rt, _ = look(rt)
	}
	return n, wait
}

// existing returns the layers for a key, without making or using them: none if the
// key has not been seen, since fresh ones let everything through.
func (p *perKey) existing(key string) http.RoundTripper {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k, ok := p.again.Peek(key); ok {
		return k.rt
	}
	if k, ok := p.once.Peek(key); ok {
		return k.rt
	}
	return p.next
}

func (b *breaker) room(now time.Time) (int, time.Duration) { return b.machine.room(now) }

func (m *machine) room(now time.Time) (int, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observesLocked() {
		return math.MaxInt, 0
	}
	switch m.state {
	case policy.Open, policy.Isolated:
		if !isPast(m.until, now) {
			return 0, timeUntil(m.until, now)
		}
		return m.cfg.Probes, 0 // half open as soon as somebody comes
	case policy.HalfOpen:
		if n := m.cfg.Probes - m.probes.live(); n > 0 {
			return n, 0
		}
		return 0, timeUntil(m.probes.expiry(), now)
	}
	return math.MaxInt, 0
}

// timeUntil returns how long it is until a time, zero if that is past or not set.
func timeUntil(t, now time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(0, t.Sub(now))
}

func (l *limiter) room(now time.Time) (int, time.Duration) { return l.gate.room(now) }

// room counts those who wait as if they were inside.
func (g *gate) room(now time.Time) (int, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting := g.queue.len()
	if wait := g.afterLocked(now, waiting); wait > 0 {
		return 0, wait
	}
	bound := g.boundLocked()
	if bound == 0 {
		return math.MaxInt, 0
	}
	return max(0, bound-g.inFlight-waiting), 0
}
