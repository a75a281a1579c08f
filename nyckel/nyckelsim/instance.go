package nyckelsim

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// ErrNotLoopback is matched by the error with which [Start] refuses an address
// that other machines could reach.
var ErrNotLoopback = errors.New("nyckelsim: not a loopback address, such as 127.0.0.1:0")

// An Instance serves a [Server] on a port of its own. While [Faults.Refuse] is
// on, nothing listens on that port. It is safe for concurrent use.
type Instance struct {
	server *Server
	addr   string         // host:port, the same each time it listens
	busy   sync.WaitGroup // connections and handlers

	// Guarded by server.switching; nil while nothing listens.
	http   *http.Server
	served chan struct{} // closed when http no longer accepts
}

// Start serves s on addr, a host and port; empty means "127.0.0.1:0", any free
// port. The address must be a loopback one: the credentials are no secret, and
// a simulator has no business on a network. The caller must close the Instance.
//
// A Server may have several Instances.
func Start(addr string, s *Server) (*Instance, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if err := checkLoopback(addr); err != nil {
		return nil, err
	}
	i := &Instance{server: s, addr: addr}
	s.switching.Lock()
	defer s.switching.Unlock()
	if err := i.listen(); err != nil {
		return nil, err
	}
	if s.faults.refusing() {
		i.refuse()
	}
	s.instances[i] = true
	return i, nil
}

// Listen listens on addr, which must be a loopback address as for [Start]. It is
// for what goes with a simulator, such as an [Admin].
func Listen(addr string) (net.Listener, error) {
	if err := checkLoopback(addr); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("nyckelsim: %w", err)
	}
	return listener, nil
}

func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("nyckelsim: %w", err)
	}
	if host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("%w: %s", ErrNotLoopback, addr)
	}
	return nil
}

// URL returns the base URL, such as "http://127.0.0.1:41234". It does not change.
func (i *Instance) URL() string { return "http://" + i.addr }

// Close stops listening, drops all connections and returns when no goroutine
// of the Instance is left. Further calls do nothing. The Server lives on.
func (i *Instance) Close() error {
	i.server.switching.Lock()
	defer i.server.switching.Unlock()
	delete(i.server.instances, i)
	i.refuse()
	i.busy.Wait()
	return nil
}

// listen accepts connections, if it does not already. Once it has succeeded it
// takes the same port again.
func (i *Instance) listen() error {
	if i.http != nil {
		return nil
	}
	listener, err := net.Listen("tcp", i.addr)
	if err != nil {
		return fmt.Errorf("nyckelsim: %w", err)
	}
	i.addr = listener.Addr().String()
	i.http = &http.Server{
		Handler:           http.HandlerFunc(i.serve),
		ConnState:         i.track,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	served := make(chan struct{})
	i.served = served
	go func(srv *http.Server) {
		_ = srv.Serve(listener) // ends when refuse closes srv
		close(served)
	}(i.http)
	return nil
}

// refuse drops all connections and accepts no more: the kernel answers for the
// port. It returns when that is so, perhaps before the last handler has ended.
func (i *Instance) refuse() {
	if i.http == nil {
		return
	}
	_ = i.http.Close()
	<-i.served
	_ = i.http.Close() // again, for a connection accepted meanwhile
	i.http = nil
}

func (i *Instance) serve(w http.ResponseWriter, r *http.Request) {
	i.busy.Add(1) // for a handler may outlive a connection that it resets
	defer i.busy.Done()
	i.server.ServeHTTP(w, r)
}

func (i *Instance) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		i.busy.Add(1)
	case http.StateHijacked, http.StateClosed:
		i.busy.Done()
	}
}
