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
// way it ended.
func Buffer(resp *http.Response, maxBytes int64) error {
	if resp.Body == nil || resp.Body == http.NoBody {
		return nil
	}
	size := int64(minRead)
	if resp.ContentLength > 0 {
		size = min(resp.ContentLength, maxBytes)
	}
	b := &buffered{}
	b.ahead = ahead{head: make([]byte, 0, oneMore(size)), rest: resp.Body}
	b.ahead.fill(maxBytes)
	b.wrap(&b.ahead)
	resp.Body = b
	return b.ahead.err
}

// minRead is the room for an answer of unknown length, in bytes.
const minRead = 512

// buffered is a body that was read ahead, in one piece with what the layers above
// add to it.
type buffered struct {
	watched
	ahead ahead
}

// WriteTo implements [io.WriterTo].
func (b *buffered) WriteTo(w io.Writer) (int64, error) {
	return (&writerTo{&b.watched, &b.ahead}).WriteTo(w)
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
	for int64(len(a.head)) <= maxBytes {
		if len(a.head) == cap(a.head) {
			a.head = append(a.head, 0)[:len(a.head)]
		}
		n, err := a.rest.Read(a.head[len(a.head):min(int64(cap(a.head)), oneMore(maxBytes))])
		a.head = a.head[:len(a.head)+n]
		if err == io.EOF {
			a.whole = int64(len(a.head)) <= maxBytes
			return
		}
		if a.err = err; err != nil {
			return
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	if a.taken < len(a.head) {
		n := copy(p, a.head[a.taken:])
		a.taken += n
		return n, nil
	}
	switch {
	case a.err != nil:
		return 0, a.err
	case a.whole:
		return 0, io.EOF
	}
	return a.rest.Read(p)
}

// WriteTo implements [io.WriterTo].
func (a *ahead) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(a.head[a.taken:])
	a.taken += n
	switch {
	case err != nil:
		return int64(n), err
	case a.taken < len(a.head):
		return int64(n), io.ErrShortWrite
	case a.err != nil || a.whole:
		return int64(n), a.err
	}
	m, err := io.Copy(w, a.rest)
	return int64(n) + m, err
}

func (a *ahead) Close() error { return a.rest.Close() }

// oneMore returns the bound of a read that shows whether more than n bytes come.
func oneMore(n int64) int64 {
	if n == math.MaxInt64 {
		return n
	}
	return n + 1
}

// Broken returns the error that [Buffer] found at the end of the body of resp,
// or nil if there was none or the body was not buffered.
func Broken(resp *http.Response) error {
	rc := resp.Body
	if o, ok := rc.(owner); ok {
		rc = o.own().rc
	}
	if a, ok := rc.(*ahead); ok {
		return a.err
	}
	return nil
}
