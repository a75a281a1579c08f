package cache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestStorePurges(t *testing.T) {
	const none = ""
	mine, hers := keyNumber(1), keyNumber(2)
	other, nobodys := keyNumber(3), keyNumber(4)
	shared := keyNumber(5)
	tests := []struct {
		name  string
		purge func(*Store)
		left  []key
	}{
		{"all", (*Store).Purge, nil},
		{"a function", func(s *Store) { s.PurgeFunction("tickets") }, []key{other, nobodys}},
		{"an identity", func(s *Store) { s.PurgeIdentity("me") }, []key{hers, nobodys, shared}},
		{"a key", func(s *Store) { s.purgeKey(hers) }, []key{mine, other, nobodys, shared}},
		{"an unknown function", func(s *Store) { s.PurgeFunction("x") }, []key{mine, hers, other, nobodys}},
		{"no function", func(s *Store) { s.PurgeFunction(none) }, []key{mine, hers, other, nobodys, shared}},
		{"no identity", func(s *Store) { s.PurgeIdentity(none) }, []key{mine, hers, other, nobodys, shared}},
	}
	all := map[key]owner{
		mine:    ownerOf("tickets", "me"),
		hers:    ownerOf("tickets", "her"),
		other:   ownerOf("spam", "me"),
		nobodys: ownerOf(none, none),
		shared:  {function: several}, // goes with each function
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, late := NewStore(StoreConfig{}), NewStore(StoreConfig{})
			began, later := store.epoch(), late.epoch()
			put := func(s *Store, began epoch, k key) {
				s.update(k, began, start, func(held) held {
					return &block{bytes: 1, end: start.Add(time.Hour), of: all[k]}
				})
			}
			for k := range all {
				put(store, began, k)
			}
			tt.purge(store)
			tt.purge(late)
			for k := range all {
				put(late, later, k) // the answer to a request from before the purge
			}
			assert.Equal(t, len(tt.left), store.Stats().Entries)
			assert.Equal(t, len(tt.left), late.Stats().Entries)
			for k := range all {
				want := assert.Nil
				for _, left := range tt.left {
					if left == k {
						want = assert.NotNil
					}
				}
				want(t, store.peek(k, start))
				want(t, store.get(k, start))
				want(t, late.get(k, start))
				put(store, store.epoch(), k)
				assert.NotNil(t, store.get(k, start), "one that was asked for after the purge")
			}
			assert.Equal(t, len(all), store.Stats().Entries)
		})
	}
}

func TestStorePurgedFunctionMakesRoom(t *testing.T) {
	store := NewStore(StoreConfig{MaxEntries: 50})
	var gone int
	store.onDrop(func(key) { gone++ })
	for n := range 40 {
		keep(store, keyNumber(n), start, &block{bytes: 1, end: start.Add(time.Hour), of: ownerOf("tickets", "")})
	}
	store.PurgeFunction("tickets")
	assert.Zero(t, store.Stats().Bytes)
	for n := 100; n < 120; n++ {
		keep(store, keyNumber(n), start, blockOf(1, time.Hour))
	}
	assert.Equal(t, 40, gone, "each new answer takes the place of two")
	assert.Equal(t, 20, store.Stats().Entries)
	assert.EqualValues(t, 40, store.Stats().Purged)
	assert.Zero(t, store.Stats().Evictions)
}

// What was purged is counted as that, whatever takes its place.
func TestStorePurgedIsNotEvicted(t *testing.T) {
	store := NewStore(StoreConfig{MaxBytes: 4 << 10})
	keep(store, keyNumber(1), start, blockOf(1, time.Hour))
	keep(store, keyNumber(2), start, &block{bytes: 1, end: start.Add(time.Hour), of: ownerOf("tickets", "")})
	store.PurgeFunction("tickets")
	assert.True(t, store.reserve(4<<10))
	assert.EqualValues(t, 1, store.Stats().Evictions)
	assert.EqualValues(t, 1, store.Stats().Purged)
}

func TestStoreRefusesWhatIsOlderThanItRemembers(t *testing.T) {
	store := NewStore(StoreConfig{})
	for range 3 * len(store.purges.recent) {
		store.PurgeFunction("spam")
	}
	began := store.epoch()
	for range len(store.purges.recent) {
		store.PurgeFunction("spam")
	}
	store.update(keyNumber(1), began, start, func(held) held { return blockOf(1, time.Hour) })
	assert.NotNil(t, store.get(keyNumber(1), start))
	store.PurgeFunction("spam")
	store.update(keyNumber(2), began, start, func(held) held { return blockOf(1, time.Hour) })
	assert.Nil(t, store.get(keyNumber(2), start))
}

func TestStoreRemovesWhateverWasPurged(t *testing.T) {
	store := NewStore(StoreConfig{})
	began := store.epoch()
	store.Purge()
	keep(store, keyNumber(1), start, blockOf(1, time.Hour))
	store.update(keyNumber(1), began, start, func(held) held { return nil })
	assert.Nil(t, store.get(keyNumber(1), start), "what must go goes, whenever that was found out")
}

// Who watches a store is told of an answer that a purge forbids to store, and of a key that
// is purged.
func TestStoreTellsOfWhatAPurgeForbids(t *testing.T) {
	s := NewStore(StoreConfig{})
	began := s.epoch()
	var told []key
	s.onDrop(func(k key) { told = append(told, k) })
	s.Purge()
	s.update(keyNumber(1), began, start, func(held) held { return blockOf(1, time.Hour) })
	assert.Equal(t, []key{keyNumber(1)}, told)
	s.purgeKey(keyNumber(2))
	assert.Equal(t, []key{keyNumber(1), keyNumber(2)}, told)
}
