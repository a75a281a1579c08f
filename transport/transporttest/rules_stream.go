package transporttest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"time"
)

func streamRules() []rule {
	return []rule{
		{
			Rule{
				Name: "events arrive one by one",
				Text: "Each event of a text/event-stream reaches the caller as it is sent, before there is another. " +
					"People watch it arrive.",
				Source: `HTML Living Standard section 9.2, server-sent events; net/http.Response.Body: "streamed on demand as the Body field is read"`,
			},
			eventsArrive,
			both,
		},
		{
			Rule{
				Name:   "trailers arrive",
				Text:   "The trailers of an answer are in its Trailer field once the body was read, announced or not.",
				Source: `net/http.Response.Trailer: "After Body.Read has returned io.EOF, Trailer will contain any trailer values sent by the server"`,
			},
			trailersArrive,
			both,
		},
		{
			Rule{
				Name: "an upgraded connection works both ways",
				Text: "The body of a 101 answer is the connection: an io.ReadWriteCloser, on which both sides may speak first " +
					"and nothing is held back.",
				Source: `net/http.Response.Body: "the Body will also implement io.Writer on a successful "101 Switching Protocols" response"`,
			},
			upgradeWorks,
			http1,
		},
		{
			Rule{
				Name: "informational answers are reported",
				Text: "The caller's httptrace hears of 1xx answers: the layer keeps the context's trace, " +
					"and the answer that counts is the one after them.",
				Source: `net/http/httptrace.ClientTrace.Got1xxResponse: "called for each 1xx informational response header returned before the final non-1xx response"`,
			},
			informationReported,
			both,
		},
	}
}

func eventsArrive(p *probe) {
	event := func(i int) string { return fmt.Sprintf("data: event %d\n\n", i) }
	const events = 4
	seen := make(chan struct{})
	server := p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			_, _ = io.WriteString(w, event(i))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-seen:
			case <-time.After(5 * time.Second): // by now it should have, but the rest may follow
				p.Errorf("event %d did not arrive before there was another", i)
			case <-r.Context().Done():
				return
			}
		}
	}))
	req := p.get(p.Context(), server.URL)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := roundTrip(p.over(server.Transport()), req)
	if err != nil {
		p.Fatalf("an event stream came to %v", err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 1024)
	for i := range events {
		n, err := resp.Body.Read(buf)
		if got := string(buf[:n]); got != event(i) || err != nil {
			p.Fatalf("a read gave %q, %v, want the event %q", got, err, event(i))
		}
		select {
		case seen <- struct{}{}:
		case <-time.After(time.Minute):
			return // the server did not wait, and has said so
		}
	}
	if n, err := resp.Body.Read(buf); n != 0 || err != io.EOF {
		p.Errorf("after the last event came %d bytes and %v, want io.EOF", n, err)
	}
}

func trailersArrive(p *probe) {
	server := p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "X-Sum"
		if r.URL.Path == "/announced" {
			w.Header().Set("Trailer", name)
		} else {
			name = http.TrailerPrefix + name
		}
		_, _ = io.WriteString(w, page)
		_ = http.NewResponseController(w).Flush() // trailers take a body whose length is not known
		w.Header().Set(name, "42")
	}))
	rt := p.over(server.Transport())
	for _, path := range []string{"/announced", "/unannounced"} {
		o := do(rt, p.get(p.Context(), server.URL+path))
		if !o.is(p, http.StatusOK, page) {
			p.Errorf("an answer with trailers came to %v", o)
		} else if got := o.resp.Trailer.Get("X-Sum"); got != "42" {
			p.Errorf("the trailer of %s is %q, want \"42\"", path, got)
		}
	}
}

func upgradeWorks(p *probe) {
	server := NewServer(p, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			p.Errorf("transporttest: %v", err)
			return
		}
		defer func() { _ = conn.Close() }() // the other end may be first
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome\n")
		_, _ = io.Copy(conn, rw.Reader) // until the other end closes
	}))
	ctx, cancel := context.WithTimeout(p.Context(), time.Hour)
	defer cancel()
	req := p.get(ctx, server.URL)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := roundTrip(p.over(server.Transport()), req)
	if err != nil {
		p.Fatalf("an upgrade came to %v", err)
	}
	defer resp.Body.Close()
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		p.Fatalf("an upgrade came to a status of %d with a %T as its body, want 101 and an io.ReadWriteCloser",
			resp.StatusCode, resp.Body)
	}
	lines := bufio.NewReader(conn)
	for i, want := range []string{"welcome\n", "hello\n", "hello again\n"} {
		if i > 0 {
			if _, err := io.WriteString(conn, want); err != nil {
				p.Fatalf("writing to the connection: %v", err)
			}
		}
		if got, err := lines.ReadString('\n'); got != want || err != nil {
			p.Fatalf("the connection gave %q, %v, want %q", got, err, want)
		}
	}
}

func informationReported(p *probe) {
	server := p.server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "fine")
	}))
	var heard atomic.Int64
	ctx := httptrace.WithClientTrace(p.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			heard.Add(1)
			return nil
		},
	})
	o := do(p.over(server.Transport()), p.get(ctx, server.URL))
	if !o.is(p, http.StatusOK, "fine") {
		p.Errorf("an answer after a 103 came to %v", o)
	}
	if heard.Load() == 0 {
		p.Errorf("the caller's trace did not hear of the 103")
	}
}
