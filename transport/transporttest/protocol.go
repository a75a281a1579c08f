package transporttest

import (
	"io"
	"maps"
	"net/http"
	"strconv"
)

// A protocol is what a rule is checked over.
type protocol int

const (
	http1 protocol = iota // HTTP/1.1, or no wire at all
	http2
	both
)

// overHTTP2 begins the names of the rules that are checked over HTTP/2.
const overHTTP2 = "h2/"

// versions returns the rule once for each protocol, with a name for each.
func (r rule) versions() []rule {
	second := r
	second.Name = overHTTP2 + r.Name
	second.proto = http2
	switch r.proto {
	case both:
		r.proto = http1
		return []rule{r, second}
	case http2:
		return []rule{second}
	}
	return []rule{r}
}

// window is what a server may send over HTTP/2 before somebody reads it. It is the
// least that there can be, so that what is not given back is soon missed.
const window = 64 << 10

// server starts a server that is spoken to in the protocol of the rule.
func (p *probe) server(h http.Handler) *Server {
	s := NewServer(p, h)
	if p.proto == http2 {
		s.UseHTTP2()
		s.Transport().HTTP2 = &http.HTTP2Config{
			MaxReceiveBufferPerConnection: window,
			MaxReceiveBufferPerStream:     window,
		}
	}
	return s
}

// wire puts the wire of the protocol above script, if the rule is about one: a
// server does then what the script says. An error becomes a stream that is reset,
// before the answer or in its body.
func (p *probe) wire(script http.RoundTripper) http.RoundTripper {
	if p.proto != http2 {
		return script
	}
	return p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := script.RoundTrip(r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer func() { _ = resp.Body.Close() }() // what was read counts
		maps.Copy(w.Header(), resp.Header)
		if resp.ContentLength >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
		}
		w.WriteHeader(resp.StatusCode)
		if !flushAll(w, resp.Body) {
			panic(http.ErrAbortHandler)
		}
	})).Transport()
}

// flushAll sends what can be read of r as it comes, and reports whether that was
// all.
func flushAll(w http.ResponseWriter, r io.Reader) bool {
	control := http.NewResponseController(w)
	for buf := make([]byte, 4<<10); ; {
		if control.Flush() != nil {
			return false
		}
		n, err := r.Read(buf)
		if _, failed := w.Write(buf[:n]); failed != nil {
			return false
		}
		if err != nil {
			_ = control.Flush() // what came before a failure arrives, too
			return err == io.EOF
		}
	}
}
