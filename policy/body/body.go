// Package body holds what a well-behaved [http.RoundTripper] layer does with
// bodies: watch the end of a response's body, peek into it, copy what its reader
// gets, read a small one whole, discard one so that its connection can be used
// again, take a snapshot of a request's, and close that.
//
// It is for writers of layers. Programs that only use the toolkit do not need
// it.
package body

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// ErrAbandoned is the end of a body that was closed before it was read to its
// end.
var ErrAbandoned = errors.New("body: closed before its end")

// A Watcher is told how the body of a response ends.
type Watcher interface {
	// BodyEnd is called once, from within the Read, WriteTo or Close that ends the
	// body: with [io.EOF] when it was read to its end, with the error that ended it,
	// or with [ErrAbandoned]. A Close may come while another goroutine reads. What
	// BodyEnd returns takes the error's place for the reader and for the watchers
	// that were added later. It must not call the body.
	BodyEnd(err error) error
}

// A Pacer is a [Watcher] that is also told of each read, to bound its time.
type Pacer interface {
	Watcher
	BodyRead(now time.Time) // before a read, which begins now
	BodyGot()               // after it, and before the BodyEnd that it may lead to
}

// EndFunc is a func as a [Watcher] that leaves the error as it is.
type EndFunc func(err error)

// BodyEnd calls f.
func (f EndFunc) BodyEnd(err error) error {
	f(err)
	return err
}

// Watch makes w watch the body of resp. Watchers are told in the order in which
// they were added. A body that is also an [io.Writer], as after a 101, or an
// [io.WriterTo] stays one. A body that is empty ends at once.
func Watch(resp *http.Response, w Watcher) {
	(*Room)(nil).Watch(resp, w)
}

// A Room is memory for what [Watch] puts around a body, for a layer that has an
// object per request to hold it. Its zero value is ready for one body, for as long as
// anybody may read that. With a nil Room, memory is allocated when it is needed.
type Room struct{ b watched }

// Watch does what the func of that name does, in the memory of the Room.
func (r *Room) Watch(resp *http.Response, w Watcher) {
	if resp.Body == nil || resp.Body == http.NoBody {
		_ = w.BodyEnd(io.EOF) // nobody reads it
		return
	}
	watch(resp, r).add(w)
}

// watch returns the body of resp as a watched one. Unless it is one already, it wraps
// it, in room if that is not nil.
func watch(resp *http.Response, room *Room) *watched {
	if o, ok := resp.Body.(watchable); ok {
		return o.asWatched()
	}
	if room == nil {
		room = new(Room)
	}
	b := &room.b
	b.wrap(resp.Body)
	switch inner := resp.Body.(type) {
	case io.Writer:
		resp.Body = newDuplex(b, inner)
	case io.WriterTo:
		resp.Body = &writerTo{b, inner}
	default:
		resp.Body = b
	}
	return b
}

// CloseRequest closes the body of a request that is not sent, which a
// RoundTripper owes its caller on errors, too.
func CloseRequest(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nobody could act on an error
	}
}
