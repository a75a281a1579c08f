package transporttest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func bodyRules() []rule {
	return []rule{
		{
			Rule{
				Name: "the answer's body reads in any way",
				Text: "The caller gets every byte once and in order, in reads of whatever size or through io.Copy, and then " +
					"io.EOF as often as it is asked for. The body may give its last bytes together with io.EOF.",
				Source: `io.Reader; net/http.Response.Body: "The response body is streamed on demand as the Body field is read"`,
			},
			bodyReads,
			both,
		},
		{
			Rule{
				Name: "the body outlives the round trip",
				Text: "A long body can be read at leisure after the round trip, to its end. What ends with the round trip instead, a " +
					"context above all, leaves of it what was in a buffer.",
				Source: `net/http.NewRequestWithContext: "the context controls the entire lifetime of a request and its response: ` +
					`obtaining a connection, sending the request, and reading the response headers and body"`,
			},
			bodyOutlives,
			both,
		},
		{
			Rule{
				Name: "a body that can write itself still can",
				Text: "A body that is an io.WriterTo saves io.Copy a buffer, and a copy between sockets the way through " +
					"the program. What is put around it has the method, too.",
				Source: `io.Copy: "If src implements WriterTo, the copy is implemented by calling src.WriteTo(dst)"`,
			},
			bodyWrites,
			http1,
		},
		{
			Rule{
				Name: "the error that ends a body arrives",
				Text: "A body that breaks off ends in the error that broke it, after all that came before, and never in io.EOF: " +
					"half an answer must not look like one.",
				Source: `RFC 9112 section 8; net/http.Response.Body: "If the network connection fails or the server terminates the response, Body.Read calls return an error"`,
			},
			bodyBreaks,
			both,
		},
		{
			Rule{
				Name: "the caller's Close closes the body",
				Text: "The body that the caller gets is open until the caller closes it, read or not, and is closed then, at " +
					"once. As long as it is open it has a connection to itself. To close it again, as many do, does no harm.",
				Source: `net/http.Response.Body: "It is the caller's responsibility to close Body"; net/http/httputil.ReverseProxy closes it twice`,
			},
			bodyCloses,
			both,
		},
		{
			Rule{
				Name: "Close ends a read",
				Text: "A body may be closed while it is read, which is how a caller gets away from one that stalls. " +
					"The read then ends in an error.",
				Source: `net/http.Request.Body: "calling Close should unblock a Read waiting for input"; the bodies that Transport returns do the same`,
			},
			closeEndsRead,
			both,
		},
	}
}

// unannounced answers with a body whose length is not known before its end.
func unannounced(status int, body func() io.ReadCloser) Step {
	return func(req *http.Request) (*http.Response, error) {
		resp := respond(req, status, nil)
		resp.ContentLength = -1
		resp.Body = body()
		return resp, nil
	}
}

// announced answers with a body of a length that is known.
func announced(status int, length int, body func() io.ReadCloser) Step {
	return func(req *http.Request) (*http.Response, error) {
		resp := respond(req, status, nil)
		resp.ContentLength = int64(length)
		resp.Body = body()
		return resp, nil
	}
}

func bodyReads(p *probe) {
	bodies := map[string]func(io.Reader) io.Reader{
		"a body":                   func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
		"a body that gives little": iotest.HalfReader,
		"a body with data at EOF":  func(r io.Reader) io.Reader { return &together{r: bufio.NewReader(r)} },
		"a body with WriteTo":      func(r io.Reader) io.Reader { return r },
	}
	ways := map[string]func(io.Reader) ([]byte, error){
		"at once":          io.ReadAll,
		"byte by byte":     func(r io.Reader) ([]byte, error) { return io.ReadAll(iotest.OneByteReader(r)) },
		"in pieces of 7":   func(r io.Reader) ([]byte, error) { return readIn(r, 7) },
		"in pieces of 997": func(r io.Reader) ([]byte, error) { return readIn(r, 997) },
		"in a copy": func(r io.Reader) ([]byte, error) {
			var buf bytes.Buffer
			_, err := io.Copy(struct{ io.Writer }{&buf}, r)
			return buf.Bytes(), err
		},
		"a little, then in a copy": func(r io.Reader) ([]byte, error) {
			var buf bytes.Buffer
			if _, err := io.CopyN(&buf, r, 10); err != nil {
				return nil, err
			}
			_, err := io.Copy(struct{ io.Writer }{&buf}, r)
			return buf.Bytes(), err
		},
	}
	for name, body := range inOrder(bodies) {
		open := func() io.ReadCloser { return closable(body(strings.NewReader(page))) }
		for length, step := range inOrder(map[string]Step{
			"announced": announced(http.StatusOK, len(page), open),
			"unknown":   unannounced(http.StatusOK, open),
		}) {
			for way, read := range inOrder(ways) {
				resp, err := roundTrip(p.over(p.wire(p.upstream(step))), p.get(p.Context(), base))
				if err != nil {
					p.Errorf("%s of %s length came to %v", name, length, err)
					continue
				}
				data, err := read(steadily(resp.Body))
				if string(data) != page || err != nil {
					p.Errorf("%s of %s length, read %s, gave %s, %v", name, length, way, brief(string(data)), err)
				}
				if n, err := resp.Body.Read(make([]byte, 10)); n != 0 || err != io.EOF {
					p.Errorf("%s of %s length, read %s, gives %d, %v after its end, want io.EOF", name, length, way, n, err)
				}
				_ = resp.Body.Close() // what was read counts
			}
		}
	}
}

// together is a reader whose last bytes come together with io.EOF, as
// iotest.DataErrReader, which does not end when it is asked for no byte.
type together struct{ r *bufio.Reader }

func (t *together) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	if err == nil {
		_, err = t.r.Peek(1)
	}
	return n, err
}

// closable returns r with a Close, and with its WriteTo if it has one.
func closable(r io.Reader) io.ReadCloser { return io.NopCloser(r) }

// readIn reads pieces of n bytes, and nothing between them.
func readIn(r io.Reader, n int) (data []byte, err error) {
	for piece := make([]byte, n); ; {
		if m, err := r.Read(nil); m != 0 || err != nil && err != io.EOF {
			return data, fmt.Errorf("a read of no byte gave %d, %w", m, err)
		}
		m, err := r.Read(piece)
		data = append(data, piece[:m]...)
		switch {
		case err == io.EOF:
			return data, nil
		case err != nil:
			return data, err
		}
	}
}

func bodyOutlives(p *probe) {
	text := strings.Repeat(page, 330) // more than all buffers on its way hold, and 1 MiB
	server := p.server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = io.WriteString(w, text)
	}))
	resp, err := roundTrip(p.over(server.Transport()), p.get(p.Context(), server.URL))
	if err != nil {
		p.Fatalf("a long answer came to %v", err)
	}
	defer resp.Body.Close()
	var got bytes.Buffer
	for range 4 {
		time.Sleep(time.Second)
		if _, err := io.CopyN(&got, steadily(resp.Body), int64(len(text)/4)); err != nil {
			p.Fatalf("the body gave %d bytes of %d, and then %q", got.Len(), len(text), err)
		}
	}
	if got.String() != text {
		p.Errorf("the body gave %s, which is not what was sent", brief(got.String()))
	}
}

func bodyWrites(p *probe) {
	text := strings.Repeat(page, 40) // more than a layer keeps in memory
	step := unannounced(http.StatusOK, func() io.ReadCloser { return io.NopCloser(strings.NewReader(text)) })
	resp, err := roundTrip(p.over(p.upstream(step)), p.get(p.Context(), base))
	if err != nil {
		p.Fatalf("a long answer came to %v", err)
	}
	defer resp.Body.Close()
	from, ok := resp.Body.(io.WriterTo)
	if !ok {
		p.Fatalf("the body is a %T without WriteTo", resp.Body)
	}
	var buf bytes.Buffer
	if n, err := from.WriteTo(&buf); n != int64(len(text)) || err != nil || buf.String() != text {
		p.Errorf("WriteTo gave %d, %v and wrote %s, want %d bytes", n, err, brief(buf.String()), len(text))
	}
}

func bodyBreaks(p *probe) {
	reset := func(data string, err error) func() io.ReadCloser {
		return func() io.ReadCloser {
			return io.NopCloser(io.MultiReader(strings.NewReader(data), iotest.ErrReader(err)))
		}
	}
	for _, tt := range []struct {
		name string
		step Step
		want string
		err  error
	}{
		{"a body that is cut short", Cut(http.StatusOK, "hel"), "hel", io.ErrUnexpectedEOF},
		{"an error page that is cut short", Cut(http.StatusNotFound, "hel"), "hel", io.ErrUnexpectedEOF},
		{"a long body that breaks", unannounced(http.StatusOK, reset(page, errReset)), page, errReset},
		{"a body that breaks at its start", announced(http.StatusOK, 10, reset("", errReset)), "", errReset},
	} {
		below := &ledger{next: p.wire(p.upstream(tt.step))}
		o := do(p.over(below), p.get(p.Context(), base))
		want := tt.err
		if p.proto == http2 && o.err == nil { // in which a stream has its own way to break
			want = cmp.Or(below.last().broke(), tt.err) // the latter if the layer did not read so far
		}
		switch {
		case o.replaced(p):
		case o.err != nil:
			p.Errorf("%s came to %v, want what there is of it", tt.name, o)
		case o.text != tt.want || !errors.Is(o.torn, want):
			p.Errorf("%s came to %v, want %s and then %q", tt.name, o, brief(tt.want), want)
		}
	}
}

// A given is the body of an answer, watched from below.
type given struct {
	rc io.ReadCloser
	at time.Time // when it was given

	mu       sync.Mutex
	read     int64     // bytes; guarded by mu
	err      error     // of the last read; guarded by mu
	closed   bool      // guarded by mu
	closedAt time.Time // guarded by mu
}

func (g *given) Read(b []byte) (int, error) {
	n, err := g.rc.Read(b)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read += int64(n)
	g.err = err
	return n, err
}

func (g *given) Close() error {
	g.mu.Lock()
	if !g.closed {
		g.closed, g.closedAt = true, time.Now()
	}
	g.mu.Unlock()
	return g.rc.Close()
}

// stood returns how long the body was open, and whether it is closed now.
func (g *given) stood() (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closedAt.Sub(g.at), g.closed
}

// broke returns the error of the last read.
func (g *given) broke() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *given) taken() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.read
}

// A ledger is a transport that remembers the bodies that passed it.
type ledger struct {
	next http.RoundTripper

	mu     sync.Mutex
	bodies []*given // guarded by mu
}

func (l *ledger) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := &given{rc: resp.Body, at: time.Now()}
	l.bodies = append(l.bodies, g)
	resp.Body = g
	return resp, nil
}

func (l *ledger) all() []*given {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bodies
}

// asked returns all bodies, and ends the check if there are none.
func (l *ledger) asked() []*given {
	all := l.all()
	if len(all) == 0 {
		panic(ended{"nothing below was asked, or gave an answer"})
	}
	return all
}

// last returns the body that came last. There must be one.
func (l *ledger) last() *given {
	all := l.asked()
	return all[len(all)-1]
}

// slowly is the header of an answer that nobody expects to come at once.
var slowly = []string{"Content-Type", "text/event-stream"}

func bodyCloses(p *probe) {
	size := int64(len(page))
	for _, tt := range []struct {
		name       string
		step       Step
		read, size int64
	}{
		{"a body that was read", Reply(http.StatusOK, page), size, size},
		{"an error page that was read", Reply(http.StatusNotFound, page), size, size},
		{"a body that was not read", Stream(http.StatusOK, []Chunk{{Data: page}}), 0, size},
		{"a body that was read in part", Stream(http.StatusOK, []Chunk{{Data: page}}), 10, size},
		{"a body that stalls", Stall(http.StatusOK, "data: 1\n\n", slowly...), 5, size},
	} {
		below := &ledger{next: p.wire(p.upstream(tt.step))}
		resp, err := roundTrip(p.over(below), p.get(p.Context(), base))
		if err != nil {
			p.Errorf("%s came to %v", tt.name, err)
			continue
		}
		synctest.Wait()
		body := below.last()
		if _, closed := body.stood(); closed && body.taken() < tt.size { // else the layer has it all
			p.Errorf("%s was closed before the caller closed it", tt.name)
		}
		_, _ = io.CopyN(io.Discard, steadily(resp.Body), tt.read) // other rules look at what comes
		closing := time.Now()
		if err := resp.Body.Close(); err != nil {
			p.Errorf("%s cannot be closed: %v", tt.name, err)
		}
		if took := time.Since(closing); took > promptly {
			p.Errorf("to close %s took %v", tt.name, took)
		}
		if _, closed := body.stood(); !closed {
			p.Errorf("%s is open after the caller has closed it", tt.name)
		}
		_ = resp.Body.Close() // what it returns is nobody's promise
	}
}

// promptly is how long that may take which need not wait.
const promptly = 5 * time.Millisecond

func closeEndsRead(p *probe) {
	ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
	defer cancel()
	below := p.upstream(Stall(http.StatusOK, "data: 1\n\n", slowly...))
	resp, err := roundTrip(p.over(below), p.get(ctx, base))
	if err != nil {
		p.Fatalf("an event stream came to %v", err)
	}
	start := time.Now()
	time.AfterFunc(time.Second, func() { _ = resp.Body.Close() })
	_, err = io.Copy(io.Discard, steadily(resp.Body))
	if took := time.Since(start) - time.Second; took > promptly {
		p.Errorf("the read ended %v after the Close", took)
	}
	if err == nil {
		p.Errorf("the read ended as if the body had come to its end")
	}
}
