package cache

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// StoreConfig configures a [Store]. Its zero value is ready to use.
type StoreConfig struct {
	// MaxBytes bounds the memory that the answers and their keys take, and the
	// ones that are just coming in, which get half of it at most or what one answer
	// may take; those for which nothing is left are handed on and not kept. Zero
	// means 64 MiB. Copies of answers that callers are still reading come on top.
	MaxBytes int64

	// MaxEntries bounds how many answers are held. Zero means 50,000.
	MaxEntries int

	// MaxEntryBytes bounds what one answer takes, with its header; a heavier one
	// is not held. Zero means 1 MiB, or MaxBytes if that is less.
	MaxEntryBytes int64

	// IdentityShare bounds the share of MaxBytes and of MaxEntries that the
	// answers of one identity take, 0 to 1; beyond that they push out each
	// other. Zero means 1: no bound of its own.
	IdentityShare float64
}

// WithDefaults returns a copy of c with its zero fields filled.
func (c StoreConfig) WithDefaults() StoreConfig {
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.MaxEntries = cmp.Or(c.MaxEntries, 50_000)
	c.MaxEntryBytes = cmp.Or(c.MaxEntryBytes, min(1<<20, c.MaxBytes))
	c.IdentityShare = cmp.Or(c.IdentityShare, 1)
	return c
}

// Validate reports the first setting that is out of its bounds.
func (c StoreConfig) Validate() error {
	switch {
	case c.MaxBytes < 0:
		return fmt.Errorf("StoreConfig.MaxBytes is %d, want at least 0", c.MaxBytes)
	case c.MaxEntries < 0:
		return fmt.Errorf("StoreConfig.MaxEntries is %d, want at least 0", c.MaxEntries)
	case c.MaxEntryBytes < 0 || c.MaxEntryBytes > c.WithDefaults().MaxBytes:
		return fmt.Errorf("StoreConfig.MaxEntryBytes is %d, want 0 to MaxBytes", c.MaxEntryBytes)
	case !(c.IdentityShare >= 0 && c.IdentityShare <= 1): // nor is it NaN
		return fmt.Errorf("StoreConfig.IdentityShare is %v, want 0 to 1", c.IdentityShare)
	}
	return nil
}

// A Store holds answers in memory. When it is full it forgets: first the ones
// that were never asked for again, and of those the oldest. An answer keeps the
// lifetimes that the layer gave it which stored it; one that is past all use goes
// when it is next asked for or when its turn comes. A Store starts no goroutine,
// has nothing to close and is safe for concurrent use.
type Store struct {
	layout   atomic.Pointer[layout]
	resizing sync.Mutex
	purges   purges
	changes  changes
	inFlight atomic.Int64 // bytes
	watchers watchers

	lookups    [numLookups]atomic.Uint64
	uncaptured atomic.Uint64
}

// NewStore returns an empty Store. It panics if a setting is invalid.
func NewStore(cfg StoreConfig) *Store {
	if err := cfg.Validate(); err != nil {
		panic("cache: " + err.Error())
	}
	s := &Store{}
	s.layout.Store(newLayout(s, cfg.WithDefaults()))
	return s
}

// A layout is the bounds of a store and the parts that it falls into. It does not
// change: see [Store.resize].
type layout struct {
	cfg    StoreConfig
	shards []*shard
}

func newLayout(s *Store, cfg StoreConfig) *layout {
	l := &layout{cfg: cfg, shards: make([]*shard, numShards(cfg))}
	for i := range l.shards {
		l.shards[i] = newShard(s, l)
	}
	return l
}

func (l *layout) shard(k key) *shard {
	return l.shards[binary.LittleEndian.Uint64(k[:])%uint64(len(l.shards))]
}

// config returns the bounds that are in force.
func (s *Store) config() StoreConfig { return s.layout.Load().cfg }

// numShards returns into how many parts a store falls, each with a lock and a
// share of the bounds: as many as leave each room for one answer of any allowed
// weight, and for so many answers that it hardly matters which part one falls in.
func numShards(cfg StoreConfig) int {
	const most, fewEntries = 16, 64
	n := most
	for n > 1 && (cfg.MaxBytes/int64(n) < cfg.MaxEntryBytes || cfg.MaxEntries/n < fewEntries) {
		n /= 2
	}
	return n
}

// held is something to hold under a key. It is not changed once it is stored.
type held interface {
	weight() int64    // its memory in bytes; the store adds what it takes itself
	until() time.Time // from when on it is of no more use
	owner() owner     // whose it is
}

// get returns what is held under k, or nil, and counts that as a use of it.
func (s *Store) get(k key, now time.Time) held {
	sh := s.lock(k)
	h := sh.get(k, now)
	gone := sh.takeGone()
	sh.mu.Unlock()
	s.watchers.tell(gone)
	return h
}

// peek returns what is held under k, or nil, and leaves all as it is.
func (s *Store) peek(k key, now time.Time) held {
	sh := s.lock(k)
	defer sh.mu.Unlock()
	return sh.peek(k, now)
}

// update has change say what is held under k from now on, given what was, nil for
// nothing both times. A result that is too heavy is not held, and the old one
// neither; one that a purge since began forbids leaves all as it is. Began is
// [Store.epoch] at the time when what is stored was asked for.
//
// Change runs under a lock: it must be quick and leave the store alone.
func (s *Store) update(k key, began epoch, now time.Time, change func(old held) held) {
	s.watchers.tell(func() []key {
		sh := s.lock(k)
		defer sh.mu.Unlock()
		sh.update(k, began, now, change)
		return sh.takeGone()
	}())
}

// heaviest returns the greatest weight of what may be held under k of that owner's, as
// things are now.
func (s *Store) heaviest(k key, of owner) int64 {
	sh := s.lock(k)
	defer sh.mu.Unlock()
	return sh.heaviest(of)
}

// epoch returns what tells update of the purges from now on.
func (s *Store) epoch() epoch { return s.purges.epoch() }

// lock returns the shard of k, locked.
func (s *Store) lock(k key) *shard {
	for {
		l := s.layout.Load()
		sh := l.shard(k)
		sh.mu.Lock()
		if s.layout.Load() == l {
			return sh
		}
		sh.mu.Unlock() // what it held is elsewhere now
	}
}

// each calls f for every shard, locked, one after the other, and then tells of what
// f dropped. What is put in by others meanwhile f may see, or not.
func (s *Store) each(f func(sh *shard)) {
	var gone []key
	defer func() { s.watchers.tell(gone) }()
	for again := true; again; {
		l := s.layout.Load()
		for _, sh := range l.shards {
			sh.mu.Lock()
			f(sh)
			gone = append(gone, sh.takeGone()...)
			sh.mu.Unlock()
		}
		again = s.layout.Load() != l
	}
}

// reserve takes n bytes of the budget for an answer that is coming in, and makes
// room for them. It reports false if the budget does not have them; else release
// gives them back.
func (s *Store) reserve(n int64) bool {
	if s.inFlight.Add(n) > s.maxInFlight() {
		s.inFlight.Add(-n)
		return false
	}
	s.each((*shard).makeRoom)
	return true
}

// maxInFlight is less than the whole budget, so that slow origins do not push out
// all that is known.
func (s *Store) maxInFlight() int64 {
	cfg := s.config()
	return max(cfg.MaxBytes/2, cfg.MaxEntryBytes)
}

func (s *Store) release(n int64) { s.inFlight.Add(-n) }
