package cache

import (
	"hash/fnv"
	"math"
	"sync"
	"sync/atomic"
)

// An owner is whose an answer is, as hashes; zero is nobody's.
type owner struct{ function, identity uint64 }

// Functions of what has not the answers of one.
const (
	// several is that of what has answers of more than one, or of one and of calls that
	// name none: it goes with each.
	several = math.MaxUint64

	// vacant is that of what has no answers: it goes with none.
	vacant = several - 1
)

// ownerOf returns the owner by its names, "" for none.
func ownerOf(function, identity string) owner {
	return owner{function: nameHash(function), identity: nameHash(identity)}
}

func nameHash(name string) uint64 {
	if name == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return max(h.Sum64(), 1)
}

// Purge forgets all answers. The answers to requests that are under way are not
// kept.
func (s *Store) Purge() {
	s.purge(func(key, owner) bool { return true })
}

// PurgeIdentity forgets the answers of an identity, as [policy.Call.Identity]
// names it, and does not keep those to its requests that are under way. Nothing of
// them is left in memory.
func (s *Store) PurgeIdentity(identity string) {
	id := nameHash(identity)
	s.purge(func(_ key, of owner) bool { return id != 0 && of.identity == id })
}

// PurgeFunction forgets the answers of a function, as [policy.Call.Function] names
// it, for all identities, and does not keep those to its requests that are under
// way. It takes the same short time however many there are: the answers are
// given no more from now on, and their memory is used for others bit by bit.
func (s *Store) PurgeFunction(function string) { s.purgeFunction(nameHash(function)) }

func (s *Store) purgeFunction(id uint64) {
	if id == 0 {
		return
	}
	s.purges.add(func(_ key, of owner) bool { return of.function == id || of.function == several })
	s.each(func(sh *shard) {
		for _, id := range [...]uint64{id, several} {
			if of := sh.functions[id]; of != nil {
				of.purged = true
				sh.purged.add(of.entries, of.bytes)
				delete(sh.functions, id)
			}
		}
	})
}

// purgeKey forgets what is held under k, and does not keep what was asked for
// before.
func (s *Store) purgeKey(k key) {
	s.purges.add(func(other key, _ owner) bool { return other == k })
	sh := s.lock(k)
	sh.drop(k, purged)
	gone := sh.takeGone()
	sh.mu.Unlock()
	s.watchers.tell(gone)
}

// purge drops all that match, and keeps none that was asked for before.
func (s *Store) purge(match func(key, owner) bool) {
	s.purges.add(match) // first, so that what comes later than the sweep knows of it
	s.each(func(sh *shard) {
		for _, in := range []*segment{&sh.once, &sh.again} {
			for _, k := range in.lru.Keys() {
				if item, _ := in.lru.Peek(k); match(k, item.held.owner()) {
					sh.drop(k, purged)
				}
			}
		}
	})
}

// An epoch counts the purges of a store.
type epoch uint64

// purges remembers the last purges, for answers that were asked for before them
// and come after.
type purges struct {
	count atomic.Uint64

	mu     sync.Mutex
	recent [64]func(key, owner) bool // purge n is at n modulo the length; guarded by mu
}

func (p *purges) epoch() epoch { return epoch(p.count.Load()) }

func (p *purges) add(match func(key, owner) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent[p.count.Load()%uint64(len(p.recent))] = match
	p.count.Add(1)
}

// since reports whether something of that key and owner was purged since then, or
// so many others that it is no longer known.
func (p *purges) since(then epoch, k key, of owner) bool {
	if p.epoch() == then {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, known := p.count.Load(), uint64(len(p.recent))
	if now-uint64(then) > known {
		return true
	}
	for n := uint64(then); n < now; n++ {
		if p.recent[n%known](k, of) {
			return true
		}
	}
	return false
}
