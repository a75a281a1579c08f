package cache

import (
	"math"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// An item is what a shard holds under a key.
type item struct {
	held     held
	bytes    int64  // with what the store takes itself
	function *tally // nil if it belongs to none
	identity uint64
	stored   time.Time
}

// itemOverhead is what the store takes for an item, its key included, in bytes: a
// link of a list and a share of a map that grows by doubling.
const itemOverhead = 256

// useless reports whether the item is not to be given any more. The reason counts only
// if so.
func (i item) useless(now time.Time) (reason, bool) {
	if i.purged() {
		return purged, true
	}
	return expired, !now.Before(i.held.until())
}

func (i item) purged() bool { return i.function != nil && i.function.purged }

// A segment is a list of items in the order of their last use, and what they take. Its
// warm end is where the latest used is, its cold end the other.
type segment struct {
	lru   *simplelru.LRU[key, item]
	bytes int64
}

func newSegment() segment {
	return segment{lru: newLRU[key, item](math.MaxInt)} // the shard has the bounds
}

// newLRU returns a list of up to size items, one at least.
func newLRU[K comparable, V any](size int) *simplelru.LRU[K, V] {
	lru, err := simplelru.NewLRU[K, V](size, nil)
	if err != nil {
		panic(err) // the size is below one
	}
	return lru
}

func (s *segment) len() int { return s.lru.Len() }

// add puts a new item at the warm end. There must be none under k.
func (s *segment) add(k key, item item) {
	s.lru.Add(k, item)
	s.bytes += item.bytes
}

// remove takes out the item under k. There must be one.
func (s *segment) remove(k key) {
	item, _ := s.lru.Peek(k)
	s.lru.Remove(k)
	s.bytes -= item.bytes
}

// touch moves the item under k to the warm end.
func (s *segment) touch(k key) { s.lru.Get(k) }

// oldest returns the item at the cold end. There must be one.
func (s *segment) oldest() (key, item) {
	k, item, _ := s.lru.GetOldest()
	return k, item
}
