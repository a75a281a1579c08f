package transport

import (
	"slices"
	"time"
)

// probes are the requests that a half-open breaker lets through. Each holds a
// lease, so that one that hangs does not keep its place for ever. It is renewed while
// the answer comes.
type probes struct {
	leases []lease // of those under way, oldest first
	last   uint64  // lease
	good   int     // how many ended well
}

type lease struct {
	id             uint64
	began, expires time.Time
}

// live returns how many probes are under way.
func (p *probes) live() int { return len(p.leases) }

// expiry returns when the first lease ends, zero without one.
func (p *probes) expiry() (first time.Time) {
	for _, l := range p.leases {
		if first.IsZero() || l.expires.Before(first) {
			first = l.expires
		}
	}
	return first
}

// begin returns the lease of a new probe, which is never zero.
func (p *probes) begin(now time.Time, term time.Duration) (id uint64) {
	p.last++
	p.leases = append(p.leases, lease{id: p.last, began: now, expires: now.Add(term)})
	return p.last
}

// renew has a lease last for another term. It reports false, with nothing done, if the
// probe has been under way for a whole one.
func (p *probes) renew(id uint64, now time.Time, term time.Duration) bool {
	i := p.index(id)
	switch {
	case i < 0:
		return true
	case now.Sub(p.leases[i].began) >= term:
		return false
	}
	p.leases[i].expires = now.Add(term)
	return true
}

// end takes a lease back, and reports whether it was there.
func (p *probes) end(id uint64) bool {
	i := p.index(id)
	if i < 0 {
		return false
	}
	p.leases = slices.Delete(p.leases, i, i+1)
	return true
}

// index returns where a lease is, -1 for nowhere.
func (p *probes) index(id uint64) int {
	return slices.IndexFunc(p.leases, func(l lease) bool { return l.id == id })
}
