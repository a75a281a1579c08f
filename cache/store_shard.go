package cache

import (
	"sync"
	"time"
)

// A shard is a part of a store, with a lock and bounds of its own. It keeps apart
// what was asked for again from what was stored and not asked for since, and
// forgets the latter first: most questions are asked once.
type shard struct {
	store  *Store
	layout *layout // that it is part of

	mu        sync.Mutex
	once      segment           // stored, not used since; guarded by mu, as all that follows
	again     segment           // used
	functions map[uint64]*tally // what is held of each
	shares    shares            // what is held of each identity, if that is bounded
	purged    tally             // what is of no use and still takes room
	dropped   [numReasons]uint64
	gone      []key // that the watchers have not been told
}

// A tally counts what is held of something.
type tally struct {
	entries int
	bytes   int64
	purged  bool
}

func (t *tally) add(entries int, bytes int64) {
	t.entries += entries
	t.bytes += bytes
}

func newShard(s *Store, l *layout) *shard {
	return &shard{
		store:     s,
		layout:    l,
		once:      newSegment(),
		again:     newSegment(),
		functions: make(map[uint64]*tally),
		shares:    make(shares),
	}
}

// A reason is why something is no longer held.
type reason uint8

const (
	evicted reason = iota // for want of room
	crowded               // its owner has no room
	expired
	purged
	removed // by an update
	numReasons
)

func (sh *shard) get(k key, now time.Time) held {
	item, again := sh.again.lru.Get(k)
	if !again {
		var known bool
		if item, known = sh.once.lru.Peek(k); !known {
			return nil
		}
	}
	if why, useless := item.useless(now); useless {
		sh.drop(k, why)
		return nil
	}
	sh.shares.touch(item.identity, k)
	if !again {
		sh.promote(k, item)
	}
	return item.held
}

// promote moves what was used again to where that is held, and what this was
// fullest of back to the others.
func (sh *shard) promote(k key, item item) {
	maxBytes, maxEntries := sh.maxBytes()/5*4, sh.maxEntries()*4/5
	if item.bytes > maxBytes || maxEntries == 0 {
		sh.once.touch(k)
		return
	}
	sh.once.remove(k)
	sh.again.add(k, item)
	for sh.again.bytes > maxBytes || sh.again.len() > maxEntries {
		oldest, demoted := sh.again.oldest()
		sh.again.remove(oldest)
		sh.once.add(oldest, demoted)
	}
}

func (sh *shard) peek(k key, now time.Time) held {
	item, in := sh.find(k)
	if in == nil {
		return nil
	}
	if _, useless := item.useless(now); useless {
		return nil
	}
	return item.held
}

func (sh *shard) update(k key, began epoch, now time.Time, change func(old held) held) {
	old := sh.peek(k, now)
	h := change(old)
	if h == old {
		return
	}
	if h == nil {
		sh.drop(k, removed)
		return
	}
	of := h.owner()
	if sh.store.purges.since(began, k, of) {
		if old == nil {
			sh.drop(k, removed)
		}
		return
	}
	weight := h.weight()
	if weight > sh.heaviest(of) {
		sh.drop(k, removed)
		return
	}
	item := item{held: h, bytes: weight + itemOverhead, identity: of.identity, stored: now}
	if sh.bounded(item) {
		item.bytes += linkOverhead
	}
	sh.put(k, item, of.function)
	sh.sweep(now)
	sh.makeRoom()
}

// heaviest returns the greatest weight of what may be held of that owner's.
func (sh *shard) heaviest(of owner) int64 {
	most := sh.layout.cfg.MaxEntryBytes
	if sh.bounded(item{identity: of.identity}) {
		most = min(most, sh.shareBytes()) - linkOverhead
	}
	return most - itemOverhead
}

// put holds the item, in the place of what is held under k.
func (sh *shard) put(k key, item item, function uint64) {
	_, in := sh.find(k)
	if in == nil {
		in = &sh.once
	} else {
		sh.forget(k)
	}
	sh.putIn(in, k, item, function)
}

// putIn holds a new item in one of the segments.
func (sh *shard) putIn(in *segment, k key, item item, function uint64) {
	if function != 0 {
		item.function = sh.functions[function]
		if item.function == nil {
			item.function = &tally{}
			sh.functions[function] = item.function
		}
		item.function.add(1, item.bytes)
	}
	in.add(k, item)
	if sh.bounded(item) {
		sh.shares.add(item.identity, k, item.bytes)
		sh.makeRoomOf(item.identity)
	}
}

// sweep drops what is of no use at the cold ends, a little at a time.
func (sh *shard) sweep(now time.Time) {
	const atOnce = 2
	for _, in := range []*segment{&sh.once, &sh.again} {
		for range min(atOnce, in.len()) {
			k, item := in.oldest()
			why, useless := item.useless(now)
			if !useless {
				break
			}
			sh.drop(k, why)
		}
	}
}

// makeRoom drops what is over the bounds.
func (sh *shard) makeRoom() {
	maxBytes, maxEntries := sh.maxBytes(), sh.maxEntries()
	for sh.bytes() > maxBytes || sh.once.len()+sh.again.len() > maxEntries {
		coldest := &sh.once
		if coldest.len() == 0 {
			coldest = &sh.again
		}
		k, _ := coldest.oldest()
		sh.drop(k, evicted)
	}
}

// drop leaves nothing under k, and has the watchers told.
func (sh *shard) drop(k key, why reason) {
	if item, in := sh.find(k); in != nil {
		if item.purged() {
			why = purged
		}
		sh.forget(k)
		sh.dropped[why]++
	}
	if sh.store.watchers.any() {
		sh.gone = append(sh.gone, k)
	}
}

// forget takes what is held under k off all accounts.
func (sh *shard) forget(k key) {
	item, in := sh.find(k)
	in.remove(k)
	if sh.bounded(item) {
		sh.shares.remove(item.identity, k, item.bytes)
	}
	switch of := item.function; {
	case of == nil:
	case of.purged:
		sh.purged.add(-1, -item.bytes)
	default:
		of.add(-1, -item.bytes)
		if of.entries == 0 {
			delete(sh.functions, item.held.owner().function)
		}
	}
}

// find returns what is held under k and where, nil for nowhere.
func (sh *shard) find(k key) (item, *segment) {
	if item, ok := sh.again.lru.Peek(k); ok {
		return item, &sh.again
	}
	if item, ok := sh.once.lru.Peek(k); ok {
		return item, &sh.once
	}
	return item{}, nil
}

// bytes returns what the shard holds.
func (sh *shard) bytes() int64 {
	return sh.once.bytes + sh.again.bytes + int64(len(sh.shares))*shareOverhead
}

// maxBytes returns what the shard may hold beside what is in flight.
func (sh *shard) maxBytes() int64 {
	return max(sh.layout.cfg.MaxBytes-sh.store.inFlight.Load(), 0) / int64(len(sh.layout.shards))
}

func (sh *shard) maxEntries() int { return sh.layout.cfg.MaxEntries / len(sh.layout.shards) }

func (sh *shard) takeGone() []key {
	gone := sh.gone
	sh.gone = nil
	return gone
}
