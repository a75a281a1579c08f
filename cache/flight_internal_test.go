package cache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

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
	assert.Equal(t, context.Canceled, f.end)
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
