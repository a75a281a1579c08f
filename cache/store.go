package cache

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// StoreConfig configures a [Store]. Its zero value is ready to use.
type StoreConfig struct {
	// MaxBytes bounds the memory that the answers and their keys take. Zero
	// means 64 MiB. Copies of answers that callers are still reading come on
	// top, each at most PredictionsConfig.MaxEntryBytes.
	MaxBytes int64
}

// A Store holds answers in memory and forgets the ones that were not asked for
// the longest when it is full. An answer keeps the lifetime that the layer gave
// it which stored it; one that is past it goes when it is next asked for or when
// its turn comes. A Store has nothing to close and is safe for concurrent use.
type Store struct {
	maxBytes int64

	mu        sync.Mutex
	entries   *simplelru.LRU[key, *entry] // guarded by mu
	bytes     int64                       // the weight of entries; guarded by mu
	evictions uint64                      // guarded by mu

	lookups    [numLookups]atomic.Uint64
	uncaptured atomic.Uint64
}

// NewStore returns an empty Store. It panics if cfg.MaxBytes is negative.
func NewStore(cfg StoreConfig) *Store {
	if cfg.MaxBytes < 0 {
		panic(fmt.Sprintf("cache: StoreConfig.MaxBytes is %d, want at least 0", cfg.MaxBytes))
	}
	entries, err := simplelru.NewLRU[key, *entry](math.MaxInt, nil) // the bound is on bytes
	if err != nil {
		panic(err) // the size is right
	}
	return &Store{maxBytes: cmp.Or(cfg.MaxBytes, 64<<20), entries: entries}
}

// Stats are what a [Store] holds and has done since it was made.
type Stats struct {
	Entries int   // answers it holds
	Bytes   int64 // memory they take, about

	Hits      uint64 // fresh answers given
	Stale     uint64 // answers given for want of a live one
	Misses    uint64 // requests handed on that it could have answered
	Bypasses  uint64 // requests handed on that are not to be answered from memory
	Evictions uint64 // answers forgotten for want of room

	// UncapturedHits are the hits whose request does not say capture=false: a
	// Nyckel function would have kept the input of each as a sample.
	UncapturedHits uint64
}

// Stats returns what the store holds and has done. Figures that change at the
// time may not fit each other.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Entries:        s.entries.Len(),
		Bytes:          s.bytes,
		Hits:           s.lookups[hit].Load(),
		Stale:          s.lookups[stale].Load(),
		Misses:         s.lookups[miss].Load(),
		Bypasses:       s.lookups[bypass].Load(),
		Evictions:      s.evictions,
		UncapturedHits: s.uncaptured.Load(),
	}
}

// A lookup is what asking a store came to.
type lookup uint8

const (
	hit lookup = iota
	stale
	miss
	bypass
	numLookups
)

// String returns the name that telemetry knows.
func (l lookup) String() string {
	return [numLookups]string{hit: "hit", stale: "stale", miss: "miss", bypass: "bypass"}[l]
}

// get returns the entry under k, or nil. One that is past all use is dropped.
func (s *Store) get(k key, now time.Time) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries.Get(k)
	if !ok {
		return nil
	}
	if !now.Before(e.dropAt) {
		s.entries.Remove(k)
		s.bytes -= e.weight()
		return nil
	}
	return e
}

// put keeps e under k, unless a later answer is there or e alone is too heavy.
func (s *Store) put(k key, e *entry) {
	weight := e.weight()
	if weight > s.maxBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.entries.Peek(k); ok {
		if old.born.After(e.born) {
			return
		}
		s.bytes -= old.weight()
	}
	s.entries.Add(k, e)
	for s.bytes += weight; s.bytes > s.maxBytes; {
		_, oldest, _ := s.entries.RemoveOldest()
		s.bytes -= oldest.weight()
		s.evictions++
	}
}
