package cache

import (
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func entryOf(body string, born time.Time, life time.Duration) *entry {
	e := newEntry(&http.Response{Header: http.Header{"Content-Type": {"text/plain"}}}, born)
	e.complete([]byte(body))
	e.freshUntil = born.Add(life)
	e.dropAt = e.freshUntil
	return e
}

func keyNumber(n int) (k key) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

// modelStore says in the plainest way what a Store does.
type modelStore struct {
	max     int64
	order   []key // least recently used first
	entries map[key]*entry
}

func (m *modelStore) bytes() (sum int64) {
	for _, e := range m.entries {
		sum += e.weight()
	}
	return sum
}

func (m *modelStore) forget(k key) {
	delete(m.entries, k)
	m.order = slices.DeleteFunc(m.order, func(other key) bool { return other == k })
}

func (m *modelStore) get(k key, now time.Time) *entry {
	e := m.entries[k]
	m.forget(k)
	if e == nil || !now.Before(e.dropAt) {
		return nil
	}
	m.entries[k], m.order = e, append(m.order, k)
	return e
}

func (m *modelStore) put(k key, e *entry) {
	if old := m.entries[k]; e.weight() > m.max || old != nil && old.born.After(e.born) {
		return
	}
	m.forget(k)
	m.entries[k], m.order = e, append(m.order, k)
	for m.bytes() > m.max {
		m.forget(m.order[0])
	}
}

func TestStoreAgainstModel(t *testing.T) {
	const maxBytes = 16 << 10
	random := rand.New(rand.NewPCG(1, 2))
	store := NewStore(StoreConfig{MaxBytes: maxBytes})
	model := &modelStore{max: maxBytes, entries: make(map[key]*entry)}
	now := time.Now()
	room := strings.Repeat("x", 2*maxBytes)
	for i := range 100_000 {
		now = now.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
		k := keyNumber(random.IntN(40))
		if random.IntN(3) == 0 {
			size := 1 + random.IntN(2000)
			if random.IntN(100) == 0 {
				size = 1 + random.IntN(len(room))
			}
			late := now.Add(-time.Duration(random.IntN(5)) * time.Second)
			e := entryOf(room[:size], late, time.Duration(random.IntN(60))*time.Second)
			store.put(k, e)
			model.put(k, e)
		} else {
			if got, want := store.get(k, now), model.get(k, now); got != want {
				t.Fatalf("operation %d: get = %p, want %p", i, got, want)
			}
		}
		stats := store.Stats()
		if stats.Entries != len(model.entries) || stats.Bytes != model.bytes() || stats.Bytes > maxBytes {
			t.Fatalf("operation %d: the store has %d entries of %d bytes, want %d of %d, at most %d",
				i, stats.Entries, stats.Bytes, len(model.entries), model.bytes(), maxBytes)
		}
	}
	assert.NotZero(t, store.Stats().Evictions)
}

func TestStoreTooHeavy(t *testing.T) {
	store := NewStore(StoreConfig{MaxBytes: 2 << 10})
	now := time.Now()
	store.put(keyNumber(1), entryOf("small", now, time.Hour))
	store.put(keyNumber(2), entryOf(strings.Repeat("x", 2<<10), now, time.Hour))
	assert.NotNil(t, store.get(keyNumber(1), now), "an answer that never fits takes nobody's place")
	assert.Nil(t, store.get(keyNumber(2), now))
}

func TestEntryKeepsNoSpareRoom(t *testing.T) {
	e := entryOf("", time.Now(), 0)
	require.True(t, e.complete(append(make([]byte, 0, 1<<20), "short"...)))
	assert.Less(t, cap(e.body), 100)
}
