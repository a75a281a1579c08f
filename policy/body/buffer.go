package body

import (
	"io"
	"math"
	"net/http"
)

// Buffer reads up to maxBytes of the body of resp and puts what it read back, so
// that the body can be read from its start without waiting. It returns the
// error that cut the body short, or nil if it came whole or is longer than
// maxBytes. In every case the body then gives what the server sent and ends the
// way it ended. One that panics is closed: nobody gets it.
func Buffer(resp *http.Response, maxBytes int64) error {
	return new(BufferRoom).Buffer(resp, maxBytes)
}

// A BufferRoom is a [Room] for [Buffer], too: for a layer that has an object per
// request and may read the answer to it ahead.
type BufferRoom struct {
	Room
	ahead ahead
}

// Buffer is the func of that name. It needs memory for what it reads only.
func (r *BufferRoom) Buffer(resp *http.Response, maxBytes int64) error {
	if resp.Body == nil || resp.Body == http.NoBody {
		return nil
	}
	r.ahead.head = make([]byte, 0, roomFor(resp.ContentLength, oneMore(maxBytes)))
	r.ahead.rest = resp.Body
	r.ahead.fill(maxBytes)
	r.b.wrap(&r.ahead)
	resp.Body = (*buffered)(r)
	return r.ahead.err
}

// roomFor returns for how many bytes to make room at first if up to size are read
// of a body of that length, which may be unknown or a lie: for one more than come,
// to see the end.
func roomFor(length, size int64) int64 {
	const unknown, most = 512, 1 << 20
	if length <= 0 {
		return min(size, unknown)
	}
	return min(size, oneMore(length), most)
}

// buffered is a body that was read ahead, in one piece with what the layers above
// add to it.
type buffered BufferRoom

func (b *buffered) asWatched() *watched        { return &b.b }
func (b *buffered) Read(p []byte) (int, error) { return b.b.Read(p) }
func (b *buffered) Close() error               { return b.b.Close() }

// WriteTo implements [io.WriterTo]. What is in memory comes without a wait, so
// there is nothing to tell a [Pacer].
func (b *buffered) WriteTo(w io.Writer) (int64, error) {
	if !b.ahead.inMemory() || b.b.prefix != nil {
		return (&writerTo{&b.b, &b.ahead}).WriteTo(w)
	}
	n, err := b.ahead.writeHead(w)
	if err != nil {
		return n, err // the body did not end: Close will end it
	}
	if err = b.b.end(b.ahead.end()); err != io.EOF { //nolint:errorlint // an end is io.EOF itself
		return n, err
	}
	return n, nil
}

// ahead is a body of which the beginning, or all, has been read.
type ahead struct {
	head  []byte
	taken int // how much of head the reader has had
	rest  io.ReadCloser
	whole bool  // head is all there is
	err   error // what ended the body after head, or nil
}

// fill reads until the body ends or maxBytes are exceeded.
func (a *ahead) fill(maxBytes int64) {
	done := false
	defer func() {
		if !done { // the body panicked
			_ = a.rest.Close()
		}
	}()
	for int64(len(a.head)) <= maxBytes {
		if len(a.head) == cap(a.head) {
			a.head = append(a.head, 0)[:len(a.head)]
		}
		n, err := a.rest.Read(a.head[len(a.head):min(int64(cap(a.head)), oneMore(maxBytes))])
		a.head = a.head[:len(a.head)+n]
		if err == io.EOF {
			a.whole = true
			break
		}
		if a.err = err; err != nil {
			break
		}
	}
	done = true
}

func (a *ahead) Read(p []byte) (int, error) {
	if a.taken < len(a.head) {
		n := copy(p, a.head[a.taken:])
		a.taken += n
		if a.whole && a.taken == len(a.head) {
			return n, io.EOF // as net/http does: not all readers ask once more
		}
		return n, nil
	}
	if a.inMemory() {
		return 0, a.end()
	}
	return a.rest.Read(p)
}

// WriteTo implements [io.WriterTo] for a body that goes on after head.
func (a *ahead) WriteTo(w io.Writer) (int64, error) {
	n, err := a.writeHead(w)
	if err != nil {
		return n, err
	}
	m, err := io.Copy(w, a.rest)
	return n + m, err
}

// writeHead writes what the reader has not had of head.
func (a *ahead) writeHead(w io.Writer) (int64, error) {
	n, err := w.Write(a.head[a.taken:])
	a.taken += n
	if err == nil && a.taken < len(a.head) {
		err = io.ErrShortWrite
	}
	return int64(n), err
}

// inMemory reports whether nothing comes after head.
func (a *ahead) inMemory() bool { return a.whole || a.err != nil }

// end returns what ended a body that is in memory.
func (a *ahead) end() error {
	if a.err != nil {
		return a.err
	}
	return io.EOF
}

func (a *ahead) Close() error { return a.rest.Close() }

// oneMore returns the bound of a read that shows whether more than n bytes come.
func oneMore(n int64) int64 {
	if n == math.MaxInt64 {
		return n
	}
	return n + 1
}

// Broken returns the error that is known to be in the body of resp before it is
// read: the one that [Buffer] found at its end, or what the method
//
//	Broken() error
//
// of a body of another kind returns. It is nil if there is none or nothing is
// known.
func Broken(resp *http.Response) error {
	rc := resp.Body
	if o, ok := rc.(watchable); ok {
		rc = o.asWatched().rc
	}
	if b, ok := rc.(interface{ Broken() error }); ok {
		return b.Broken()
	}
	return nil
}

// Broken returns the error that cut the body short.
func (a *ahead) Broken() error { return a.err }
