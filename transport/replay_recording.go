package transport

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// recording is a request's body that is recorded while it is sent, for attempts
// that come later. Each attempt gets a [playback] of it: what is recorded already,
// then the rest, straight from the source. So nothing is read before the
// transport asks for it, and what the first attempt left unread is there for the
// second.
//
// A transport may go on reading a body after its round trip has returned, and
// closes it in its own time. Therefore reads of the source are made one at a time,
// whoever asks for them, and none is lost: one that was begun for an attempt that
// is over is recorded for the next. The source is closed when the call is over
// and its latest playback is closed.
type recording struct {
	source io.ReadCloser

	mu      sync.Mutex
	changed sync.Cond // of anything below
	spool   spool     // what was read
	end     error     // what ended the source
	latest  *playback // the only one that may read
	reading bool      // a read of the source is under way
	over    bool      // the body is too long, or the disk too full: nothing is recorded any more
	held    bool      // the body is wanted again: it must not become too long
	settled bool      // the call is over: what latest reads need not be recorded
	closed  bool      // the source is
}

// newRecording returns a recording of source.
func newRecording(source io.ReadCloser, s spool) *recording {
	r := &recording{source: source, spool: s}
	r.changed.L = &r.mu
	return r
}

// playable reports whether the body can be had again.
func (r *recording) playable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.playableLocked()
}

func (r *recording) playableLocked() bool {
	return !r.over && (r.end == nil || r.end == io.EOF) //nolint:errorlint // an end is io.EOF itself
}

// hold reports whether the body can be had again, and if so, keeps it from
// becoming too long for that: a transport that still reads it has to wait.
func (r *recording) hold() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = r.playableLocked()
	return r.held
}

// play returns the body for an attempt. Those for earlier attempts end.
func (r *recording) play() io.ReadCloser {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		r.end = errNotRecorded
	}
	r.held = false
	r.latest = &playback{recording: r}
	r.changed.Broadcast()
	return r.latest
}

// settle says that no attempt follows.
func (r *recording) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = true
	r.changed.Broadcast()
	_ = r.releaseLocked() // nobody could act on it
}

// releaseLocked closes the source if nobody needs it any more.
func (r *recording) releaseLocked() error {
	if r.closed || !r.settled || !r.latest.closed {
		return nil
	}
	r.closed = true
	r.over = true
	r.spool.free()
	r.mu.Unlock() // a read may be under way, which the close ends
	defer r.mu.Lock()
	return r.source.Close()
}

// recordLocked takes note of what a read of the source came to that p asked for.
func (r *recording) recordLocked(p *playback, data []byte, err error) {
	current := p == r.latest
	switch {
	case r.over, current && r.settled, len(data) == 0:
	case current && !r.held && int64(len(data)) > r.spool.room():
		r.over = true
		r.spool.free()
	case r.spool.add(data) != nil:
		r.over = true
		r.spool.free()
		if !current {
			err = errNotRecorded
		}
	}
	if err != nil {
		r.end = err
	}
}

var (
	errNotRecorded = errors.New("transport: the request's body could not be recorded")
	errSuperseded  = errors.New("transport: the request is sent again")
)

// playback is a recording as the body of one attempt.
type playback struct {
	recording *recording
	offset    int64 // in the spool; guarded by recording.mu
	closed    bool  // guarded by recording.mu
}

func (p *playback) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r := p.recording
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case p.closed:
			return 0, http.ErrBodyReadAfterClose
		case p != r.latest:
			return 0, errSuperseded
		case !r.over && p.offset < r.spool.size():
			n, err := r.spool.readAt(b, p.offset)
			p.offset += int64(n)
			return n, err
		case r.end != nil:
			return 0, r.end
		case r.reading, r.held && !r.settled && r.spool.room() == 0:
			r.changed.Wait()
		case r.held && !r.settled:
			return p.readLocked(b[:min(int64(len(b)), r.spool.room())])
		default:
			return p.readLocked(b)
		}
	}
}

// readLocked reads from the source.
func (p *playback) readLocked(b []byte) (n int, err error) {
	r := p.recording
	r.reading = true
	r.mu.Unlock()
	defer func() { // also when the source panics
		r.mu.Lock()
		r.reading = false
		r.recordLocked(p, b[:n], err)
		p.offset = r.spool.size()
		r.changed.Broadcast()
	}()
	n, err = r.source.Read(b)
	return n, ofUpload(err)
}

func (p *playback) Close() error {
	r := p.recording
	r.mu.Lock()
	defer r.mu.Unlock()
	p.closed = true
	r.changed.Broadcast()
	return r.releaseLocked()
}
