package body_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

const ms = time.Millisecond

// Of a body that does not tell its length no more is read than was asked for.
func TestPeekOfUnknownLength(t *testing.T) {
	src := strings.NewReader(strings.Repeat("0123456789", 500))
	resp := response(io.NopCloser(src))
	assert.Len(t, body.Peek(t.Context(), resp, 600, time.Minute), 600)
	assert.Equal(t, 4400, src.Len(), "bytes left")
}

func TestPeek(t *testing.T) {
	tests := []struct {
		name     string
		parts    []part
		n        int
		want     string
		wantTime time.Duration // of the peek
		wantRest time.Duration // of reading the body to its end afterwards
	}{
		{"shorter than n", []part{{0, "abc"}}, 10, "abc", 0, 0},
		{"as long as n", []part{{0, "abc"}}, 3, "abc", 0, 0},
		{"longer than n", []part{{0, "abcdef"}}, 3, "abc", 0, 0},
		{"longer than n in parts", []part{{0, "ab"}, {10 * ms, "cdef"}}, 3, "abc", 10 * ms, 0},
		{"empty", nil, 10, "", 0, 0},
		{"drips", []part{{30 * ms, "a"}, {30 * ms, "b"}, {30 * ms, "c"}, {30 * ms, "d"}, {30 * ms, "e"}}, 10, "abc", 100 * ms, 50 * ms},
		{"comes just in time", []part{{100*ms - 1, "abc"}}, 3, "abc", 100*ms - 1, 0},
		{"comes just too late", []part{{100*ms + 1, "abc"}}, 3, "", 100 * ms, 1},
		{"stalls at its start", []part{{time.Hour, "abc"}}, 3, "", 100 * ms, time.Hour - 100*ms},
		{"stalls later", []part{{0, "ab"}, {time.Hour, "c"}}, 3, "ab", 100 * ms, time.Hour - 100*ms},
		{"stalls after n", []part{{0, "abc"}, {time.Hour, "d"}}, 3, "abc", 0, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all strings.Builder
				for _, p := range tt.parts {
					all.WriteString(p.data)
				}
				resp := response(newDrip(tt.parts...))
				start := time.Now()
				assert.Equal(t, tt.want, string(body.Peek(t.Context(), resp, tt.n, 100*ms)))
				assert.Equal(t, tt.wantTime, time.Since(start), "time of the peek")

				start = time.Now()
				peeked := make([]byte, len(tt.want))
				_, err := io.ReadFull(resp.Body, peeked)
				require.NoError(t, err)
				assert.Equal(t, tt.want, string(peeked), "the reader gets what was peeked")
				assert.Zero(t, time.Since(start), "at once")
				rest, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Equal(t, all.String(), string(peeked)+string(rest))
				assert.Equal(t, tt.wantRest, time.Since(start), "time of the rest")
			})
		})
	}
}

func TestPeekLeavesTheBodyAsItWas(t *testing.T) {
	const text = "The quick brown fox jumps over the lazy dog"
	sources := map[string]func(io.Reader) io.Reader{
		"whole":                func(r io.Reader) io.Reader { return r },
		"byte by byte":         iotest.OneByteReader,
		"half of what is read": iotest.HalfReader,
		"end beside data":      iotest.DataErrReader,
	}
	for name, wrap := range sources {
		t.Run(name, func(t *testing.T) {
			for n := range len(text) + 2 {
				for size := 1; size <= len(text)+1; size++ {
					resp := response(io.NopCloser(wrap(&ending{data: []byte(text), err: io.EOF})))
					if got, want := string(body.Peek(t.Context(), resp, n, time.Minute)), text[:min(n, len(text))]; got != want {
						t.Fatalf("Peek(%d) = %q, want %q", n, got, want)
					}
					var got []byte
					var err error
					for chunk := make([]byte, size); err == nil; {
						var m int
						m, err = resp.Body.Read(chunk)
						got = append(got, chunk[:m]...)
					}
					if err != io.EOF || string(got) != text {
						t.Fatalf("after Peek(%d), reads of %d bytes gave %q, %v", n, size, got, err)
					}
				}
			}
		})
	}
}

func TestPeekKeepsTheError(t *testing.T) {
	for _, together := range []bool{false, true} {
		for n := range 6 {
			resp := response(io.NopCloser(&ending{[]byte("abc"), errReset, together}))
			var told ends
			body.Watch(resp, &told)
			if got, want := string(body.Peek(t.Context(), resp, n, time.Minute)), "abc"[:min(n, 3)]; got != want {
				t.Errorf("Peek(%d) = %q, want %q", n, got, want)
			}
			assert.Empty(t, told, "the reader has not come there yet")
			data, err := io.ReadAll(resp.Body)
			assert.Equal(t, "abc", string(data))
			assert.Equal(t, errReset, err)
			_, err = resp.Body.Read(make([]byte, 1))
			assert.Equal(t, errReset, err, "a second time")
			assert.Equal(t, ends{errReset}, told)
		}
	}
}

// TestPeekUnannounced: a body may be longer than one would guess, and than it says.
func TestPeekUnannounced(t *testing.T) {
	text := strings.Repeat("0123456789abcde\n", 640)
	for _, length := range []int64{-1, 5, int64(len(text))} {
		resp := response(newSource(text, io.EOF))
		resp.ContentLength = length
		assert.Equal(t, text[:4<<10], string(body.Peek(t.Context(), resp, 4<<10, time.Minute)))
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, text, string(data))
	}
}

func TestPeekNothing(t *testing.T) {
	for _, rc := range []io.ReadCloser{nil, http.NoBody} {
		resp := response(rc)
		assert.Empty(t, body.Peek(t.Context(), resp, 10, time.Hour))
		assert.Equal(t, rc, resp.Body)
	}
}

func TestPeekAgain(t *testing.T) {
	resp := response(newSource("abcdef", io.EOF))
	for _, peek := range []struct {
		n    int
		want string
	}{{4, "abcd"}, {2, "ab"}, {6, "abcd"}} {
		got := body.Peek(t.Context(), resp, peek.n, time.Minute)
		if string(got) != peek.want {
			t.Errorf("Peek(%d) = %q, want %q", peek.n, got, peek.want)
		}
		_ = append(got, '!') // which the body does not notice
	}
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "abcdef", string(data))
}

// A goroutine that stayed behind would fail the bubble.
func TestPeekStalledBodyClosed(t *testing.T) {
	t.Run("after the peek", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			resp := response(newDrip(part{0, "a"}, part{never, "b"}))
			assert.Equal(t, "a", string(body.Peek(t.Context(), resp, 10, 100*ms)))
			require.NoError(t, resp.Body.Close())
		})
	})
	t.Run("while the peek waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			stalled := newDrip(part{0, "a"}, part{never, "b"})
			resp := response(stalled)
			time.AfterFunc(40*ms, func() { _ = stalled.Close() })
			start := time.Now()
			assert.Equal(t, "a", string(body.Peek(t.Context(), resp, 10, 100*ms)))
			assert.Equal(t, 40*ms, time.Since(start))
		})
	})
	t.Run("while a reader waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			resp := response(newDrip(part{0, "a"}, part{never, "b"}))
			var told ends
			body.Watch(resp, &told)
			body.Peek(t.Context(), resp, 10, 100*ms)
			time.AfterFunc(time.Minute, func() { _ = resp.Body.Close() })
			start := time.Now()
			data, err := io.ReadAll(resp.Body)
			assert.Equal(t, "a", string(data))
			assert.ErrorIs(t, err, os.ErrClosed)
			assert.Equal(t, time.Minute, time.Since(start))
			assert.Equal(t, ends{body.ErrAbandoned}, told)
		})
	})
}

func TestPeekReadOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp := response(newDrip(part{time.Hour, "a"}))
		body.Peek(t.Context(), resp, 10, 100*ms)
		start := time.Now()
		n, err := resp.Body.Read(nil)
		assert.Zero(t, n)
		assert.NoError(t, err)
		assert.Zero(t, time.Since(start))
		require.NoError(t, resp.Body.Close())
	})
}

// idle is a pacer that closes the body when a read takes too long.
type idle struct {
	body  io.Closer
	timer *time.Timer
}

var errIdle = errors.New("idle")

func (i *idle) BodyRead(time.Time) {
	i.timer = time.AfterFunc(time.Second, func() { _ = i.body.Close() })
}
func (i *idle) BodyGot() { i.timer.Stop() }
func (i *idle) BodyEnd(err error) error {
	if !errors.Is(err, io.EOF) {
		return errIdle
	}
	return err
}

// A pacer bounds the reads of a body that was peeked at, too, whichever way it
// is read.
func TestPeekPaced(t *testing.T) {
	read := map[string]func(io.Reader) (int64, error){
		"Read":    func(r io.Reader) (int64, error) { return io.Copy(io.Discard, struct{ io.Reader }{r}) },
		"WriteTo": func(r io.Reader) (int64, error) { return r.(io.WriterTo).WriteTo(io.Discard) },
	}
	for name, read := range read {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stalled := newDrip(part{0, "a"}, part{500 * ms, "b"}, part{never, "c"})
				resp := response(struct {
					io.ReadCloser
					io.WriterTo
				}{stalled, nil})
				body.Watch(resp, &idle{body: stalled})
				body.Peek(t.Context(), resp, 10, 100*ms)
				start := time.Now()
				n, err := read(resp.Body)
				assert.EqualValues(t, 2, n)
				assert.Equal(t, errIdle, err)
				assert.Equal(t, 1400*ms, time.Since(start), "400 ms to b, a second of nothing")
			})
		})
	}
}

// TestPeekEndsWithTheCaller: a stalled body does not hold up a caller who has
// left, nor does the discarding of one.
func TestPeekEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, w := io.Pipe()
		defer w.Close()
		resp := &http.Response{Body: r}
		start := time.Now()
		assert.Empty(t, body.Peek(ctx, resp, 10, time.Hour))
		assert.Equal(t, time.Second, time.Since(start))
		body.Discard(ctx, resp, 10, time.Hour)
		assert.Equal(t, time.Second, time.Since(start))
	})
}
