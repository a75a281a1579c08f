package console

import (
	"net/http"
	"sync"
	"time"
)

// maxLag is how long a viewer may take to read a snapshot before it is let go.
const maxLag = 10 * time.Second

// A stream shows one row of snapshots to all who watch. They are taken from when
// the first comes until the last has gone.
type stream struct {
	next func() []byte // takes a snapshot; nil for none
	over chan struct{} // closed when no more are shown
	end  func()        // closes it, once
	busy chan struct{} // has room for the one who takes a snapshot

	mu      sync.Mutex
	viewers map[viewer]struct{} // guarded by mu
	last    []byte              // guarded by mu
	ticking *ticking            // nil while nobody watches; guarded by mu
}

// A viewer holds the newest snapshot that one who watches has not read.
type viewer chan []byte

// A ticking is one run of the ticker.
type ticking struct{ stop chan struct{} }

func newStream(next func() []byte) *stream {
	s := &stream{next: next, over: make(chan struct{}), busy: make(chan struct{}, 1), viewers: make(map[viewer]struct{})}
	s.end = sync.OnceFunc(func() { close(s.over) })
	return s
}

func (s *stream) ended() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// serve shows snapshots, as server-sent events, until the client goes.
func (s *stream) serve(w http.ResponseWriter, r *http.Request) {
	conn := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // or nginx keeps them back
	switch {
	case s.ended():
		http.Error(w, "The program is about to end.", http.StatusServiceUnavailable)
		return
	case r.Method == http.MethodHead:
		return
	case conn.Flush() != nil: // this sends the header, where it can
		http.Error(w, "Something around the console keeps it from streaming: its http.ResponseWriter cannot flush.", http.StatusNotImplemented)
		return
	}
	// The server's own time limits are for answers that end. Where they cannot be
	// changed they hold, and the page comes again.
	_ = conn.SetReadDeadline(time.Time{})
	v := s.join()
	defer s.leave(v)
	for {
		_ = conn.SetWriteDeadline(time.Time{}) // over HTTP/2, one that passes ends what nobody writes to, too
		var data []byte
		select {
		case data = <-v:
		case <-r.Context().Done():
		case <-s.over:
		}
		_ = conn.SetWriteDeadline(time.Now().Add(maxLag))
		if data == nil || send(w, conn, data) != nil {
			return
		}
	}
}

func send(w http.ResponseWriter, conn *http.ResponseController, data []byte) error {
	for _, part := range [][]byte{[]byte("data: "), data, []byte("\n\n")} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return conn.Flush()
}

func (s *stream) join() viewer {
	v := make(viewer, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewers[v] = struct{}{}
	if s.ticking == nil {
		s.ticking = &ticking{stop: make(chan struct{})}
		go s.tick(s.ticking)
	} else if s.last != nil {
		v <- s.last
	}
	return v
}

func (s *stream) leave(v viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.viewers, v)
	if len(s.viewers) == 0 {
		close(s.ticking.stop)
		s.ticking, s.last = nil, nil
	}
}

// tick takes a snapshot at once, and then one every interval.
func (s *stream) tick(t *ticking) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case s.busy <- struct{}{}: // an earlier run's snapshot may take its time
		case <-t.stop:
			return
		}
		data := s.next()
		<-s.busy
		if data != nil {
			s.publish(t, data)
		}
		select {
		case <-ticker.C:
		case <-t.stop:
			return
		}
	}
}

// publish hands a snapshot to everybody, in place of one that they have not read.
func (s *stream) publish(t *ticking, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ticking != t { // those it was for have gone
		return
	}
	s.last = data
	for v := range s.viewers {
		select {
		case <-v:
		default:
		}
		v <- data // has room: only who holds the lock sends
	}
}
