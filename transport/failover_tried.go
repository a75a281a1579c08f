package transport

import (
	"net/http"
	"sync/atomic"

	"github.com/sparekey/sparekey/policy"
)

// tried is what a call knows about the endpoints of one failover that it has
// asked, by their index. All methods work on a nil one, which knows nothing.
type tried struct {
	of       *Failover
	next     *tried // of other failovers that the call passes
	asked    atomic.Uint64
	ruledOut atomic.Uint64 // those that the call need not ask again
	last     atomic.Uint64
	class    atomic.Uint32 // what the last one ended in
}

// add takes note of an endpoint whose outcome was v.
func (t *tried) add(index int, v policy.Verdict) {
	bit := uint64(1) << index
	t.asked.Or(bit)
	t.last.Store(bit)
	t.class.Store(uint32(v.Class))
	if v.Again == policy.Elsewhere && v.Class != policy.Refused {
		t.ruledOut.Or(bit)
	}
}

// askedOthers reports whether others than the one of that index were asked.
func (t *tried) askedOthers(index int) bool {
	return t != nil && t.asked.Load()&^(1<<index) != 0
}

// cause returns why another endpoint is asked.
func (t *tried) cause() policy.Class {
	if t == nil {
		return policy.Unknown
	}
	return policy.Class(t.class.Load()) //nolint:gosec // it was one
}

// from returns the members of pool that the call has not asked yet, which may be none.
// But a fresh choice, the first of an attempt, always gets some: members of pool that
// are neither ruled out nor were asked last; else those not ruled out; else those of
// all that are not ruled out; else pool.
func (t *tried) from(pool, all uint64, fresh bool) uint64 {
	if t == nil {
		return pool
	}
	rest := pool &^ t.asked.Load()
	if rest != 0 || !fresh {
		return rest
	}
	spent, last := t.ruledOut.Load(), t.last.Load()
	for _, rest := range [...]uint64{pool &^ spent &^ last, pool &^ spent, all &^ spent} {
		if rest != 0 {
			return rest
		}
	}
	return pool
}

// triedAt returns what the call has tried at f, or nil.
func (l *lineage) triedAt(f *Failover) *tried {
	for t := l.tried.Load(); t != nil; t = t.next {
		if t.of == f {
			return t
		}
	}
	return nil
}

// triesAt returns what the call has tried at f, to be added to.
func (l *lineage) triesAt(f *Failover) *tried {
	for {
		if t := l.triedAt(f); t != nil {
			return t
		}
		head := l.tried.Load()
		if l.tried.CompareAndSwap(head, &tried{of: f, next: head}) {
			return l.triedAt(f)
		}
	}
}

// again is the verdict on an endpoint to ask again, though what was handed on is resp, the
// answer of another, to which that is of no use. It is for the retry layer around.
type again struct {
	resp    *http.Response
	verdict policy.Verdict
}

// verdictOn returns v, that on resp, or what a failover below says instead.
func (l *lineage) verdictOn(resp *http.Response, v policy.Verdict) policy.Verdict {
	if v.Again == policy.Elsewhere {
		if a := l.again.Load(); a != nil && a.resp == resp {
			return a.verdict
		}
	}
	return v
}
