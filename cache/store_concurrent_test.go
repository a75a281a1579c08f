package cache

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestStoreConcurrently has answers stored, asked for and purged at once. None
// that was asked for before a purge ended may be there after it.
func TestStoreConcurrently(t *testing.T) {
	const workers, rounds, keys = 4, 2000, 300
	store := NewStore(StoreConfig{MaxEntries: 200, IdentityShare: 0.5})
	var dropped atomic.Int64
	store.onDrop(func(key) { dropped.Add(1) })
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range rounds {
				n := random.IntN(keys)
				b := &block{bytes: 1, end: start.Add(time.Hour), of: ownerOf([]string{"f", "g"}[n%2], []string{"a", "b", "c"}[n%3])}
				began := store.epoch()
				store.get(keyNumber(n), start)
				store.update(keyNumber(n), began, start, func(held) held { return b })
				if random.IntN(20) == 0 && store.reserve(1<<20) {
					store.release(1 << 20)
				}
			}
		})
	}
	for _, purge := range []func() (gone func(owner) bool){
		func() func(owner) bool {
			store.PurgeFunction("f")
			return func(of owner) bool { return of.function == nameHash("f") }
		},
		func() func(owner) bool {
			store.PurgeIdentity("a")
			return func(of owner) bool { return of.identity == nameHash("a") }
		},
		func() func(owner) bool {
			store.Purge()
			return func(owner) bool { return true }
		},
	} {
		group.Go(func() {
			for range 100 {
				before := make(map[held]bool)
				for n := range keys {
					if h := store.peek(keyNumber(n), start); h != nil {
						before[h] = true
					}
				}
				gone := purge()
				for n := range keys {
					if h := store.peek(keyNumber(n), start); h != nil && before[h] {
						assert.False(t, gone(h.owner()), "an answer outlived a purge")
					}
				}
			}
		})
	}
	group.Wait()
	store.Purge()
	stats := store.Stats()
	assert.Zero(t, stats.Bytes)
	assert.Zero(t, stats.InFlight)
	assert.NotZero(t, stats.Purged)
	assert.GreaterOrEqual(t, uint64(dropped.Load()), stats.Purged+stats.Evictions+stats.Crowded)
}
