package body

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// Peek returns up to n bytes from the start of the body of resp, as many as come
// within wait and before ctx ends, and leaves the body to be read from its
// start. A body that drips or stalls is left as it is: its reader gets the
// peeked bytes at once and the rest when it comes. A second Peek sees no more
// than the first asked for. The bytes must not be changed.
//
// What did not come within wait is read on, up to n bytes, by a goroutine that ends
// when the body is closed, at the latest.
func Peek(ctx context.Context, resp *http.Response, n int, wait time.Duration) []byte {
	start, _ := PeekUntil(ctx, resp, n, wait, nil)
	return start
}

// PeekUntil is [Peek] for those who may have seen enough before there are n bytes:
// it returns once enough returns true of what has come so far. Enough is called
// with more each time, on another goroutine and maybe after PeekUntil has returned;
// nil means that n bytes are wanted. The error is what ended the body within these
// bytes, nil if it goes on.
func PeekUntil(ctx context.Context, resp *http.Response, n int, wait time.Duration, enough func(start []byte) bool) ([]byte, error) {
	if resp.Body == nil || resp.Body == http.NoBody || n <= 0 {
		return nil, nil
	}
	b := watch(resp, nil)
	if b.prefix == nil {
		b.prefix = newPrefix(resp.ContentLength, int64(n))
		b.prefix.enough = enough
		go b.prefix.fill(b.rc)
		<-b.prefix.done // it has begun
	}
	await(ctx, b.prefix.done, wait)
	return b.prefix.peeked(n)
}

// A prefix is the start of a body, read ahead on a goroutine of its own. The
// goroutine ends when it has enough, at the body's end, or when the body is
// closed.
type prefix struct {
	size int64         // bytes to read
	room int64         // for how many bytes there is room at first
	done chan struct{} // told once when the goroutine begins, closed when it has ended

	enough func(start []byte) bool // whether to read no further; may be nil

	mu       sync.Mutex
	buf      []byte // what was read ahead; guarded by mu
	taken    int    // how much of buf the reader has had; guarded by mu
	err      error  // what ended the reading; guarded by mu
	panicked any    // what the body panicked with, for the reader; guarded by mu
	stop     bool   // the reader has come: read no further; guarded by mu
}

// newPrefix returns a prefix of up to size bytes of a body of that length, -1 if it
// is not known.
func newPrefix(length, size int64) *prefix {
	return &prefix{size: size, room: roomFor(length, size), done: make(chan struct{}, 1)}
}

// fill reads the start of r, to the end of the goroutine.
func (p *prefix) fill(r io.Reader) {
	defer p.end()
	p.done <- struct{}{}
	buf := make([]byte, 0, p.room)
	for {
		n, err := r.Read(buf[len(buf):min(int64(cap(buf)), p.size)])
		buf = buf[:len(buf)+n]
		if !p.grown(buf, err) || int64(len(buf)) == p.size || p.enough != nil && p.enough(buf) {
			return
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// end says that the reading has ended, and keeps a panic of the body, which nobody
// could recover here.
func (p *prefix) end() {
	if value := recover(); value != nil {
		p.mu.Lock()
		p.panicked = value
		p.mu.Unlock()
	}
	close(p.done)
}

// grown takes note of what has been read so far and reports whether to go on.
func (p *prefix) grown(buf []byte, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf = buf
	p.err = err
	return err == nil && !p.stop
}

// peeked returns the first n bytes of what was read ahead, and what ended the body if
// there are no more.
func (p *prefix) peeked(n int) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n < len(p.buf) {
		return p.buf[:n:n], nil
	}
	return p.buf[:len(p.buf):len(p.buf)], p.err
}

// read hands on what was read ahead. It reports false once all is handed on and
// the body itself is to be read.
func (p *prefix) read(dst []byte) (n int, more bool, err error) {
	n, more, err = p.take(dst)
	if n > 0 || !more || err != nil || len(dst) == 0 {
		return n, more, err
	}
	<-p.done // a read is still under way
	return p.take(dst)
}

// take is read without a wait: it returns 0 bytes while one is under way that may
// bring more.
func (p *prefix) take(dst []byte) (n int, more bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = true
	n = copy(dst, p.buf[p.taken:])
	p.taken += n
	switch {
	case p.taken == len(p.buf) && p.err == io.EOF: //nolint:errorlint // an end is io.EOF itself
		return n, true, io.EOF
	case n > 0 || len(dst) == 0:
		return n, true, nil
	case p.err != nil:
		return 0, true, p.err
	case p.panicked != nil:
		panic(p.panicked)
	}
	select {
	case <-p.done:
		return 0, false, nil
	default:
		return 0, true, nil
	}
}

// holdsAll reports whether the body ended within what was read ahead. A nil prefix
// holds nothing.
func (p *prefix) holdsAll() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil
}

// rest returns what the reader has not had yet and what ended the body.
func (p *prefix) rest() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = true
	if p.panicked != nil {
		panic(p.panicked)
	}
	rest := p.buf[p.taken:]
	p.taken = len(p.buf)
	return rest, p.err
}
