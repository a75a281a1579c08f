package body_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

func TestDiscardBytes(t *testing.T) {
	tests := []struct {
		name     string
		body     string
		end      error
		maxBytes int64
		wantEnd  error
		whole    bool
	}{
		{"empty", "", io.EOF, 0, io.EOF, true},
		{"within the bound", "abc", io.EOF, 4, io.EOF, true},
		{"at the bound", "abc", io.EOF, 3, io.EOF, true},
		{"over the bound", "abc", io.EOF, 2, body.ErrAbandoned, false},
		{"no bound", "abc", io.EOF, math.MaxInt64, io.EOF, true},
		{"broken", "abc", errReset, 4, errReset, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := newSource(tt.body, tt.end)
			resp := response(src)
			var told ends
			body.Watch(resp, &told)
			body.Discard(t.Context(), resp, tt.maxBytes, time.Minute)
			assert.Equal(t, ends{tt.wantEnd}, told)
			assert.Equal(t, 1, src.closed)

			src = newSource(tt.body, tt.end)
			data, whole := body.Drain(t.Context(), response(src), tt.maxBytes, time.Minute)
			assert.Equal(t, tt.whole, whole)
			assert.Equal(t, 1, src.closed)
			if whole {
				assert.Equal(t, tt.body, string(data))
			} else {
				assert.Nil(t, data)
			}
		})
	}
}

func TestDiscardTime(t *testing.T) {
	const limit = 50 * ms
	tests := []struct {
		name     string
		parts    []part
		wantTime time.Duration
		whole    bool
	}{
		{"quick", []part{{0, "abc"}}, 0, true},
		{"just quick enough", []part{{20 * ms, "a"}, {30*ms - 1, "b"}}, limit - 1, true},
		{"just too slow", []part{{20 * ms, "a"}, {30*ms + 1, "b"}}, limit, false},
		{"stalled", []part{{0, "a"}, {never, "b"}}, limit, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dripping := newDrip(tt.parts...)
				start := time.Now()
				_, whole := body.Drain(t.Context(), response(dripping), 1<<10, limit)
				assert.Equal(t, tt.wantTime, time.Since(start))
				assert.Equal(t, tt.whole, whole)
				<-dripping.closed
			})
			synctest.Test(t, func(t *testing.T) {
				dripping := newDrip(tt.parts...)
				start := time.Now()
				body.Discard(t.Context(), response(dripping), 1<<10, limit)
				assert.Equal(t, tt.wantTime, time.Since(start))
				<-dripping.closed
			})
		})
	}
}

func TestDiscardNothing(t *testing.T) {
	for _, rc := range []io.ReadCloser{nil, http.NoBody} {
		body.Discard(t.Context(), response(rc), 10, time.Hour)
		data, whole := body.Drain(t.Context(), response(rc), 10, time.Hour)
		assert.Empty(t, data)
		assert.True(t, whole)
	}
}

func TestDiscardConnections(t *testing.T) {
	tests := []struct {
		name     string
		answer   string
		maxBytes int64
		want     int64 // connections of 100 requests
	}{
		{"discarded answers leave their connection", strings.Repeat("x", 10<<10), 64 << 10, 1},
		{"so do empty ones", "", 64 << 10, 1},
		{"longer ones cost it", strings.Repeat("x", 1<<20), 64 << 10, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var connections atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = io.WriteString(w, tt.answer)
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			for range 100 {
				resp, err := server.Client().Get(server.URL)
				require.NoError(t, err)
				body.Discard(t.Context(), resp, tt.maxBytes, time.Minute)
			}
			assert.Equal(t, tt.want, connections.Load())
		})
	}
}

func TestBytes(t *testing.T) {
	rc := body.Bytes([]byte("abc"))
	data, err := io.ReadAll(rc)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(data))
	assert.NoError(t, rc.Close())
}

// TestDiscardBodyThatCannotBeInterrupted: the bound on time holds even if Close
// does not end a read.
func TestDiscardBodyThatCannotBeInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		start := time.Now()
		body.Discard(t.Context(), &http.Response{Body: io.NopCloser(r)}, 10, time.Second)
		assert.Equal(t, time.Second, time.Since(start))
		require.NoError(t, w.Close()) // ends the read that was left behind
	})
}

// The watchers of a body that is got rid of hear how it ended, whether or not it was
// peeked at before.
func TestDrainTellsHowItEnded(t *testing.T) {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF} {
		for _, peeked := range []int{0, 3, 10} {
			t.Run(fmt.Sprintf("%v, %d bytes peeked", end, peeked), func(t *testing.T) {
				var told ends
				resp := response(newSource("hello", end))
				body.Watch(resp, &told)
				body.Peek(t.Context(), resp, peeked, time.Minute)
				_, whole := body.Drain(t.Context(), resp, 10, time.Minute)
				assert.Equal(t, errors.Is(end, io.EOF), whole)
				assert.Equal(t, ends{end}, told)
			})
		}
	}
}

// A body that was read ahead whole is there at once, and ends as it ended.
func TestDiscardReadAhead(t *testing.T) {
	readAhead := func() (*http.Response, *ends) {
		resp, told := response(newSource("hello", io.EOF)), new(ends)
		require.NoError(t, body.Buffer(resp, 10))
		body.Watch(resp, told)
		return resp, told
	}
	resp, told := readAhead()
	body.Discard(t.Context(), resp, 10, time.Minute)
	assert.Equal(t, ends{io.EOF}, *told)

	resp, told = readAhead()
	data, whole := body.Drain(t.Context(), resp, 10, time.Minute)
	assert.True(t, whole)
	assert.Equal(t, "hello", string(data))
	assert.Equal(t, ends{io.EOF}, *told)
}

// slowToClose is a body that drips for ever and whose Close takes an hour.
type slowToClose struct{}

func (slowToClose) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return copy(p, "."), nil
}

func (slowToClose) Close() error {
	time.Sleep(time.Hour)
	return nil
}

func TestDiscardBodyThatIsSlowToClose(t *testing.T) {
	discards := map[string]func(*testing.T, *http.Response){
		"Discard": func(t *testing.T, resp *http.Response) { body.Discard(t.Context(), resp, 100, 50*time.Millisecond) },
		"Drain": func(t *testing.T, resp *http.Response) {
			_, whole := body.Drain(t.Context(), resp, 100, 50*time.Millisecond)
			assert.False(t, whole)
		},
	}
	for name, discard := range discards {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				discard(t, response(slowToClose{}))
				assert.Equal(t, 100*time.Millisecond, time.Since(start), "reading and closing, 50 ms each")
				time.Sleep(2 * time.Hour) // nobody can end what goes on behind
			})
		})
	}
}

// What is too long is closed before its end, which may take a while, too.
func TestDiscardLongBodyThatIsSlowToClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		body.Discard(t.Context(), response(struct {
			io.Reader
			io.Closer
		}{strings.NewReader("hello"), slowToClose{}}), 2, 50*time.Millisecond)
		assert.Equal(t, 50*time.Millisecond, time.Since(start))
		time.Sleep(2 * time.Hour) // nobody can end what goes on behind
	})
}

// An answer that is longer than what may be kept is not kept, be it by one byte that
// comes beside the end or was peeked at.
func TestDrainLongerByOne(t *testing.T) {
	for text, want := range map[string]bool{"hello": true, "hello!": false} {
		for _, peeked := range []int{0, 10} {
			src := &source{Reader: &ending{data: []byte(text), err: io.EOF, together: true}}
			resp := response(src)
			body.Peek(t.Context(), resp, peeked, time.Minute)
			_, whole := body.Drain(t.Context(), resp, 5, time.Minute)
			assert.Equal(t, want, whole, text)
			assert.Equal(t, 1, src.closed)
		}
	}
}

// What is read on while nobody waits any more ends soon, though the close does not
// end it.
func TestDrainReadsNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		resp := response(io.NopCloser(readFunc(func(p []byte) (int, error) {
			reads.Add(1)
			time.Sleep(time.Second)
			return copy(p, "."), nil
		})))
		_, whole := body.Drain(t.Context(), resp, 100, 50*time.Millisecond)
		assert.False(t, whole)
		time.Sleep(time.Hour)
		assert.EqualValues(t, 1, reads.Load())
	})
}

// A body may be longer than one would guess.
func TestDrainUnannounced(t *testing.T) {
	text := strings.Repeat("0123456789abcde\n", 640)
	for _, length := range []int64{-1, 0, 5, int64(len(text)), 1 << 40} {
		for _, maxBytes := range []int64{int64(len(text)), math.MaxInt64} {
			resp := response(newSource(text, io.EOF))
			resp.ContentLength = length
			data, whole := body.Drain(t.Context(), resp, maxBytes, time.Minute)
			assert.True(t, whole)
			assert.Equal(t, text, string(data))
		}
	}
}
