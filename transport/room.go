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
// It lets nothing through: who asks has no claim to the room. What the passing of time
// has made due in a breaker comes about, and is announced by the next request. Of a
// request, it looks at what the keys of [PerKey] are made of. It looks no further than a
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
	m.tickLocked(now) // who asks here sends nothing before that is done
	switch {
	case m.observesLocked(), m.state == policy.Closed:
		return math.MaxInt, 0
	case m.state != policy.HalfOpen:
		return 0, timeUntil(m.until, now)
	}
	if n := m.cfg.Probes - m.probes.live(); n > 0 {
		return n, 0
	}
	return 0, timeUntil(m.probes.expiry(), now)
}

// timeUntil returns how long it is until a time, zero if that is past or not set.
func timeUntil(t, now time.Time) time.Duration { return max(0, t.Sub(now)) }

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
