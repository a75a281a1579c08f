package transporttest

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing/synctest"
)

func connectionRules() []rule {
	return []rule{
		{
			Rule{
				Name: "one connection serves many calls",
				Text: "Calls in turn use the same connection, whether they succeed or fail: every answer is read to its " +
					"end, by the caller or by the layer that drops it. A new connection costs round trips, and ports run out.",
				Source: `net/http.Response.Body: "may not reuse HTTP/1.x "keep-alive" TCP connections if the Body is not read to completion and closed"`,
			},
			connectionReused,
			both,
		},
		{
			Rule{
				Name: "idle connections are left alone",
				Text: "The layer closes no idle connections by itself. They belong to all who share the transport, " +
					"also on the way to other hosts.",
				Source: "net/http.Client.CloseIdleConnections, with which the owner of the client says so",
			},
			idleLeftAlone,
			http1,
		},
		{
			Rule{
				Name: "CloseIdleConnections is handed on",
				Text: "A client that is told to close its idle connections asks the outermost transport. " +
					"If that lacks the method nothing happens, and nobody is told.",
				Source: `net/http.Client.CloseIdleConnections: "If Client.Transport does not have a CloseIdleConnections method then this method does nothing"`,
			},
			idleHandedOn,
			http1,
		},
	}
}

func connectionReused(p *probe) {
	for _, every := range []int64{0, 3} { // how many requests there are for one that fails
		var requests atomic.Int64
		server := p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if n := requests.Add(1); every > 0 && n%every != 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, _ = io.WriteString(w, page)
		}))
		rt := p.over(server.Transport())
		for range 20 {
			do(rt, p.get(p.Context(), server.URL+"/get"))
			synctest.Wait() // net/http offers a new HTTP/2 connection to others a little late
			do(rt, p.post(p.Context(), server.URL+"/post", strings.NewReader("hello")))
		}
		if conns := server.Conns(); conns > 1 {
			p.Errorf("%d requests, of which one in %d succeeded, took %d connections", requests.Load(), max(every, 1), conns)
		}
	}
}

// idler is a transport that counts how often it was told to close its idle
// connections.
type idler struct {
	http.RoundTripper
	told atomic.Int64
}

func (i *idler) CloseIdleConnections() { i.told.Add(1) }

func idleLeftAlone(p *probe) {
	for _, step := range []Step{
		Reply(http.StatusOK, "fine"),
		Reply(http.StatusServiceUnavailable, "busy"),
		Fail(errReset),
		Cut(http.StatusOK, "hel"),
		Panic("boom"),
	} {
		below := &idler{RoundTripper: p.upstream(step)}
		rt := p.over(below)
		for range 20 {
			panics(rt, p.get(p.Context(), base))
		}
		if told := below.told.Load(); told > 0 {
			p.Errorf("the transport below was told %d times to close its idle connections", told)
		}
	}
}

func idleHandedOn(p *probe) {
	below := &idler{RoundTripper: p.upstream()}
	rt := p.over(below)
	do(rt, p.get(p.Context(), base))
	before := below.told.Load()
	(&http.Client{Transport: rt}).CloseIdleConnections()
	if below.told.Load() == before {
		p.Errorf("the transport below was not told to close its idle connections")
	}
}
