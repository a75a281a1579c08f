package transport

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlaybackRead(t *testing.T) {
	r := newRecording(io.NopCloser(strings.NewReader("hello")), spool{maxMemory: 10, max: 10})
	first := r.play()
	n, err := first.Read(nil)
	assert.Zero(t, n)
	require.NoError(t, err)
	_, err = io.ReadFull(first, make([]byte, 2))
	require.NoError(t, err)

	second := r.play()
	_, err = first.Read(make([]byte, 1))
	assert.Equal(t, errSuperseded, err)
	text, err := io.ReadAll(second)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(text))

	require.NoError(t, second.Close())
	_, err = second.Read(make([]byte, 1))
	assert.Equal(t, http.ErrBodyReadAfterClose, err)
}

// A body that was held back for an attempt that does not come after all goes on to its
// end, as long as it is.
func TestPlaybackGoesOnOnceTheCallIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecording(io.NopCloser(strings.NewReader("hello, world")), spool{maxMemory: 5, max: 5})
		last := r.play()
		_, err := io.ReadFull(last, make([]byte, 3))
		require.NoError(t, err)
		require.True(t, r.hold())
		time.AfterFunc(time.Second, r.settle)
		rest, err := io.ReadAll(last)
		require.NoError(t, err)
		assert.Equal(t, "lo, world", string(rest))
		assert.Equal(t, int64(5), r.spool.size(), "and is no longer recorded")
		require.NoError(t, last.Close())
	})
}

// The close of the source is reported to who caused it.
func TestPlaybackCloseError(t *testing.T) {
	boom := errors.New("boom")
	r := newRecording(struct {
		io.Reader
		closeFunc
	}{strings.NewReader(""), func() error { return boom }}, spool{max: 10})
	last := r.play()
	r.settle()
	assert.Equal(t, boom, last.Close())
	assert.NoError(t, last.Close(), "the second time")
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

// A disk that fails when the body is wanted again already leaves nothing to play.
func TestRecordingLosesBody(t *testing.T) {
	t.Run("before the next attempt", func(t *testing.T) {
		r := onFullDisk(t)
		first := r.play()
		_, err := first.Read(make([]byte, 1))
		require.NoError(t, err)
		require.True(t, r.hold())
		_, err = first.Read(make([]byte, 1)) // is sent, but not recorded
		require.NoError(t, err)
		require.False(t, r.playable())
		assert.Zero(t, r.spool.size(), "bytes held that nobody asks for")
		_, err = r.play().Read(make([]byte, 1))
		assert.Equal(t, errNotRecorded, err)
	})
	t.Run("during it", func(t *testing.T) {
		r := onFullDisk(t)
		first := r.play()
		_, err := first.Read(make([]byte, 1))
		require.NoError(t, err)
		second := r.play()
		r.recordLocked(first.(*playback), []byte("e"), nil) // a read that took long
		_, err = second.Read(make([]byte, 1))
		assert.Equal(t, errNotRecorded, err)
	})
}

// A read that was under way when the body came to be wanted again is no reason to
// give up, even if it brings more than there is room for.
func TestRecordingKeepsReadUnderWay(t *testing.T) {
	for name, wanted := range map[string]func(*recording){
		"wanted again": func(r *recording) { require.True(t, r.hold()) },
		"sent again":   func(r *recording) { r.play() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecording(io.NopCloser(strings.NewReader(" there")), spool{maxMemory: 3, max: 3})
			first := r.play().(*playback)
			wanted(r)
			r.recordLocked(first, []byte("hello"), nil)
			assert.True(t, r.playable())
			text, err := io.ReadAll(r.play())
			require.NoError(t, err)
			assert.Equal(t, "hello there", string(text))
			assert.False(t, r.playable(), "it is too long for one more")
			assert.Zero(t, r.spool.size(), "bytes held that nobody asks for")
		})
	}
}

func TestRecordingEndsWithTheCall(t *testing.T) {
	r := newRecording(io.NopCloser(strings.NewReader("hello")), spool{maxMemory: 10, max: 10})
	only := r.play()
	_, err := io.ReadFull(only, make([]byte, 2))
	require.NoError(t, err)
	r.settle()
	rest, err := io.ReadAll(only)
	require.NoError(t, err)
	assert.Equal(t, "llo", string(rest))
	assert.EqualValues(t, 2, r.spool.size(), "bytes recorded")
}

// What waits for room or for another's read goes on as soon as it can, by itself.
func TestPlaybackWaits(t *testing.T) {
	tests := []struct {
		name string
		then func(t *testing.T, r *recording, first io.ReadCloser)
		want error
	}{
		{"sent again", func(_ *testing.T, r *recording, _ io.ReadCloser) { r.play() }, errSuperseded},
		{"closed", func(t *testing.T, _ *recording, first io.ReadCloser) { require.NoError(t, first.Close()) }, http.ErrBodyReadAfterClose},
		{"the call is over", func(_ *testing.T, r *recording, _ io.ReadCloser) { r.settle() }, nil},
	}
	for _, tt := range tests {
		t.Run("for room, "+tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecording(io.NopCloser(strings.NewReader("hello, world")), spool{maxMemory: 5, max: 5})
				first := r.play()
				_, err := io.ReadFull(first, make([]byte, 5))
				require.NoError(t, err)
				require.True(t, r.hold())
				time.AfterFunc(time.Second, func() { tt.then(t, r, first) })
				start := time.Now()
				_, err = first.Read(make([]byte, 1))
				assert.Equal(t, tt.want, err)
				assert.Equal(t, time.Second, time.Since(start))
			})
		})
	}
	t.Run("for another's read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			source, sink := io.Pipe()
			r := newRecording(source, spool{maxMemory: 5, max: 5})
			first := r.play()
			go func() { _, _ = first.Read(make([]byte, 5)) }()
			synctest.Wait()
			second := r.play()
			time.AfterFunc(time.Second, func() { _, _ = sink.Write([]byte("hello")) })
			p := make([]byte, 5)
			_, err := second.Read(p)
			require.NoError(t, err)
			assert.Equal(t, "hello", string(p))
		})
	})
}

// Nothing is held once the call is over and its body closed, not even by a read for an
// earlier attempt that ends later.
func TestRecordingIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, sink := io.Pipe()
		r := newRecording(io.NopCloser(source), spool{maxMemory: 1, max: 20})
		go func() { _, _ = sink.Write([]byte("hello")) }()
		first := r.play()
		_, err := io.ReadFull(first, make([]byte, 5))
		require.NoError(t, err)
		file := r.spool.file
		go func() { _, _ = first.Read(make([]byte, 5)) }()
		synctest.Wait()
		last := r.play()
		r.settle()
		require.NoError(t, last.Close())
		assert.Zero(t, r.spool.size())
		_, err = file.Stat()
		require.ErrorIs(t, err, os.ErrClosed)

		_, err = sink.Write([]byte("late"))
		require.NoError(t, err)
		synctest.Wait()
		assert.Zero(t, r.spool.size())
		assert.Nil(t, r.spool.file)
	})
}

// onFullDisk returns a recording that cannot make a file.
func onFullDisk(t *testing.T) *recording {
	t.Helper()
	t.Setenv("TMPDIR", "/nowhere/at/all")
	if file, err := os.CreateTemp(os.TempDir(), ""); err == nil {
		_ = file.Close()
		_ = os.Remove(file.Name())
		t.Skip("temporary files are found in another way here")
	}
	return newRecording(io.NopCloser(strings.NewReader("hello")), spool{maxMemory: 1, max: 5})
}

func TestSpool(t *testing.T) {
	s := spool{maxMemory: 3, max: 8}
	for _, part := range []string{"ab", "c", "def", "g"} {
		require.NoError(t, s.add([]byte(part)))
	}
	assert.EqualValues(t, 7, s.size())
	assert.EqualValues(t, 1, s.room())
	for offset, want := range []string{"abc", "bc", "c", "defg", "efg", "fg", "g"} {
		p := make([]byte, 10)
		n, err := s.readAt(p, int64(offset))
		require.NoError(t, err)
		assert.Equal(t, want, string(p[:n]))
	}
	require.NoError(t, s.add([]byte("hij")), "a little over the bound")
	assert.Zero(t, s.room())

	file := s.file
	s.free()
	_, err := file.Stat()
	assert.ErrorIs(t, err, os.ErrClosed)
	_, err = os.Stat(file.Name())
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.Zero(t, s.size())
}
