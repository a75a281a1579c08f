package cache

import (
	"net/http"

	"github.com/sparekey/sparekey/telemetry"
)

// Stats are what a [Store] holds and has done since it was made.
type Stats struct {
	Entries  int   // answers it holds
	Bytes    int64 // memory they take, about
	InFlight int64 // memory that answers take which are just coming in

	Hits     uint64 // fresh answers given
	Stale    uint64 // answers given past their lifetimes
	Similar  uint64 // answers given to similar questions
	Misses   uint64 // requests handed on that it could have answered
	Joined   uint64 // requests that got what came of an equal one under way
	Bypasses uint64 // requests handed on that are not to be answered from memory

	Refreshes uint64 // answers fetched behind callers

	Evictions uint64 // answers forgotten for want of room
	Crowded   uint64 // answers forgotten since their identity had its share
	Expired   uint64 // answers dropped past their lifetimes
	Purged    uint64 // answers dropped after a purge

	// UncapturedHits are those of Hits, and those of Joined that got a good answer,
	// whose request does not say capture=false: a Nyckel function would have kept
	// the input of each as a sample.
	UncapturedHits uint64
}

// Stats returns what the store holds and has done. Figures that change at the
// time may not fit each other.
func (s *Store) Stats() Stats {
	stats := Stats{
		InFlight:       s.inFlight.Load(),
		Hits:           s.lookups[hit].Load(),
		Stale:          s.lookups[stale].Load(),
		Similar:        s.lookups[alike].Load(),
		Misses:         s.lookups[miss].Load(),
		Joined:         s.lookups[joined].Load(),
		Refreshes:      s.lookups[refreshed].Load(),
		Bypasses:       s.lookups[bypass].Load(),
		UncapturedHits: s.uncaptured.Load(),
	}
	for _, sh := range s.layout.Load().shards {
		sh.addStats(&stats)
	}
	return stats
}

func (sh *shard) addStats(stats *Stats) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	stats.Entries += sh.once.len() + sh.again.len() - sh.purged.entries
	stats.Bytes += sh.bytes() - sh.purged.bytes
	stats.Evictions += sh.dropped[evicted]
	stats.Crowded += sh.dropped[crowded]
	stats.Expired += sh.dropped[expired]
	stats.Purged += sh.dropped[purged]
}

// report counts what a lookup for req came to, and returns the trail of its call.
func (s *Store) report(req *http.Request, l lookup) *telemetry.Trail {
	s.lookups[l].Add(1)
	trail := telemetry.FromContext(req.Context())
	trail.LookedUp(req.Context(), l.String())
	return trail
}

// A lookup is what asking a store came to.
type lookup uint8

const (
	hit lookup = iota
	stale
	alike
	miss
	joined
	refreshed
	bypass
	numLookups
)

// String returns the name that telemetry knows.
func (l lookup) String() string {
	return [numLookups]string{hit: "hit", stale: "stale", alike: "similar", miss: "miss", joined: "joined", refreshed: "refresh", bypass: "bypass"}[l]
}
