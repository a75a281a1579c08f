package body_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// response returns a response with the body rc.
func response(rc io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Body: rc, ContentLength: -1}
}

// source is a body that gives data and then ends with err. It notes when it is
// closed.
type source struct {
	io.Reader
	closed int
}

func newSource(data string, err error) *source {
	return &source{Reader: &ending{data: []byte(data), err: err}}
}

func (s *source) Close() error {
	s.closed++
	return nil
}

// ending is a reader that ends with an error of choice, beside its last bytes if
// together is set.
type ending struct {
	data     []byte
	err      error
	together bool
}

func (e *ending) Read(p []byte) (int, error) {
	n := copy(p, e.data)
	e.data = e.data[n:]
	if len(e.data) == 0 && (n == 0 || e.together) {
		return n, e.err
	}
	return n, nil
}

// drip is a body of parts that each come some time after the read before, and
// that ends with io.EOF. Closing it ends a read that waits.
type drip struct {
	parts  []part
	closed chan struct{}
	once   sync.Once
}

type part struct {
	after time.Duration
	data  string
}

func newDrip(parts ...part) *drip {
	return &drip{parts: slices.Clone(parts), closed: make(chan struct{})}
}

// never is longer than any test lasts.
const never = 1000 * time.Hour

func (d *drip) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(d.parts) == 0 {
		return 0, io.EOF
	}
	timer := time.NewTimer(d.parts[0].after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.closed:
		return 0, os.ErrClosed
	}
	n := copy(p, d.parts[0].data)
	if d.parts[0] = (part{data: d.parts[0].data[n:]}); d.parts[0].data == "" {
		d.parts = d.parts[1:]
	}
	return n, nil
}

func (d *drip) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// ends is a watcher that keeps what it was told.
type ends []error

func (e *ends) BodyEnd(err error) error {
	*e = append(*e, err)
	return err
}

// writerToBody is a body that can write itself.
type writerToBody struct {
	*source
	data  []byte
	err   error
	calls int
}

func (b *writerToBody) WriteTo(w io.Writer) (int64, error) {
	b.calls++
	n, err := io.Copy(w, bytes.NewReader(b.data))
	if err == nil {
		err = b.err
	}
	return n, err
}
