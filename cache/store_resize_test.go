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
	fill := func(s *Store, n int) *Store {
		for i := range n {
			keep(s, keyNumber(i), start.Add(time.Duration(i)), blockOf(500, time.Hour))
		}
		return s
	}
	filled := func(n int) *Store { return fill(NewStore(StoreConfig{}), n) }
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
	t.Run("less holds the newest of two parts", func(t *testing.T) {
		s := fill(NewStore(StoreConfig{MaxEntries: 200}), 100)
		require.Len(t, s.layout.Load().shards, 2)
		s.resize(StoreConfig{MaxEntries: 50})
		_, least := heldOf(s, 100, start)
		assert.Equal(t, 50, least)
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
		keep(s, keyNumber(77), start, blockOf(2001-itemOverhead, time.Hour))
		keep(s, keyNumber(78), start, blockOf(2000-itemOverhead, time.Hour))
		var gone []key
		stop := s.onDrop(func(k key) { gone = append(gone, k) })
		s.resize(StoreConfig{MaxEntryBytes: 2000})
		assert.Equal(t, []key{keyNumber(77)}, gone)
		stop()
		assert.EqualValues(t, 1, s.Stats().Evictions)
		s.resize(StoreConfig{})
		assert.EqualValues(t, 1, s.Stats().Evictions, "what was counted stays")
		s.Purge()
		assert.Len(t, gone, 1)
	})
	t.Run("an identity keeps the newest of its share", func(t *testing.T) {
		s, left := NewStore(StoreConfig{MaxEntries: 20}), make(map[key]*block)
		for i := range 10 {
			b := &block{bytes: 1, end: start.Add(time.Hour), of: ownerOf("", []string{"", "loud"}[i%2])}
			keep(s, keyNumber(i), start, b)
			if i%2 == 0 || i > 5 {
				left[keyNumber(i)] = b
			}
		}
		s.resize(StoreConfig{MaxEntries: 10, IdentityShare: 0.2})
		checkAccounts(t, s, left)
		assert.EqualValues(t, 3, s.Stats().Crowded)
	})
	t.Run("what is too heavy for a share goes", func(t *testing.T) {
		const share = 5000 - itemOverhead - linkOverhead
		s := NewStore(StoreConfig{})
		for i, weight := range []int64{share, share + 1, 6000} {
			of := ownerOf("", []string{"a", "b", ""}[i])
			keep(s, keyNumber(i), start, &block{bytes: weight, end: start.Add(time.Hour), of: of})
		}
		s.resize(StoreConfig{MaxBytes: 20_000, IdentityShare: 0.25})
		assert.NotNil(t, s.peek(keyNumber(0), start))
		assert.Nil(t, s.peek(keyNumber(1), start))
		assert.NotNil(t, s.peek(keyNumber(2), start), "nobody's has no share")
		assert.EqualValues(t, 1, s.Stats().Evictions)
	})
	t.Run("less than what is in flight holds nothing", func(t *testing.T) {
		s := filled(10)
		require.True(t, s.reserve(1<<20))
		s.resize(StoreConfig{MaxBytes: 64 << 10})
		assert.Zero(t, s.Stats().Entries)
		s.release(1 << 20)
		fill(s, 10)
		assert.Equal(t, 10, s.Stats().Entries)
	})
	t.Run("who waits for a part of it goes on", func(t *testing.T) {
		s := filled(10)
		was := s.layout.Load().shards
		s.resize(StoreConfig{MaxEntries: 10})
		for _, sh := range was {
			assert.True(t, sh.mu.TryLock())
		}
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
		keep(store, keyNumber(n), start.Add(time.Duration(n)), blockOf(1, time.Hour))
	}
	for _, n := range []int{3, 2, 1, 0} {
		store.get(keyNumber(n), start)
	}
	store.resize(StoreConfig{MaxEntries: 2})
	assert.Equal(t, 2, store.Stats().Entries)
	assert.EqualValues(t, 2, store.Stats().Evictions)
	assert.NotNil(t, store.peek(keyNumber(0), start))
	assert.NotNil(t, store.peek(keyNumber(1), start))
}
