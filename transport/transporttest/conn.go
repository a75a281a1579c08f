package transporttest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is what a connection holds in each direction. It matters little,
// but must not be zero: a server may answer before it has read the request.
const bufferSize = 64 << 10

// newConns returns the two ends of a connection.
func newConns() (client, server net.Conn) {
	up, down := newStream(), newStream()
	return &conn{in: down, out: up, local: "client"}, &conn{in: up, out: down, local: "server"}
}

// conn is one end of a connection in memory.
type conn struct {
	in, out *stream
	local   addr
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions. The other end still reads what is on its way. What it
// says once it knows is not read here any more: a server whose caller has left may end
// its answer in peace.
func (c *conn) Close() error {
	c.in.closeRead()
	c.out.closeWrite()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return "peer of the " + c.local }

func (c *conn) SetDeadline(t time.Time) error {
	c.in.readers.set(t)
	c.out.writers.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.readers.set(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.writers.set(t)
	return nil
}

type addr string

func (addr) Network() string  { return "memory" }
func (a addr) String() string { return string(a) }

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	changed sync.Cond // of anything below

	buf     []byte
	ended   bool // the writing end is closed
	unread  bool // the reading end is closed
	readers deadline
	writers deadline
}

func newStream() *stream {
	s := &stream{}
	s.changed.L = &s.mu
	s.readers.stream, s.writers.stream = s, s
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.unread:
			return 0, net.ErrClosed
		case s.readers.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[n:]
			s.changed.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		switch free := bufferSize - len(s.buf); {
		case s.ended:
			return written, net.ErrClosed
		case s.unread:
			return written, io.ErrClosedPipe
		case s.writers.passed():
			return written, os.ErrDeadlineExceeded
		case free > 0:
			n := min(free, len(p))
			s.buf = append(s.buf, p[:n]...)
			p, written = p[n:], written+n
			s.changed.Broadcast()
		default:
			s.changed.Wait()
		}
	}
	return written, nil
}

func (s *stream) closeWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.changed.Broadcast()
}

func (s *stream) closeRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = true
	s.changed.Broadcast()
}

// deadline is the time at which waits on one end of a stream end.
type deadline struct {
	stream *stream
	at     time.Time   // zero means never; guarded by stream.mu
	timer  *time.Timer // wakes who waits; guarded by stream.mu
}

func (d *deadline) set(at time.Time) {
	d.stream.mu.Lock()
	defer d.stream.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at = at
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), d.wake)
	}
}

func (d *deadline) wake() {
	d.stream.mu.Lock()
	defer d.stream.mu.Unlock()
	d.stream.changed.Broadcast()
}

// passed is called with stream.mu held.
func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
