package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy/body"
)

const (
	firstRoom = 512         // for an answer of unknown length, in bytes
	trusted   = 16 << 10    // of an announced length: more is made room for as it comes
	window    = 4 << 10     // of an answer for which there is no room at all, in bytes
	patience  = time.Second // with one who does not read while others wait for him
)

// errLagging ends the body of one who does not keep up with the others.
var errLagging = errors.New("cache: reader of a shared answer fell behind the others")

// errLeft says that a body goes on, but nobody waits for the rest. Whoever reads on
// gets the reason that he himself has none any more.
var errLeft = errors.New("cache: all readers have left")

// stream is the body of a flight's response: what of it has come and is kept for
// the readers. All but the first two fields is guarded by the flight's lock.
type stream struct {
	rc        io.ReadCloser
	announced int64 // its length, zero if it is not known

	closing  sync.Once // of rc
	closeErr error     // set by closing

	buf      []byte // what has come, from base on
	base     int64
	reserved int64 // bytes of the budget
	overlong bool  // what all have read is not kept
	ended    bool
	endedAt  time.Time
	end      error // io.EOF, or what broke the body
	trailer  http.Header

	more  chan struct{} // closed when more has come; nil if nobody waits for it
	moved chan struct{} // closed when a reader has moved on; nil if the pump does not wait for it

	whole sync.Once // tells of the first reader who had all of it
}

// pump reads the body until it ends or everybody has left.
func (f *flight) pump() {
	stop := context.AfterFunc(f.ctx, f.shut)
	end := errPanicked
	defer func() {
		if end == errPanicked { //nolint:errorlint // ours
			if f.panicked = recover(); f.panicked == nil {
				f.panicked = errPanicked
			}
		}
		stop()
		f.shut()
		f.finish(end)
		f.cancel(nil)
	}()
	for {
		room := f.room()
		if room == nil {
			end = errLeft
			return
		}
		n, err := f.rc.Read(room)
		f.add(n)
		if err != nil {
			if end = err; f.ctx.Err() != nil && err != io.EOF {
				end = errLeft // the body was closed for that, which is what err says
			}
			return
		}
	}
}

// shut closes the body, once. A panic becomes the error of that: here, nobody could
// recover it.
func (f *flight) shut() {
	f.closing.Do(func() { f.closeErr = closed(f.rc) })
}

func closed(rc io.Closer) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return rc.Close()
}

// room returns where the next bytes go. It waits for the readers if what came is
// more than is kept, and returns nil if all have left.
func (f *flight) room() []byte {
	for {
		if f.ctx.Err() != nil { // not all bodies end when they are closed
			return nil
		}
		f.mu.Lock()
		if len(f.aboard) == 0 { // the last one out is about to end the flight
			f.mu.Unlock()
			return nil
		}
		if len(f.buf) < cap(f.buf) || f.growLocked() || f.dropLocked() {
			room := f.buf[len(f.buf):cap(f.buf)]
			f.mu.Unlock()
			return room
		}
		moved := make(chan struct{})
		f.moved = moved
		f.mu.Unlock()
		timer := time.NewTimer(patience)
		select {
		case <-moved:
		case <-timer.C:
			f.cutLaggards()
		case <-f.ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// growLocked makes the buffer larger, by one byte more than is kept at most, to
// see the end.
func (f *flight) growLocked() bool {
	most := f.all.maxBytes + 1
	size := int64(cap(f.buf))
	if f.overlong || size >= most {
		return false
	}
	larger := max(2*size, firstRoom)
	if whole := min(f.announced, most-1) + 1; f.announced > 0 && size < whole { // none is too great for that
		larger = min(max(2*size, trusted), whole)
	}
	larger = min(larger, most)
	if f.all.home.reserve(larger - size) {
		f.reserved += larger - size
	} else if size > 0 {
		return false
	} else {
		larger = window
	}
	f.buf = append(make([]byte, 0, larger), f.buf...)
	return true
}

// dropLocked drops what all have read. From then on nobody can have all of it.
func (f *flight) dropLocked() bool {
	slowest := f.base + int64(len(f.buf))
	for _, s := range f.aboard {
		slowest = min(slowest, s.pos)
	}
	f.overlong = true
	n := slowest - f.base
	f.buf = f.buf[:copy(f.buf, f.buf[n:])]
	f.base = slowest
	return n > 0
}

// cutLaggards leaves behind who has not read what all others have, if one of them
// waits for more.
func (f *flight) cutLaggards() {
	f.mu.Lock()
	defer f.mu.Unlock()
	waiting := func(s *seat) bool { return s.pos == f.base+int64(len(f.buf)) }
	if !slices.ContainsFunc(f.aboard, waiting) {
		return
	}
	f.aboard = slices.DeleteFunc(f.aboard, func(s *seat) bool { return s.pos == f.base })
}

// add says that n more bytes are in the buffer.
func (f *flight) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buf = f.buf[:len(f.buf)+n]
	f.tellLocked()
}

// finish says that the body has ended.
func (f *flight) finish(end error) {
	if end != io.EOF { //nolint:errorlint // an end is io.EOF itself
		f.all.remove(f)
	}
	f.mu.Lock()
	f.ended, f.endedAt, f.end = true, time.Now(), end
	f.trailer = f.resp.Trailer
	free := f.spareLocked()
	f.tellLocked()
	f.mu.Unlock()
	f.all.home.release(free)
}

func (f *flight) tellLocked() {
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

func (s *stream) movedLocked() {
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// spareLocked returns what of the budget is no longer needed.
func (f *flight) spareLocked() int64 {
	if !f.ended || len(f.aboard) > 0 {
		return 0
	}
	return f.takeReservedLocked()
}

// takeReserved returns what it has of the budget, to be given back.
func (f *flight) takeReserved() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takeReservedLocked()
}

func (f *flight) takeReservedLocked() int64 {
	n := f.reserved
	f.reserved = 0
	return n
}

// follower is the body of a response that is for all.
type follower struct {
	seat   *seat
	flight *flight
	ctx    context.Context
	resp   *http.Response
	stop   func() bool      // no longer waits for the end of ctx
	whole  func(all []byte) // told of all of it, see keep

	once    sync.Once // gives up the seat
	closing sync.Once // of closed
	closed  chan struct{}
}

// follow gives resp the body that s reads.
func follow(resp *http.Response, s *seat, ctx context.Context) {
	if s.flight.rc == http.NoBody {
		s.flight.leave(s, nil, atAnyTime)
		return
	}
	b := &follower{seat: s, flight: s.flight, ctx: ctx, resp: resp, closed: make(chan struct{})}
	b.stop = context.AfterFunc(ctx, func() { s.flight.leave(s, context.Cause(ctx), atAnyTime) })
	resp.Body = b
}

func (b *follower) Read(p []byte) (int, error) {
	for {
		n, more, err := b.next(p)
		if err != nil {
			b.leave(err)
			err = b.ending(err)
		}
		if more == nil {
			return n, err
		}
		select {
		case <-more:
		case <-b.ctx.Done():
			b.leave(context.Cause(b.ctx))
			return 0, context.Cause(b.ctx)
		case <-b.closed:
			return 0, http.ErrBodyReadAfterClose
		}
	}
}

// WriteTo implements [io.WriterTo]. What has come as a whole is written in one
// piece.
func (b *follower) WriteTo(w io.Writer) (n int64, err error) {
	var room []byte
	for {
		part := b.rest()
		if part == nil {
			if room == nil {
				room = make([]byte, window)
			}
			var k int
			if k, err = b.Read(room); err == io.EOF { //nolint:errorlint // an end is io.EOF itself
				return n, nil
			}
			if part = room[:k]; err != nil {
				return n, err
			}
		}
		k, err := w.Write(part)
		n += int64(k)
		if err == nil && k < len(part) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, err
		}
	}
}

// rest takes what is left of a body that has come as a whole, nil if that is
// nothing.
func (b *follower) rest() []byte {
	f := b.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended || f.overlong {
		return nil
	}
	left := f.buf[b.seat.pos:]
	if len(left) == 0 {
		return nil
	}
	b.seat.pos += int64(len(left))
	return left
}

// next returns what there is, or a channel that tells of more.
func (b *follower) next(p []byte) (n int, more <-chan struct{}, err error) {
	f := b.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-b.closed: // before the flight learns of it
		return 0, nil, http.ErrBodyReadAfterClose
	default:
	}
	if b.seat.pos < f.base { // he has no seat any more
		return 0, nil, b.lost()
	}
	if left := f.buf[b.seat.pos-f.base:]; len(left) > 0 {
		n = copy(p, left)
		b.seat.pos += int64(n)
		f.movedLocked()
		return n, nil, nil
	}
	switch {
	case f.ended && f.end == errLeft: //nolint:errorlint // ours
		return 0, nil, b.lost()
	case f.ended:
		return 0, nil, f.end
	case f.more == nil:
		f.more = make(chan struct{})
	}
	return 0, f.more, nil
}

// lost returns why the reader has no seat any more, though he did not close the body.
func (b *follower) lost() error { return cmp.Or(context.Cause(b.ctx), errLagging) }

// ending returns how the body ends for this reader. A panic is the first caller's;
// to the others the body is cut short.
func (b *follower) ending(err error) error {
	switch {
	case err != errPanicked: //nolint:errorlint // ours
		b.resp.Trailer = b.flight.trailerFor(b.resp)
		return err
	case b.seat.leads:
		panic(b.flight.panicked)
	}
	return io.ErrUnexpectedEOF
}

// trailerFor returns a trailer of the caller's own, which is there once the body
// has ended.
func (f *flight) trailerFor(resp *http.Response) http.Header {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trailer == nil {
		return resp.Trailer
	}
	return f.trailer.Clone()
}

// Close gives up the reader's seat. He may have had all of the body though he did not
// ask on to see the end, as a JSON decoder does not.
func (b *follower) Close() error {
	b.closing.Do(func() { close(b.closed) })
	if b.leave(nil) {
		b.flight.shut()
		return b.flight.closeErr
	}
	return nil
}

// leave gives up the seat, once, because of err, or nil if the reader wants no
// more, and reports whether it was the last. The first who had all of the body
// says so before.
func (b *follower) leave(err error) (last bool) {
	b.once.Do(func() {
		defer func() {
			b.stop()
			_, last = b.flight.leave(b.seat, err, atAnyTime)
		}()
		if all, whole := b.flight.readBy(b.seat, err); whole {
			if b.whole != nil {
				b.flight.whole.Do(func() {
					b.flight.all.home.release(b.flight.takeReserved()) // all is for the store now, to be held or not
					b.whole(all)
				})
			}
			b.flight.all.remove(b.flight)
		}
	})
	return last
}

// readBy returns all of the body if s, who leaves because of err, has had it: to its end
// without trailers, to its announced length, or to that of JSON that can have no more.
func (f *flight) readBy(s *seat, err error) (all []byte, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.overlong || s.pos > f.all.maxBytes || len(f.trailer) > 0 {
		return nil, false
	}
	had := f.buf[:s.pos]
	switch {
	case f.announced > 0:
		return had, s.pos == f.announced
	case err != nil:
		return had, err == io.EOF //nolint:errorlint // an end is io.EOF itself
	case f.ended && f.end != io.EOF: //nolint:errorlint // an end is io.EOF itself
		return nil, false
	case !body.WholeJSON(f.resp.Header.Get("Content-Type"), had):
		return nil, false
	}
	return bytes.Clone(had), true // of the original, more may come
}
