package cache

import (
	"net/http"
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

func TestEntryKeepsNoSpareRoom(t *testing.T) {
	e := entryOf("", time.Now(), 0)
	require.True(t, e.complete(append(make([]byte, 0, 1<<20), "short"...)))
	assert.Less(t, cap(e.body), 100)
}

func TestEntryStoresTheLatest(t *testing.T) {
	store, now := NewStore(StoreConfig{}), time.Now()
	late, early := entryOf("late", now, time.Hour), entryOf("early", now.Add(-time.Second), time.Hour)
	late.put(store, keyNumber(1), store.epoch())
	early.put(store, keyNumber(1), store.epoch())
	assert.Same(t, late, store.get(keyNumber(1), now))
}
