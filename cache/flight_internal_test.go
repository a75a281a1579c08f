package cache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPumpStopsWithTheLastOneOut: from when the last reader has given up his seat
// nothing more is read, even if the flight's context has yet to end.
func TestPumpStopsWithTheLastOneOut(t *testing.T) {
	store := NewStore(StoreConfig{})
	all := newFlights(1<<10, store)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.test/", nil)
	require.NoError(t, err)
	s := &seat{req: req}
	require.True(t, all.assign(s, key{}))
	f := s.flight
	read := 0
	f.resp = &http.Response{Body: io.NopCloser(readFunc(func(p []byte) (int, error) {
		if read++; read == 3 {
			left, last, _ := f.quit(s, atAnyTime)
			assert.True(t, left && last)
		}
		if read == 100 {
			return 0, errors.New("read on and on")
		}
		return len(p), nil
	}))}
	f.rc = f.resp.Body
	f.pump()
	assert.Equal(t, 3, read)
	assert.Equal(t, errLeft, f.end)
}

// TestFlightOfOneWithoutADeadline: a flight has none as soon as one of those who came
// has none, in whatever order they did.
func TestFlightOfOneWithoutADeadline(t *testing.T) {
	soon, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, ctxs := range [][]context.Context{{t.Context(), soon}, {soon, t.Context()}, {soon, t.Context(), soon}} {
		all := newFlights(1<<10, NewStore(StoreConfig{}))
		for i, ctx := range ctxs {
			s := &seat{req: ask(t, ctx)}
			require.Equal(t, i == 0, all.assign(s, key{}))
			_, has := s.flight.ctx.Deadline()
			assert.Equal(t, i == 0 && ctx == soon, has)
		}
		all.table[key{}].bound.Stop()
		all.table[key{}].cancel(nil)
	}
}

// TestFlightsRememberSoManyApart: of answers that are not for all no more is
// remembered than maxApart.
func TestFlightsRememberSoManyApart(t *testing.T) {
	all := newFlights(1<<10, NewStore(StoreConfig{}))
	now := time.Now()
	for n := range maxApart + 1 {
		assert.Len(t, all.apart, n)
		all.partLocked(keyAt(n), now)
	}
	assert.Len(t, all.apart, 1)
	assert.False(t, all.areApartLocked(keyAt(0), now))
	assert.True(t, all.areApartLocked(keyAt(maxApart), now.Add(apartFor-1)))
	assert.False(t, all.areApartLocked(keyAt(maxApart), now.Add(apartFor)))
	assert.Empty(t, all.apart)
}

// TestFlightOfAClientWithATimeout: the Cancel that [http.Client] sets says nothing that the
// context's deadline does not.
func TestFlightOfAClientWithATimeout(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	all := newFlights(1<<10, NewStore(StoreConfig{}))
	for _, first := range []bool{true, false} {
		s := &seat{req: ask(t, ctx)}
		s.req.Cancel = make(chan struct{}) //nolint:staticcheck // deprecated, but heeded
		require.Equal(t, first, all.assign(s, key{}))
		require.Same(t, all.table[key{}], s.flight)
	}
	all.table[key{}].bound.Stop()
	all.table[key{}].cancel(nil)
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
