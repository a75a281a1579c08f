package transporttest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
)

// A Server is an HTTP server whose connections are in memory, together with the
// transport that reaches it. It is safe for concurrent use.
type Server struct {
	// URL is the base URL of the server, without a slash at its end. The
	// transport brings requests for any other host here, too.
	URL string

	transport *http.Transport
	incoming  chan net.Conn
	closed    chan struct{}
	close     func() // once

	mu    sync.Mutex
	conns int // guarded by mu
}

// NewServer starts a server that answers with h. It lasts until the test ends;
// in a bubble, to the end of the bubble. A handler still running by then finds
// its request's context canceled, and must end.
func NewServer(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{
		URL:      "http://server.test",
		incoming: make(chan net.Conn),
		closed:   make(chan struct{}),
	}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	s.transport = &http.Transport{DialContext: s.dial}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	var serving sync.WaitGroup
	server := &http.Server{
		Handler:   h,
		Protocols: &protocols,
		ErrorLog:  log.New(io.Discard, "", 0), // what a test cuts short is no news
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				serving.Add(1)
			case http.StateHijacked, http.StateClosed:
				serving.Done()
			}
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener{s}) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("transporttest: closing the server: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("transporttest: the server ended: %v", err)
		}
		serving.Wait()
		s.transport.CloseIdleConnections()
	})
	return s
}

// Transport returns the transport to the server, which speaks HTTP/1.1. A test may
// change its fields before the first request.
func (s *Server) Transport() *http.Transport { return s.transport }

// UseHTTP2 makes the transport speak HTTP/2 from the start, without TLS. It must
// be called before the first request.
func (s *Server) UseHTTP2() {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s.transport.Protocols = &protocols
}

// Client returns a new client with the server's transport.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.transport} }

// Conns returns how many connections were ever dialled.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func (s *Server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := newConns()
	select {
	case s.incoming <- server:
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
		return client, nil
	case <-s.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// listener is a [Server] as the [net.Listener] of its http.Server.
type listener struct{ *Server }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	l.close()
	return nil
}

func (l listener) Addr() net.Addr { return addr("server") }
