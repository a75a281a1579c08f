package transport

import (
	"math"
	"math/bits"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// pickLocked returns the index of the member of pool that the strategy picks. The
// pool must not be empty.
func (r *rotation) pickLocked(now time.Time, pool uint64, key string) int {
	if r.cfg.Strategy == policy.Ordered || pool&(pool-1) == 0 {
		return bits.TrailingZeros64(pool)
	}
	switch r.cfg.Strategy {
	case policy.RoundRobin, policy.Weighted:
		return r.smoothWeightedLocked(pool)
	case policy.LeastLatency:
		return r.twoChoicesLocked(now, pool)
	default:
		return r.rendezvousLocked(pool, key)
	}
}

// smoothWeightedLocked is the smooth weighted round robin of nginx: in every turn
// each member of pool gains its weight as credit, and the one with the most is
// picked and pays what all have gained.
func (r *rotation) smoothWeightedLocked(pool uint64) int {
	best, total := -1, 0.0
	for ; pool != 0; pool &= pool - 1 {
		i := bits.TrailingZeros64(pool)
		m := r.members[i]
		share := 1.0
		if r.cfg.Strategy == policy.Weighted {
			share = m.weight
		}
		m.credit += share
		total += share
		if best < 0 || m.credit > r.members[best].credit {
			best = i
		}
	}
	r.members[best].credit -= total
	return best
}

// twoChoicesLocked returns the quicker of two members of pool picked at random (the
// power of two choices).
func (r *rotation) twoChoicesLocked(now time.Time, pool uint64) int {
	n := bits.OnesCount64(pool)
	first := min(int(r.cfg.Random()*float64(n)), n-1)
	second := min(int(r.cfg.Random()*float64(n-1)), n-2)
	if second >= first {
		second++
	}
	a, b := nth(pool, first), nth(pool, second)
	if r.members[b].costLocked(now) < r.members[a].costLocked(now) {
		return b
	}
	return a
}

// costLocked grows with the requests under way, and with the latency by its square:
// an endpoint that is ten times slower is worth asking when the other has a
// hundred times as many under way. One of which nothing is known comes first, for
// one request.
func (m *member) costLocked(now time.Time) float64 {
	waiting := float64(m.inFlight)
	if m.latency == 0 {
		return waiting * 1e40 // more than any that is known
	}
	latency := m.latencyLocked(now)
	return latency * latency * (waiting + 1)
}

// rendezvousLocked returns the member of pool that key stands for, by weighted
// rendezvous hashing: the one with the highest score, which depends on the member
// and the key alone.
func (r *rotation) rendezvousLocked(pool uint64, key string) int {
	best, highest := -1, 0.0
	alike := r.alikeLocked(pool)
	for ; pool != 0; pool &= pool - 1 {
		i := bits.TrailingZeros64(pool)
		// With u uniform in (0, 1), i has the greatest weight/-ln(u) with a
		// probability in proportion to its weight. Among equal weights that is
		// the greatest u.
		score := (float64(fnv64(r.cfg.Endpoints[i].Name, key)>>11) + 0.5) / (1 << 53)
		if !alike {
			score = r.members[i].weight / -math.Log(score)
		}
		if best < 0 || score > highest {
			best, highest = i, score
		}
	}
	return best
}

// alikeLocked reports whether the members of pool are of one weight.
func (r *rotation) alikeLocked(pool uint64) bool {
	first := r.members[bits.TrailingZeros64(pool)].weight
	for ; pool != 0; pool &= pool - 1 {
		if r.members[bits.TrailingZeros64(pool)].weight != first {
			return false
		}
	}
	return true
}

// fnv64 is the 64-bit FNV-1a hash of both texts, its bits mixed by the finalizer of
// MurmurHash3: neighbouring keys must not have neighbouring scores. It is the same in
// every process.
func fnv64(name, key string) uint64 {
	h := uint64(14695981039346656037)
	for _, text := range [...]string{name, key} {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211 // no byte of UTF-8: it ends the text
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// nth returns the index of the nth bit of set that is 1, counted from 0.
func nth(set uint64, n int) int {
	for ; n > 0; n-- {
		set &= set - 1
	}
	return bits.TrailingZeros64(set)
}
