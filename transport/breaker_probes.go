package transport

import "time"

// probes are the requests that a half-open breaker lets through. Each holds a
// lease, so that one that hangs does not keep its place for ever.
type probes struct {
	leases []lease // of those under way, oldest first
	last   uint64  // lease
	good   int     // how many ended well
}

type lease struct {
	id      uint64
	expires time.Time
}

// live returns how many probes are under way.
func (p *probes) live() int { return len(p.leases) }

// expiry returns when the first lease ends, zero without one.
func (p *probes) expiry() time.Time {
	if len(p.leases) == 0 {
		return time.Time{}
	}
	return p.leases[0].expires
}

// begin returns the lease of a new probe, which is never zero.
func (p *probes) begin(expires time.Time) (id uint64) {
	p.last++
	p.leases = append(p.leases, lease{id: p.last, expires: expires})
	return p.last
}

// end takes a lease back.
func (p *probes) end(id uint64) {
	for i, l := range p.leases {
		if l.id == id {
			p.leases = append(p.leases[:i], p.leases[i+1:]...)
			return
		}
	}
}
