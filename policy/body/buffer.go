package body

import (
	"bytes"
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
	var buf bytes.Buffer
	if resp.ContentLength > 0 {
		buf.Grow(int(min(resp.ContentLength, maxBytes)) + bytes.MinRead)
	}
	_, err := buf.ReadFrom(io.LimitReader(resp.Body, oneMore(maxBytes)))
	resp.Body = &buffered{head: &buf, rest: resp.Body, err: err, whole: err == nil && int64(buf.Len()) <= maxBytes}
	return err
}

// buffered is a body that was read ahead.
type buffered struct {
	head  *bytes.Buffer
	rest  io.ReadCloser
	whole bool  // head is all there is
	err   error // what ended the body after head, or nil
}

func (b *buffered) Read(p []byte) (int, error) {
	if b.head.Len() > 0 {
		return b.head.Read(p)
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case b.whole:
		return 0, io.EOF
	}
	return b.rest.Read(p)
}

// WriteTo implements [io.WriterTo].
func (b *buffered) WriteTo(w io.Writer) (int64, error) {
	n, err := b.head.WriteTo(w)
	switch {
	case err != nil:
		return n, err
	case b.err != nil || b.whole:
		return n, b.err
	}
	m, err := io.Copy(w, b.rest)
	return n + m, err
}

func (b *buffered) Close() error { return b.rest.Close() }

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
	if b, ok := rc.(*buffered); ok {
		return b.err
	}
	return nil
}
