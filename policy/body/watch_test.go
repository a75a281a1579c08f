package body_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

var errReset = errors.New("connection reset")

func TestWatchEnd(t *testing.T) {
	tests := []struct {
		name string
		body io.ReadCloser
		use  func(io.ReadCloser)
		want []error
	}{
		{"read to its end", newSource("abc", io.EOF), func(rc io.ReadCloser) { _, _ = io.ReadAll(rc) }, []error{io.EOF}},
		{"read and closed", newSource("abc", io.EOF), func(rc io.ReadCloser) { _, _ = io.ReadAll(rc); _ = rc.Close() }, []error{io.EOF}},
		{"read on after the end", newSource("", io.EOF), func(rc io.ReadCloser) { _, _ = io.ReadAll(rc); _, _ = io.ReadAll(rc) }, []error{io.EOF}},
		{"broken", newSource("abc", errReset), func(rc io.ReadCloser) { _, _ = io.ReadAll(rc); _ = rc.Close() }, []error{errReset}},
		{"closed unread", newSource("abc", io.EOF), func(rc io.ReadCloser) { _ = rc.Close() }, []error{body.ErrAbandoned}},
		{"closed twice", newSource("abc", io.EOF), func(rc io.ReadCloser) { _ = rc.Close(); _ = rc.Close() }, []error{body.ErrAbandoned}},
		{"closed before the end is seen", newSource("abc", io.EOF), func(rc io.ReadCloser) { _, _ = rc.Read(make([]byte, 3)); _ = rc.Close() }, []error{body.ErrAbandoned}},
		{"end beside the last bytes", io.NopCloser(&ending{[]byte("abc"), io.EOF, true}), func(rc io.ReadCloser) { _, _ = rc.Read(make([]byte, 3)) }, []error{io.EOF}},
		{"not read yet", newSource("abc", io.EOF), func(rc io.ReadCloser) { _, _ = rc.Read(make([]byte, 1)) }, nil},
		{"no body", http.NoBody, func(rc io.ReadCloser) { _ = rc.Close() }, []error{io.EOF}},
		{"nil body", nil, func(io.ReadCloser) {}, []error{io.EOF}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := response(tt.body)
			var told ends
			body.Watch(resp, &told)
			tt.use(resp.Body)
			if !slices.Equal(told, tt.want) {
				t.Errorf("BodyEnd was told %v, want %v", told, tt.want)
			}
		})
	}
}

// replace is a watcher that puts another error in place of what it is told.
type replace struct {
	told *[]error
	with error
}

func (r replace) BodyEnd(err error) error {
	*r.told = append(*r.told, err)
	return r.with
}

func TestWatchReplacedErrorsFlowOutward(t *testing.T) {
	errInner, errOuter := errors.New("inner"), errors.New("outer")
	resp := response(newSource("abc", errReset))
	var told []error
	body.Watch(resp, replace{&told, errInner})
	body.Watch(resp, replace{&told, errOuter})
	body.Watch(resp, body.EndFunc(func(err error) { told = append(told, err) }))

	data, err := io.ReadAll(resp.Body)
	assert.Equal(t, "abc", string(data))
	assert.Equal(t, errOuter, err, "what the reader gets")
	assert.Equal(t, []error{errReset, errInner, errOuter}, told)
}

func TestWatchSharesOneWrapper(t *testing.T) {
	resp := response(newSource("abc", io.EOF))
	var order []int
	var first io.ReadCloser
	for i := range 9 { // more than there is room for without growing
		body.Watch(resp, body.EndFunc(func(error) { order = append(order, i) }))
		if i == 0 {
			first = resp.Body
		}
		assert.Same(t, first, resp.Body)
	}
	_, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}, order)
}

func TestWatchTellsBeforeItCloses(t *testing.T) {
	src := newSource("abc", io.EOF)
	resp := response(src)
	closed := -1
	body.Watch(resp, body.EndFunc(func(error) { closed = src.closed }))
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 0, closed, "closed before the watcher was told")
	assert.Equal(t, 1, src.closed)
}

// TestWatchPanic: a watcher that panics keeps neither the others nor the body
// below from their end.
func TestWatchPanic(t *testing.T) {
	panicking := func() (resp *http.Response, src *source, told *int) {
		src, told = newSource("abc", io.ErrUnexpectedEOF), new(int)
		resp = response(src)
		body.Watch(resp, body.EndFunc(func(error) { panic("boom") }))
		body.Watch(resp, body.EndFunc(func(error) { *told++ }))
		return resp, src, told
	}
	t.Run("at the end", func(t *testing.T) {
		resp, _, told := panicking()
		assert.PanicsWithValue(t, "boom", func() { _, _ = io.ReadAll(resp.Body) })
		assert.Equal(t, 1, *told)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 1, *told, "once")
	})
	t.Run("at Close", func(t *testing.T) {
		resp, src, told := panicking()
		assert.PanicsWithValue(t, "boom", func() { _ = resp.Body.Close() })
		assert.Equal(t, 1, *told)
		assert.Equal(t, 1, src.closed)
	})
}

// connection is the body of a 101.
type connection struct {
	*source
	bytes.Buffer
}

func (c *connection) Read(p []byte) (int, error) { return c.source.Read(p) }

func TestWatchKeepsTheWriter(t *testing.T) {
	conn := &connection{source: newSource("pong", io.EOF)}
	resp := response(conn)
	var told ends
	body.Watch(resp, &told)
	body.Watch(resp, &told)

	w, ok := resp.Body.(io.Writer)
	require.True(t, ok, "the body is no io.Writer any more")
	_, err := io.WriteString(w, "ping")
	require.NoError(t, err)
	assert.Equal(t, "ping", conn.String())
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "pong", string(data))
	assert.Equal(t, ends{io.EOF, io.EOF}, told)
}

func TestWatchAddsNothing(t *testing.T) {
	resp := response(newSource("abc", io.EOF))
	body.Watch(resp, new(ends))
	if _, ok := resp.Body.(io.Writer); ok {
		t.Error("a plain body became an io.Writer")
	}
	if _, ok := resp.Body.(io.WriterTo); ok {
		t.Error("a plain body became an io.WriterTo")
	}
}

// failing is a destination that fails after some bytes, or takes fewer than it
// is given.
type failing struct {
	room int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	n := min(f.room, len(p))
	f.room -= n
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func TestWatchKeepsTheWriterTo(t *testing.T) {
	errFull := errors.New("disk full")
	var kept bytes.Buffer
	tests := []struct {
		name     string
		end      error // what ends the body, nil for its end
		dst      io.Writer
		pacer    bool
		wantErr  error
		wantEnd  []error // before it is closed
		wantCall int
	}{
		{"whole", nil, &kept, false, nil, []error{io.EOF}, 1},
		{"broken", errReset, io.Discard, false, errReset, []error{errReset}, 1},
		{"destination fails", nil, &failing{2, errFull}, false, errFull, nil, 1},
		{"destination takes too little", nil, &failing{2, nil}, false, io.ErrShortWrite, nil, 1},
		{"paced reads go one by one", nil, io.Discard, true, nil, []error{io.EOF}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := &writerToBody{source: newSource("abc", io.EOF), data: []byte("abc"), err: tt.end}
			resp := response(src)
			var told ends
			body.Watch(resp, &told)
			if tt.pacer {
				body.Watch(resp, &pacer{log: new([]string)})
			}
			n, err := resp.Body.(io.WriterTo).WriteTo(tt.dst)
			assert.Equal(t, tt.wantErr, err)
			if err == nil {
				assert.EqualValues(t, 3, n)
			}
			assert.Equal(t, tt.wantEnd, []error(told))
			assert.Equal(t, tt.wantCall, src.calls)

			require.NoError(t, resp.Body.Close())
			assert.Len(t, told, 1)
		})
	}
	assert.Equal(t, "abc", kept.String())
}

func TestWatchReplacesTheEndOfAWriterTo(t *testing.T) {
	errNoTerminalEvent := errors.New("stream ended without its last event")
	resp := response(&writerToBody{source: newSource("", io.EOF), data: []byte("abc")})
	var told []error
	body.Watch(resp, replace{&told, errNoTerminalEvent})
	n, err := io.Copy(io.Discard, resp.Body)
	assert.EqualValues(t, 3, n)
	assert.Equal(t, errNoTerminalEvent, err)
}

// pacer is a body.Pacer that keeps what it was told.
type pacer struct {
	name string
	log  *[]string
}

func (p *pacer) BodyRead(time.Time) { *p.log = append(*p.log, p.name+" read") }
func (p *pacer) BodyGot()           { *p.log = append(*p.log, p.name+" got") }
func (p *pacer) BodyEnd(err error) error {
	*p.log = append(*p.log, p.name+" end")
	return err
}

func TestPacerOrder(t *testing.T) {
	var log []string
	resp := response(io.NopCloser(readFunc(func(p []byte) (int, error) {
		log = append(log, "source")
		return copy(p, "abc"), io.EOF
	})))
	body.Watch(resp, &pacer{"inner", &log})
	body.Watch(resp, body.EndFunc(func(error) { log = append(log, "watcher end") }))
	body.Watch(resp, &pacer{"outer", &log})

	_, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	want := []string{
		"inner read", "outer read", "source", "inner got", "outer got",
		"inner end", "watcher end", "outer end",
	}
	assert.Equal(t, want, log)
}

// TestPacerTime: a pacer is told when each read begins.
func TestPacerTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp := response(io.NopCloser(readFunc(func(p []byte) (int, error) {
			time.Sleep(time.Second)
			return copy(p, "abc"), nil
		})))
		var told readTimes
		body.Watch(resp, &told)
		start := time.Now()
		for range 2 {
			_, err := resp.Body.Read(make([]byte, 3))
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
		assert.Equal(t, readTimes{start, start.Add(time.Minute + time.Second)}, told)
	})
}

// TestManyPacers: all are told before and after each read, however many they are, and
// each of the end.
func TestManyPacers(t *testing.T) {
	resp, paced := response(newSource("abc", io.EOF)), make([]counter, 5)
	for i := range paced {
		body.Watch(resp, &paced[i])
	}
	_, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	for i := range paced {
		assert.Equal(t, paced[0], paced[i])
		assert.Positive(t, paced[i])
	}
}

// readTimes is a body.Pacer that keeps when reads began.
type readTimes []time.Time

func (r *readTimes) BodyRead(now time.Time)  { *r = append(*r, now) }
func (r *readTimes) BodyGot()                {}
func (r *readTimes) BodyEnd(err error) error { return err }

// TestRoomSuffices: as many watchers as a stack has, and a copy that one of them
// paces, cost no allocation.
func TestRoomSuffices(t *testing.T) {
	src := &writerToBody{source: newSource("", io.EOF)}
	resp, room, paced := response(src), new(body.Room), new(counter)
	ended := 0
	watch := body.EndFunc(func(error) { ended++ })
	const rounds = 100
	allocs := testing.AllocsPerRun(rounds-1, func() { // it adds one
		*room, resp.Body = body.Room{}, src
		for range 5 {
			room.Watch(resp, watch)
		}
		room.Watch(resp, paced)
		_, _ = io.Copy(io.Discard, resp.Body)
	})
	assert.EqualValues(t, 1, allocs, "for a body that can write itself, to stay one")
	assert.Equal(t, 5*rounds, ended)
	assert.EqualValues(t, 3*rounds, *paced)
}

func TestNoRoom(t *testing.T) {
	resp := response(newSource("abc", io.EOF))
	var room *body.Room
	var told []error
	room.Watch(resp, body.EndFunc(func(err error) { told = append(told, err) }))
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(text))
	assert.Equal(t, []error{io.EOF}, told)
}

// counter is a body.Pacer that counts what it is told.
type counter int

func (c *counter) BodyRead(time.Time)      { *c++ }
func (c *counter) BodyGot()                { *c++ }
func (c *counter) BodyEnd(err error) error { *c++; return err }

func TestPacerAfterPanic(t *testing.T) {
	var log []string
	resp := response(io.NopCloser(readFunc(func([]byte) (int, error) { panic("boom") })))
	body.Watch(resp, &pacer{"p", &log})
	assert.Panics(t, func() { _, _ = resp.Body.Read(make([]byte, 1)) })
	assert.Equal(t, []string{"p read", "p got"}, log)
}

// readFunc is a func as a reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestWatchConcurrentClose(t *testing.T) {
	for range 200 {
		pr, pw := io.Pipe()
		resp := response(pr)
		var told atomic.Int64
		body.Watch(resp, body.EndFunc(func(error) { told.Add(1) }))
		body.Watch(resp, body.EndFunc(func(error) { told.Add(1) }))
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.WriteString(pw, strings.Repeat("x", 10))
			_ = pw.Close()
		})
		wg.Go(func() { _, _ = io.Copy(io.Discard, resp.Body) })
		wg.Go(func() { _ = resp.Body.Close() })
		wg.Go(func() { _ = resp.Body.Close() })
		wg.Wait()
		if got := told.Load(); got != 2 {
			t.Fatalf("two watchers were told %d times, want twice", got)
		}
	}
}

func TestCloseRequest(t *testing.T) {
	src := newSource("abc", io.EOF)
	body.CloseRequest(&http.Request{Body: src})
	assert.Equal(t, 1, src.closed)
	body.CloseRequest(&http.Request{}) // has none
}

// TestWatchKeepsTheHalfClose: after a 101 one direction can still be closed, as
// httputil.ReverseProxy does.
func TestWatchKeepsTheHalfClose(t *testing.T) {
	conn := &halfCloser{}
	resp := &http.Response{Body: conn}
	body.Watch(resp, body.EndFunc(func(error) {}))
	half, ok := resp.Body.(interface{ CloseWrite() error })
	require.True(t, ok)
	require.NoError(t, half.CloseWrite())
	assert.True(t, conn.halfClosed)
}

type halfCloser struct {
	io.ReadWriteCloser
	halfClosed bool
}

func (h *halfCloser) CloseWrite() error { h.halfClosed = true; return nil }
