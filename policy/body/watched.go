package body

import (
	"io"
	"sync/atomic"
	"time"
)

// watchable is a body that is, or contains, a watched one: layers that watch it add to
// that instead of wrapping it once more.
type watchable interface{ asWatched() *watched }

// watched is a response body with its watchers. Reads are the caller's and come
// one at a time; Close may come at any time.
type watched struct {
	rc       io.ReadCloser
	prefix   *prefix // what was peeked and not read yet, or nil
	watchers []Watcher
	room     [6]Watcher // the first memory of watchers: as many as a stack has cost no allocation
	pacers   [2]Pacer   // the watchers that are Pacers, nil if there are fewer; more share the last place
	ended    atomic.Bool
}

func (b *watched) asWatched() *watched { return b }

// wrap puts b around rc.
func (b *watched) wrap(rc io.ReadCloser) {
	b.rc = rc
	b.watchers = b.room[:0]
}

func (b *watched) add(w Watcher) {
	b.watchers = append(b.watchers, w)
	p, ok := w.(Pacer)
	switch {
	case !ok:
	case b.pacers[0] == nil:
		b.pacers[0] = p
	case b.pacers[1] == nil:
		b.pacers[1] = p
	default:
		b.pacers[1] = &bothPacers{b.pacers[1], p}
	}
}

// bothPacers are two pacers as one. Their BodyEnd is not called through it: they are
// watchers, too.
type bothPacers struct{ first, second Pacer }

func (b *bothPacers) BodyRead(now time.Time) {
	b.first.BodyRead(now)
	b.second.BodyRead(now)
}

func (b *bothPacers) BodyGot() {
	b.first.BodyGot()
	b.second.BodyGot()
}

func (*bothPacers) BodyEnd(err error) error { return err }

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.paced(p)
	if err != nil {
		err = b.end(err)
	}
	return n, err
}

// paced reads, and tells the pacers before and after, even if the read panics.
func (b *watched) paced(p []byte) (int, error) {
	if b.pacers[0] == nil {
		return b.read(p)
	}
	now := time.Now()
	for _, pacer := range b.pacers {
		if pacer != nil {
			pacer.BodyRead(now)
		}
	}
	defer func() {
		for _, pacer := range b.pacers {
			if pacer != nil {
				pacer.BodyGot()
			}
		}
	}()
	return b.read(p)
}

func (b *watched) read(p []byte) (int, error) {
	if b.prefix != nil {
		n, more, err := b.prefix.read(p)
		if more {
			return n, err
		}
		b.prefix = nil
	}
	return b.rc.Read(p)
}

// takeAll ends a body that has been read ahead to its end. It returns what the
// reader has not had yet, and true if it came whole and within maxBytes.
func (b *watched) takeAll(maxBytes int64) ([]byte, bool) {
	defer func() { _ = b.Close() }() // even if a watcher panics
	rest, err := b.prefix.rest()
	_ = b.end(err)
	if err != io.EOF || int64(len(rest)) > maxBytes { //nolint:errorlint // an end is io.EOF itself
		return nil, false
	}
	return rest, true
}

// Close ends the body first, so that what its watchers hold is free even if the
// close blocks.
func (b *watched) Close() (err error) {
	defer func() { err = b.rc.Close() }() // even if a watcher panics
	_ = b.end(ErrAbandoned)
	return nil
}

// end tells the watchers once and returns the error as they left it. A second
// read of an ended body returns the error as it is.
func (b *watched) end(err error) error {
	if !b.ended.CompareAndSwap(false, true) {
		return err
	}
	untold := b.watchers
	defer func() { // if one panics, as a hook behind it may, the others still free what they hold
		for _, w := range untold {
			_ = w.BodyEnd(err)
		}
	}()
	for len(untold) > 0 {
		w := untold[0]
		untold = untold[1:]
		err = w.BodyEnd(err)
	}
	return err
}

// duplex is the body of a 101 response, the connection itself, which net/http makes an
// io.Writer.
type duplex struct {
	*watched
	w io.Writer
}

func newDuplex(b *watched, w io.Writer) io.ReadCloser {
	d := &duplex{b, w}
	if closer, ok := w.(writeCloser); ok {
		return &halfDuplex{d, closer}
	}
	return d
}

func (b *duplex) Write(p []byte) (int, error) { return b.w.Write(p) }

// halfDuplex is a duplex of which one direction can be closed.
type halfDuplex struct {
	*duplex
	closer writeCloser
}

func (b *halfDuplex) CloseWrite() error { return b.closer.CloseWrite() }

type writeCloser interface{ CloseWrite() error }

// writerTo is a body that can write itself.
type writerTo struct {
	*watched
	wt io.WriterTo
}

func (b *writerTo) WriteTo(w io.Writer) (int64, error) {
	if b.prefix != nil || b.pacers[0] != nil {
		return io.Copy(w, b.watched) // which has no WriteTo: it is read
	}
	dst := &destination{Writer: w}
	n, err := b.wt.WriteTo(dst)
	switch {
	case err != nil && dst.failed:
		return n, err // the body did not end: Close will end it
	case err != nil:
		return n, b.end(err)
	}
	if err := b.end(io.EOF); err != io.EOF { //nolint:errorlint // an end is io.EOF itself
		return n, err
	}
	return n, nil
}

// destination notes whether it was the writer that failed.
type destination struct {
	io.Writer
	failed bool
}

func (d *destination) Write(p []byte) (int, error) {
	n, err := d.Writer.Write(p)
	d.failed = d.failed || err != nil || n < len(p)
	return n, err
}
