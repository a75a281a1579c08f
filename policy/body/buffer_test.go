package body_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

// TestBuffer cuts a body at every byte, under every bound.
func TestBuffer(t *testing.T) {
	const text = "The quick brown fox"
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, errReset} {
		for _, together := range []bool{false, true} {
			t.Run(end.Error()+" beside data "+strconv.FormatBool(together), func(t *testing.T) {
				for cut := range len(text) + 1 {
					for bound := range len(text) + 2 {
						seen := cut <= bound || together && cut == bound+1
						checkBuffer(t, &ending{[]byte(text[:cut]), end, together}, text[:cut], int64(bound), end, seen)
					}
				}
			})
		}
	}
}

// checkBuffer buffers a body that gives text and ends with end, which a read up
// to maxBytes has seen or not.
func checkBuffer(t *testing.T, r io.Reader, text string, maxBytes int64, end error, seen bool) {
	t.Helper()
	src := &source{Reader: r}
	resp := response(src)
	resp.ContentLength = int64(len(text))
	err := body.Buffer(resp, maxBytes)

	var want error
	if !errors.Is(end, io.EOF) && seen {
		want = end
	}
	if !errors.Is(err, want) {
		t.Errorf("Buffer(%q, %d) = %v, want %v", text, maxBytes, err, want)
	}
	if got := body.Broken(resp); !errors.Is(got, want) {
		t.Errorf("Broken after Buffer(%q, %d) = %v, want %v", text, maxBytes, got, want)
	}
	var told ends
	body.Watch(resp, &told)
	if got := body.Broken(resp); !errors.Is(got, want) {
		t.Errorf("Broken of the watched body = %v, want %v", got, want)
	}
	got, err := io.ReadAll(resp.Body)
	if errors.Is(end, io.EOF) {
		end = nil
	}
	if string(got) != text || !errors.Is(err, end) {
		t.Errorf("after Buffer(%q, %d), the body gives %q, %v", text, maxBytes, got, err)
	}
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil || (end != nil && !errors.Is(err, end)) {
		t.Errorf("after its end, the body gives %d bytes, %v, want %v", n, err, end)
	}
	if len(told) != 1 {
		t.Errorf("the watcher was told %v, want one end", told)
	}
	if err := resp.Body.Close(); err != nil || src.closed != 1 {
		t.Errorf("Close() = %v, the source was closed %d times", err, src.closed)
	}
}

func TestBufferSmallReads(t *testing.T) {
	resp := response(io.NopCloser(strings.NewReader("abcdef")))
	require.NoError(t, body.Buffer(resp, 3))
	got, err := io.ReadAll(iotest.OneByteReader(resp.Body))
	require.NoError(t, err)
	assert.Equal(t, "abcdef", string(got))
}

func TestBufferWithoutBound(t *testing.T) {
	resp := response(newSource("abc", io.EOF))
	require.NoError(t, body.Buffer(resp, math.MaxInt64))
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(got))
}

// Of a body that does not tell its length no more is read than it takes to see whether
// it is too long.
func TestBufferOfUnknownLength(t *testing.T) {
	text := strings.Repeat("0123456789", 500)
	for maxBytes, wantLeft := range map[int64]int{600: 4399, 4999: 0, 10_000: 0} {
		src := strings.NewReader(text)
		resp := response(io.NopCloser(src))
		require.NoError(t, body.Buffer(resp, maxBytes))
		assert.Equal(t, wantLeft, src.Len(), "bytes left")
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
	}
}

// An announced length is no reason to take that much memory.
func TestBufferOfALie(t *testing.T) {
	resp := response(newSource("abc", io.ErrUnexpectedEOF))
	resp.ContentLength = 1 << 60
	assert.Equal(t, io.ErrUnexpectedEOF, body.Buffer(resp, math.MaxInt64))
}

// A body that was read ahead has ended for those who watched it before.
func TestBufferEndsTheBodyBelow(t *testing.T) {
	resp := response(newSource("abc", io.ErrUnexpectedEOF))
	var below, above ends
	body.Watch(resp, &below)
	require.Error(t, body.Buffer(resp, 10))
	body.Watch(resp, &above)
	assert.Equal(t, ends{io.ErrUnexpectedEOF}, below)
	assert.Empty(t, above)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, ends{io.ErrUnexpectedEOF}, below)
	assert.Equal(t, ends{body.ErrAbandoned}, above)
}

func TestBufferNothing(t *testing.T) {
	for _, rc := range []io.ReadCloser{nil, http.NoBody} {
		resp := response(rc)
		assert.NoError(t, body.Buffer(resp, 10))
		assert.Equal(t, rc, resp.Body)
		assert.NoError(t, body.Broken(resp))
	}
}

func TestBrokenUnbuffered(t *testing.T) {
	resp := response(newSource("", errReset))
	assert.NoError(t, body.Broken(resp))
	_, err := io.ReadAll(resp.Body)
	require.Error(t, err)
	assert.NoError(t, body.Broken(resp), "nobody buffered it")
}

// TestBufferWritesItself: what was read ahead and what was not come in order, and
// end as they ended.
func TestBufferWritesItself(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name     string
		body     io.Reader
		maxBytes int64
		want     string
		wantErr  error
	}{
		{"whole", strings.NewReader("abcdef"), 10, "abcdef", nil},
		{"longer than what is read ahead", strings.NewReader("abcdef"), 3, "abcdef", nil},
		{"cut short", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 10, "abc", broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := &http.Response{Body: io.NopCloser(tt.body)}
			_ = body.Buffer(resp, tt.maxBytes)
			var got strings.Builder
			n, err := resp.Body.(io.WriterTo).WriteTo(&got)
			assert.Equal(t, tt.wantErr, err)
			assert.Equal(t, tt.want, got.String())
			assert.Equal(t, int64(len(tt.want)), n)
		})
	}
}

// A body that was read ahead whole writes itself like any other, but no read of it
// waits, so none is paced.
func TestBufferedWriteTo(t *testing.T) {
	errFull := errors.New("disk full")
	var kept strings.Builder
	tests := []struct {
		name    string
		end     error // of the body
		dst     io.Writer
		wantN   int64
		wantErr error
		wantLog []string // before it is closed
	}{
		{"whole", io.EOF, &kept, 3, nil, []string{" end"}},
		{"broken", errReset, io.Discard, 3, errReset, []string{" end"}},
		{"destination fails", io.EOF, &failing{2, errFull}, 2, errFull, nil},
		{"destination takes too little", io.EOF, &failing{2, nil}, 2, io.ErrShortWrite, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := response(newSource("abc", tt.end))
			_ = body.Buffer(resp, 10)
			var log []string
			body.Watch(resp, &pacer{log: &log})
			n, err := resp.Body.(io.WriterTo).WriteTo(tt.dst)
			assert.Equal(t, tt.wantN, n)
			assert.Equal(t, tt.wantErr, err)
			assert.Equal(t, tt.wantLog, log)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, []string{" end"}, log)
		})
	}
	assert.Equal(t, "abc", kept.String())
}

// Nothing more is read of a body for a destination that did not take what was read ahead.
func TestBufferedWriteToFailsAhead(t *testing.T) {
	errFull := errors.New("disk full")
	src := strings.NewReader("abcdef")
	resp := response(io.NopCloser(src))
	require.NoError(t, body.Buffer(resp, 3))
	n, err := resp.Body.(io.WriterTo).WriteTo(&failing{2, errFull})
	assert.Equal(t, int64(2), n)
	assert.Equal(t, errFull, err)
	assert.Equal(t, 2, src.Len(), "bytes left")
}

func TestBufferedWriteToInParts(t *testing.T) {
	resp := response(newSource("abcdef", io.EOF))
	require.NoError(t, body.Buffer(resp, 10))
	_, err := resp.Body.Read(make([]byte, 2))
	require.NoError(t, err)
	var rest strings.Builder
	for range 2 {
		_, err = resp.Body.(io.WriterTo).WriteTo(&rest)
		require.NoError(t, err)
	}
	assert.Equal(t, "cdef", rest.String(), "once")
}

// What was peeked of a body that was read ahead is written, too.
func TestBufferedWriteToAfterPeek(t *testing.T) {
	resp := response(newSource("abcdef", io.EOF))
	require.NoError(t, body.Buffer(resp, 10))
	assert.Equal(t, "abc", string(body.Peek(t.Context(), resp, 3, time.Minute)))
	var got strings.Builder
	_, err := io.Copy(&got, resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "abcdef", got.String())
}

// TestBufferRoom: what it buffers, it buffers as Buffer does, but for the memory.
func TestBufferRoom(t *testing.T) {
	resp := response(newSource("abc", io.ErrUnexpectedEOF))
	var room body.BufferRoom
	require.Equal(t, io.ErrUnexpectedEOF, room.Buffer(resp, 10))
	assert.Equal(t, io.ErrUnexpectedEOF, body.Broken(resp))
	got, err := io.ReadAll(resp.Body)
	assert.Equal(t, "abc", string(got))
	assert.Equal(t, io.ErrUnexpectedEOF, err)

	rc := io.NopCloser(strings.NewReader(""))
	allocs := func(buffer func(*http.Response, int64) error) float64 {
		return testing.AllocsPerRun(100, func() {
			resp.Body = rc
			_ = buffer(resp, 10)
		})
	}
	assert.Equal(t, allocs(body.Buffer)-1, allocs(func(resp *http.Response, n int64) error {
		room = body.BufferRoom{}
		return room.Buffer(resp, n)
	}))
}
