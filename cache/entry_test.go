package cache

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/telemetry"
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
	data := append(make([]byte, 0, 1<<20), "short"...)
	require.True(t, e.complete(data))
	assert.Equal(t, "short", string(e.body))
	assert.NotSame(t, &data[0], &e.body[0], "else all of it stays in memory")
}

func TestEntryStoresTheLatest(t *testing.T) {
	store, now := NewStore(StoreConfig{}), time.Now()
	late, early := entryOf("late", now, time.Hour), entryOf("early", now.Add(-time.Second), time.Hour)
	late.put(store, keyNumber(1), store.epoch())
	early.put(store, keyNumber(1), store.epoch())
	assert.Same(t, late, store.get(keyNumber(1), now))
}

func TestEntryHit(t *testing.T) {
	const body = `{"labelName":"billing"}`
	e, now := entryOf(body, time.Now(), time.Hour), time.Now()
	req := httptest.NewRequest(http.MethodPost, "/", nil)
	for range 2 { // the first does to its answer what it likes
		resp := e.hit(req, now)
		assert.Len(t, resp.Header, 5)
		assert.Equal(t, []string{"text/plain"}, resp.Header["Content-Type"])
		for name := range resp.Header {
			resp.Header.Add(name, "more")
			resp.Header[name][0] = "another"
		}
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, body, string(text))
	}
	for age, want := range map[time.Duration]string{0: "cache", time.Second - 1: "cache", time.Second: "cache;age=1", 61 * time.Second: "cache;age=61"} {
		got := e.hit(req, e.born.Add(age)).Header.Get(telemetry.HeaderName)
		assert.Equal(t, want, got)
		assert.Equal(t, telemetry.Answer{Source: telemetry.Cache, Age: age}.Header(), got)
	}
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { e.hit(req, now) }), 4.0, "allocations")
}

func TestEntryWithManyFields(t *testing.T) {
	header := make(http.Header)
	for n := range 20 {
		header[fmt.Sprint("X-", n)] = []string{"a", fmt.Sprint(n)}
	}
	e := newEntry(&http.Response{Header: header}, time.Now())
	require.True(t, e.complete([]byte("x")))
	got := e.hit(httptest.NewRequest(http.MethodPost, "/", nil), time.Now()).Header
	for name, values := range header {
		assert.Equal(t, values, got[name])
	}
	assert.Len(t, got, 24)
}
