package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
)

// What of HTTP/2's frames is used here (RFC 9113 section 6).
const (
	frameData      = 0x0
	frameHeaders   = 0x1
	frameReset     = 0x3
	frameSettings  = 0x4
	frameGoAway    = 0x7
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	noError        = 0x0
	refusedStream  = 0x7
	indexed200     = "\x88" // ":status: 200" in HPACK's static table

	clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// A frame is one of HTTP/2's.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     string
}

func readFrame(r io.Reader) (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	payload := make([]byte, uint32(head[0])<<16|uint32(head[1])<<8|uint32(head[2]))
	if _, err := io.ReadFull(r, payload); err != nil {
		return frame{}, err
	}
	return frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), string(payload)}, nil
}

func (f frame) write(w io.Writer) error {
	n := len(f.payload)
	head := []byte{byte(n >> 16), byte(n >> 8), byte(n), f.kind, f.flags}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(head, f.stream), f.payload...))
	return err
}

// numbers returns the payload of a frame that is made of 32-bit numbers.
func numbers(values ...uint32) string {
	var payload []byte
	for _, v := range values {
		payload = binary.BigEndian.AppendUint32(payload, v)
	}
	return string(payload)
}

// reset says that the server is not interested in a stream.
func reset(stream, code uint32) frame { return frame{frameReset, 0, stream, numbers(code)} }

// goAway says that no stream after last was or will be looked at.
func goAway(last uint32) frame { return frame{frameGoAway, 0, 0, numbers(last, noError)} }

// answer is a status of 200 with text.
func answer(stream uint32, text string) []frame {
	return []frame{
		{frameHeaders, flagEndHeaders, stream, indexed200},
		{frameData, flagEndStream, stream, text},
	}
}

// A reaction is what a frameServer sends in return for the nth request that it
// got, and whether it hangs up then.
type reaction func(n int, stream uint32, body string) (frames []frame, hangUp bool)

// A frameServer is an HTTP/2 server that says what no http.Handler can make an
// http.Server say. It knows no more of HTTP/2 than its clients here need.
type frameServer struct {
	react reaction

	mu       sync.Mutex
	requests int        // guarded by mu
	conns    []net.Conn // guarded by mu
}

// newFrameServer returns a server, which hangs up when the probe's bubble ends, and
// the transport to it.
func (p *probe) newFrameServer(react reaction) (*frameServer, *http.Transport) {
	s := &frameServer{react: react}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	rt := &http.Transport{
		Protocols: &protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := newConns()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.conns = append(s.conns, server)
			go s.serve(server)
			return client, nil
		},
	}
	p.Cleanup(s.hangUp)
	return s, rt
}

// seen returns how many requests there were.
func (s *frameServer) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func (s *frameServer) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		_ = conn.Close() // it never fails
	}
}

// serve ends when either side hangs up.
func (s *frameServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }() // it never fails
	if _, err := io.CopyN(io.Discard, conn, int64(len(clientPreface))); err != nil {
		return
	}
	if (frame{kind: frameSettings}).write(conn) != nil {
		return
	}
	bodies := make(map[uint32]*bytes.Buffer)
	for {
		f, err := readFrame(conn)
		if err != nil || !s.take(conn, bodies, f) {
			return
		}
	}
}

// take reports whether there may be another frame after f.
func (s *frameServer) take(conn net.Conn, bodies map[uint32]*bytes.Buffer, f frame) bool {
	switch {
	case f.kind == frameSettings && f.flags&flagAck == 0:
		return (frame{kind: frameSettings, flags: flagAck}).write(conn) == nil
	case f.kind == frameHeaders:
		bodies[f.stream] = new(bytes.Buffer)
	case f.kind == frameData && bodies[f.stream] != nil:
		bodies[f.stream].WriteString(f.payload)
	default:
		return true
	}
	if f.flags&flagEndStream == 0 {
		return true
	}
	s.mu.Lock()
	s.requests++
	n := s.requests
	s.mu.Unlock()
	frames, hangUp := s.react(n, f.stream, bodies[f.stream].String())
	for _, f := range frames {
		if f.write(conn) != nil {
			return false
		}
	}
	return !hangUp
}
