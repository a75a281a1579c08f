package transporttest

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A probe is the test of one rule over one protocol, in a bubble of its own. It is the
// [testing.TB] of what the check uses, and gathers what is reported to it.
type probe struct {
	testing.TB // the bubble's
	*suite
	proto protocol

	mu       sync.Mutex
	failures []string // guarded by mu
}

// Helper does nothing: no line of the suite is of interest in a failure.
func (p *probe) Helper() {}

// Errorf notes a failure. It may be called from any goroutine.
func (p *probe) Errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, fmt.Sprintf(format, args...))
}

// Fatalf notes a failure and ends the check, on whose goroutine it must be
// called.
func (p *probe) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	panic(ended{})
}

// ended is the panic of a check that has seen enough. It says why unless the probe
// knows.
type ended struct{ why string }

func (e ended) String() string { return e.why }

// recover ends a check that ended early, be it that the layer has panicked.
func (p *probe) recover() {
	switch value := recover().(type) {
	case nil:
	case ended:
		if value.why != "" {
			p.Errorf("%s", value.why)
		}
	default:
		p.Errorf("panicked: %v\n%s", value, panickedAt())
	}
}

// over puts a new layer around next.
func (p *probe) over(next http.RoundTripper) http.RoundTripper {
	rt := p.layer(next)
	if rt == nil {
		p.Fatalf("the layer returned no transport")
	}
	return rt
}

// inOrder yields what has names in the order of these, so that the same layer is told the
// same each time.
func inOrder[M ~map[string]V, V any](named M) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(named)) {
			if !yield(name, named[name]) {
				return
			}
		}
	}
}

// tooMany is how many requests nobody sends who gives up at some time.
const tooMany = 5_000

// upstream is [NewUpstream] for a layer that may never give up. The only end to that is
// to let it have no outcome any more, so that everything waits.
func (p *probe) upstream(steps ...Step) *Upstream {
	u := NewUpstream(steps...)
	for i, step := range u.steps {
		u.steps[i] = func(req *http.Request) (*http.Response, error) {
			if u.Calls() > tooMany {
				p.Errorf("more than %d requests came, and no end", tooMany)
				select {}
			}
			return step(req)
		}
	}
	return u
}

// base is where the requests of the checks go.
const base = "http://up.test"

// get returns a request without a body.
func (p *probe) get(ctx context.Context, url string) *http.Request {
	return p.prepare(p.newRequest(ctx, http.MethodGet, url, nil))
}

// post returns a request that any layer may repeat: net/http knows the meaning of
// Idempotency-Key.
func (p *probe) post(ctx context.Context, url string, body io.Reader) *http.Request {
	req := p.newRequest(ctx, http.MethodPost, url, body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "the-same-each-time")
	return p.prepare(req)
}

func (p *probe) newRequest(ctx context.Context, method, url string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		p.Fatalf("transporttest: %v", err)
	}
	return req
}

// An outcome is what came of a request.
type outcome struct {
	resp *http.Response // its body is closed
	err  error          // of the round trip
	text string
	torn error // what ended the body before its end
	took time.Duration
}

// roundTrip sends req, and ends the check if neither an error nor an answer with a body
// comes of it.
func roundTrip(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := outcomeOf(rt, req)
	if err == nil && resp.Body == nil {
		panic(ended{"a round trip gave an answer whose body is nil"})
	}
	return resp, err
}

// outcomeOf sends req, and ends the check if nothing comes of it.
func outcomeOf(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := rt.RoundTrip(req)
	if resp == nil && err == nil {
		panic(ended{"a round trip gave neither an answer nor an error"})
	}
	return resp, err
}

// do sends req, reads the answer to its end and closes it.
func do(rt http.RoundTripper, req *http.Request) outcome {
	start := time.Now()
	var o outcome
	o.resp, o.err = outcomeOf(rt, req) //nolint:bodyclose // it is, below
	if o.err == nil && o.resp.Body != nil {
		var data []byte
		data, o.torn = io.ReadAll(steadily(o.resp.Body))
		_ = o.resp.Body.Close() // what was read counts
		o.text = string(data)
	}
	o.took = time.Since(start)
	return o
}

// steadily returns r, which fails in place of giving nothing for ever.
func steadily(r io.Reader) io.Reader {
	s := &steady{Reader: r}
	if from, ok := r.(io.WriterTo); ok {
		return struct {
			io.Reader
			io.WriterTo
		}{s, from}
	}
	return s
}

type steady struct {
	io.Reader
	empty int // reads in a row that gave nothing
}

func (s *steady) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	switch {
	case n > 0:
		s.empty = 0
	case err == nil && len(b) > 0:
		if s.empty++; s.empty > 100 {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// String describes the outcome in a failure.
func (o outcome) String() string {
	switch {
	case o.err != nil:
		return fmt.Sprintf("error %q", o.err)
	case o.resp == nil:
		return "neither an answer nor an error"
	case o.torn != nil:
		return fmt.Sprintf("status %d, %s, then %q", o.resp.StatusCode, brief(o.text), o.torn)
	}
	return fmt.Sprintf("status %d, %s", o.resp.StatusCode, brief(o.text))
}

// brief quotes a text, or the start of one that is long.
func brief(text string) string {
	const enough = 40
	if len(text) <= enough {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q and so on, %d bytes", text[:enough], len(text))
}

// is reports whether the answer came as it was given. A status of 400 and more
// may have been replaced.
func (o outcome) is(p *probe, status int, text string) bool {
	if o.err != nil || o.resp == nil || o.torn != nil {
		return false
	}
	if o.resp.StatusCode == status && o.text == text {
		return true
	}
	return status >= http.StatusBadRequest && p.replace
}

// replaced reports whether the layer has put an answer in place of a failure, and
// may do so.
func (o outcome) replaced(p *probe) bool { return p.replace && o.err == nil && o.torn == nil }

// transportFunc is a func as a transport, of which each value is itself only.
type transportFunc struct {
	roundTrip func(*http.Request) (*http.Response, error)
}

func (t *transportFunc) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.roundTrip(req)
}

func transport(f func(*http.Request) (*http.Response, error)) http.RoundTripper {
	return &transportFunc{f}
}

// page is what the checks send and get: long enough to take several reads.
var page = strings.Repeat("All that is sent arrives, and in the order in which it was sent. ", 50)
