package cache

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// heldOf returns how many of the keys 0 to n-1 are held, and the least of them.
func heldOf(s *Store, n int, now time.Time) (count, least int) {
	least = n
	for i := range n {
		if s.peek(keyNumber(i), now) != nil {
			count++
			least = min(least, i)
		}
	}
	return count, least
}

func TestStoreResize(t *testing.T) {
	filled := func(n int) *Store {
		s := NewStore(StoreConfig{})
		for i := range n {
			keep(s, keyNumber(i), start.Add(time.Duration(i)), blockOf(500, time.Hour))
		}
		return s
	}
	t.Run("more room holds all", func(t *testing.T) {
		s := filled(1000)
		s.resize(StoreConfig{MaxEntries: 1_000_000, MaxBytes: 1 << 30})
		count, _ := heldOf(s, 1000, start)
		assert.Equal(t, 1000, count)
		assert.Zero(t, s.Stats().Evictions)
		assert.Equal(t, 1000, s.Stats().Entries)
	})
	t.Run("less holds the newest", func(t *testing.T) {
		s := filled(1000)
		s.resize(StoreConfig{MaxEntries: 50})
		count, least := heldOf(s, 1000, start)
		assert.Equal(t, 50, count)
		assert.Equal(t, 950, least)
		assert.EqualValues(t, 950, s.Stats().Evictions)
		for i := range 60 { // and goes on to hold as many
			keep(s, keyNumber(2000+i), start, blockOf(500, time.Hour))
		}
		assert.Equal(t, 50, s.Stats().Entries)
	})
	t.Run("less first holds what was asked for again", func(t *testing.T) {
		s := filled(1000)
		for i := range 10 {
			require.NotNil(t, s.get(keyNumber(i), start))
		}
		s.resize(StoreConfig{MaxEntries: 50})
		count, _ := heldOf(s, 10, start)
		assert.Equal(t, 10, count)
	})
	t.Run("what is too heavy goes, and is told", func(t *testing.T) {
		s := filled(10)
		keep(s, keyNumber(77), start, blockOf(5000, time.Hour))
		var gone []key
		stop := s.onDrop(func(k key) { gone = append(gone, k) })
		s.resize(StoreConfig{MaxEntryBytes: 2000})
		assert.Equal(t, []key{keyNumber(77)}, gone)
		stop()
		s.Purge()
		assert.Len(t, gone, 1)
	})
	t.Run("a purge holds", func(t *testing.T) {
		s := filled(100)
		began := s.epoch()
		s.Purge()
		s.resize(StoreConfig{MaxEntries: 1000})
		s.update(keyNumber(1), began, start, func(held) held { return blockOf(10, time.Hour) })
		assert.Zero(t, s.Stats().Entries)
	})
}

// Nothing is lost or counted twice when bounds change while the store is in use.
func TestStoreResizeInUse(t *testing.T) {
	s := NewStore(StoreConfig{})
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range 500 {
				k := keyNumber(g*1000 + i)
				keep(s, k, start, blockOf(100, time.Hour))
				assert.NotNil(t, s.get(k, start))
				if s.reserve(1000) {
					s.release(1000)
				}
			}
		})
	}
	for i := range 50 {
		s.resize(StoreConfig{MaxEntries: 40_000 + i, MaxBytes: int64(2+i%30) << 20})
	}
	group.Wait()
	assert.Equal(t, 2000, s.Stats().Entries)
	s.Purge()
	assert.Zero(t, s.Stats().Bytes)
}

// What was purged and still has its place does not come back with other bounds.
func TestStoreResizeDropsWhatWasPurged(t *testing.T) {
	s := NewStore(StoreConfig{})
	for n := range 2 { // one that was asked for again, and one that was not
		keep(s, keyNumber(n), start, &block{bytes: 1, end: start.Add(time.Hour), of: ownerOf("tickets", "")})
	}
	require.NotNil(t, s.get(keyNumber(1), start))
	s.PurgeFunction("tickets")
	s.resize(StoreConfig{MaxEntries: 10})
	count, _ := heldOf(s, 2, start)
	assert.Zero(t, count)
	stats := s.Stats()
	assert.Zero(t, stats.Entries)
	assert.Zero(t, stats.Bytes)
	assert.EqualValues(t, 2, stats.Purged)
}

// TestStoreResizeBelowWhatWasUsedAgain: what was asked for again goes, too, if nothing else
// is left to go.
func TestStoreResizeBelowWhatWasUsedAgain(t *testing.T) {
	store := NewStore(StoreConfig{MaxEntries: 10})
	for n := range 4 {
		keep(store, keyNumber(n), start, blockOf(1, time.Hour))
		store.get(keyNumber(n), start)
	}
	store.resize(StoreConfig{MaxEntries: 2})
	assert.Equal(t, 2, store.Stats().Entries)
	assert.EqualValues(t, 2, store.Stats().Evictions)
	assert.NotNil(t, store.peek(keyNumber(2), start))
	assert.NotNil(t, store.peek(keyNumber(3), start))
}
