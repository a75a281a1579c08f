package body

import (
	"io"
	"sync/atomic"
)

// owner lets several layers share one wrapper.
type owner interface{ own() *watched }

// watched is a response body with its watchers. Reads are the caller's and come
// one at a time; Close may come at any time.
type watched struct {
	rc       io.ReadCloser
	prefix   *prefix // what was peeked and not read yet, or nil
	pacer    Pacer   // the innermost one, or nil
	watchers []Watcher
	room     [4]Watcher // where watchers start out, so that few cost no allocation
	ended    atomic.Bool
}

func (b *watched) own() *watched { return b }

func (b *watched) Read(p []byte) (int, error) {
	if b.pacer != nil {
		b.pacer.BodyRead()
		defer b.pacer.BodyGot()
	}
	n, err := b.read(p)
	if err != nil {
		err = b.end(err)
	}
	return n, err
}

func (b *watched) read(p []byte) (int, error) {
	if b.prefix != nil {
		n, err, more := b.prefix.read(p)
		if more {
			return n, err
		}
		b.prefix = nil
	}
	return b.rc.Read(p)
}

// Close ends the body first, so that what its watchers hold is free even if the
// close blocks.
func (b *watched) Close() error {
	b.end(ErrAbandoned)
	return b.rc.Close()
}

// end tells the watchers once and returns the error as they left it. A second
// read of an ended body returns the error as it is.
func (b *watched) end(err error) error {
	if !b.ended.CompareAndSwap(false, true) {
		return err
	}
	for _, w := range b.watchers {
		err = w.BodyEnd(err)
	}
	return err
}

// duplex is the body of a 101 response: the connection itself.
type duplex struct {
	*watched
	w io.Writer
}

func (b *duplex) Write(p []byte) (int, error) { return b.w.Write(p) }

// writerTo is a body that can write itself.
type writerTo struct {
	*watched
	wt io.WriterTo
}

func (b *writerTo) WriteTo(w io.Writer) (int64, error) {
	if b.prefix != nil || b.pacer != nil {
		return io.Copy(w, onlyReader{b.watched})
	}
	n, err := b.wt.WriteTo(w)
	if err != nil {
		return n, b.end(err)
	}
	if err := b.end(io.EOF); err != io.EOF {
		return n, err
	}
	return n, nil
}

// onlyReader hides WriteTo from io.Copy.
type onlyReader struct{ io.Reader }
