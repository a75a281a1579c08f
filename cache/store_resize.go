package cache

import (
	"slices"
)

// resize gives the store other bounds. What fits into them stays: if not all does,
// first what was asked for again, and then what was stored last.
func (s *Store) resize(cfg StoreConfig) {
	s.resizing.Lock()
	defer s.resizing.Unlock()
	from := s.layout.Load()
	if cfg = cfg.WithDefaults(); cfg == from.cfg {
		return
	}
	s.watchers.tell(s.move(from, newLayout(s, cfg)))
}

// move puts what one layout holds into another, which takes its place, and returns
// the keys of what did not fit.
func (s *Store) move(from, to *layout) (gone []key) {
	for _, sh := range from.shards { // nobody else ever holds two of these locks
		sh.mu.Lock()
		defer sh.mu.Unlock()
	}
	for _, sh := range to.shards { // for those who come as soon as it is in place
		sh.mu.Lock()
		defer sh.mu.Unlock()
	}
	for _, part := range []func(*shard) *segment{
		func(sh *shard) *segment { return &sh.once },
		func(sh *shard) *segment { return &sh.again },
	} {
		for _, moving := range from.items(part) {
			sh := to.shard(moving.key)
			sh.take(part(sh), moving)
		}
	}
	to.shards[0].dropped = from.dropped(to.shards[0].dropped)
	for _, sh := range to.shards {
		sh.makeRoom()
		gone = append(gone, sh.takeGone()...)
	}
	s.layout.Store(to)
	return gone
}

// keyed is an item and where it is.
type keyed struct {
	key  key
	item item
}

// items returns what a segment of each shard holds, the coldest first, as far as
// those of different shards can be compared: by when they were stored.
func (l *layout) items(part func(*shard) *segment) []keyed {
	var all []keyed
	for _, sh := range l.shards {
		in := part(sh)
		for _, k := range in.lru.Keys() {
			item, _ := in.lru.Peek(k)
			all = append(all, keyed{k, item})
		}
	}
	if len(l.shards) > 1 {
		slices.SortStableFunc(all, func(a, b keyed) int { return a.item.stored.Compare(b.item.stored) })
	}
	return all
}

// take holds what another shard did.
func (sh *shard) take(in *segment, k keyed) {
	moved := item{held: k.item.held, bytes: k.item.held.weight() + itemOverhead, identity: k.item.identity, stored: k.item.stored}
	if sh.bounded(moved) {
		moved.bytes += linkOverhead
	}
	switch {
	case k.item.purged():
		sh.dropped[purged]++
	case moved.bytes > sh.layout.cfg.MaxEntryBytes, sh.bounded(moved) && moved.bytes > sh.shareBytes():
		sh.dropped[evicted]++
	default:
		sh.putIn(in, k.key, moved, moved.held.owner().function)
		return
	}
	if sh.store.watchers.any() {
		sh.gone = append(sh.gone, k.key)
	}
}

// dropped adds up what the shards have dropped.
func (l *layout) dropped(sum [numReasons]uint64) [numReasons]uint64 {
	for _, sh := range l.shards {
		for why, n := range sh.dropped {
			sum[why] += n
		}
	}
	return sum
}
