package outage

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// watched is what the console shows, and its server.
type watched struct {
	source  atomic.Pointer[func() telemetry.Snapshot]
	server  *http.Server // nil if nobody watches
	handler http.Handler
	done    chan struct{} // closed when the server has ended

	mu   sync.Mutex
	last telemetry.Snapshot // guarded by mu
}

// watch serves the console, if there is to be one.
func (p Program) watch(o options) (*watched, error) {
	w := &watched{}
	if p.Console == nil || o.console == "" {
		return w, nil
	}
	listener, err := net.Listen("tcp", o.console)
	if err != nil {
		return nil, fmt.Errorf("-console: %w", err)
	}
	w.handler = p.Console(w.snapshot)
	w.server = &http.Server{Addr: listener.Addr().String(), Handler: w.handler, ReadHeaderTimeout: 5 * time.Second}
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		_ = w.server.Serve(listener) // until it is closed
	}()
	return w, nil
}

// tell prints where the console is, if there is one.
func (w *watched) tell(out io.Writer) {
	if w.server != nil {
		fmt.Fprintf(out, "console: http://%s/ shows the stack at work, in a browser, as long as this runs\n", w.server.Addr)
	}
}

// show says what there is to see from now on, as long as the clock goes.
func (w *watched) show(c *clock, source func() telemetry.Snapshot) {
	w.source.Store(new(func() telemetry.Snapshot {
		c.within(func() { w.last = source() })
		return w.last
	}))
}

func (w *watched) snapshot() telemetry.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	if source := w.source.Load(); source != nil {
		return (*source)()
	}
	return telemetry.Snapshot{At: time.Now()}
}

// close ends the console.
func (w *watched) close() {
	if w.server == nil {
		return
	}
	if c, ok := w.handler.(io.Closer); ok {
		_ = c.Close() // viewers' streams end, so that the server can
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		_ = w.server.Close()
	}
	<-w.done
}

// isLoopback reports whether nobody else can reach an address to listen on.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
