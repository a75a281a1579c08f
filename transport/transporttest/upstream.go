package transporttest

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Step is what an [Upstream] does with one request: it returns a response or
// an error, as [http.RoundTripper] says. The upstream reads and closes the
// request's body before. A test can use a func of its own beside the ones here.
type Step func(*http.Request) (*http.Response, error)

// An Upstream is a server without a wire: a transport that plays a script. It
// takes the steps one by one, and repeats the last one for ever. It is safe for
// concurrent use.
type Upstream struct {
	mu       sync.Mutex
	steps    []Step    // guarded by mu
	requests []Request // guarded by mu
}

// A Request is one that an [Upstream] was sent.
type Request struct {
	At     time.Time // when it came
	Method string
	URL    string
	Header http.Header
	Body   string // as far as it could be read
}

// NewUpstream returns an upstream that plays steps. Without any it answers every
// request with an empty 200.
func NewUpstream(steps ...Step) *Upstream {
	if len(steps) == 0 {
		steps = []Step{Reply(http.StatusOK, "")}
	}
	return &Upstream{steps: slices.Clone(steps)}
}

// RoundTrip plays the next step.
func (u *Upstream) RoundTrip(req *http.Request) (*http.Response, error) {
	r := Request{At: time.Now(), Method: req.Method, URL: req.URL.String(), Header: req.Header.Clone()}
	if req.Body != nil {
		data, err := io.ReadAll(req.Body)
		_ = req.Body.Close() // it was only read
		r.Body = string(data)
		if err != nil {
			u.next(r)
			return nil, err
		}
	}
	return u.next(r)(req)
}

// next remembers a request and returns the step it gets.
func (u *Upstream) next(r Request) Step {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests = append(u.requests, r)
	step := u.steps[0]
	if len(u.steps) > 1 {
		u.steps = u.steps[1:]
	}
	return step
}

// Requests returns what the upstream was sent, in the order in which it came.
func (u *Upstream) Requests() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

// Calls returns how many requests the upstream was sent.
func (u *Upstream) Calls() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.requests)
}

// Reply answers with a status, a body of known length and header fields, given as
// names and values in turn.
func Reply(status int, body string, header ...string) Step {
	return func(req *http.Request) (*http.Response, error) {
		resp := respond(req, status, header)
		resp.ContentLength = int64(len(body))
		resp.Body = http.NoBody
		if body != "" {
			resp.Body = io.NopCloser(strings.NewReader(body))
		}
		return resp, nil
	}
}

// Fail fails with err.
func Fail(err error) Step {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// Panic panics with value.
func Panic(value any) Step {
	return func(*http.Request) (*http.Response, error) { panic(value) }
}

// Hang never answers: it fails with the cause when the request's context ends.
func Hang() Step { return After(forever, nil) }

// After plays step once d has passed, if the request's context lasts so long.
func After(d time.Duration, step Step) Step {
	return func(req *http.Request) (*http.Response, error) {
		if err := wait(req.Context(), nil, d); err != nil {
			return nil, err
		}
		return step(req)
	}
}

// Cut answers with a body that is announced one byte longer than it is, and ends
// in [io.ErrUnexpectedEOF] as net/http's do.
func Cut(status int, body string, header ...string) Step {
	return func(req *http.Request) (*http.Response, error) {
		resp := streaming(req, status, header, play(Chunk{Data: body, Err: io.ErrUnexpectedEOF}))
		resp.ContentLength = int64(len(body)) + 1
		return resp, nil
	}
}

// A Chunk is a part of a body. It comes After the one before it was read.
type Chunk struct {
	After time.Duration
	Data  string
	Err   error // ends the body after Data, unless nil
}

// Stream answers with a body of unknown length that comes in chunks. Reads of it
// end early with the request's context, and when the body is closed.
func Stream(status int, chunks []Chunk, header ...string) Step {
	return func(req *http.Request) (*http.Response, error) {
		return streaming(req, status, header, play(chunks...)), nil
	}
}

// Stall answers with a body of unknown length that never ends: after its start
// nothing comes.
func Stall(status int, start string, header ...string) Step {
	return Stream(status, []Chunk{{Data: start}, {After: forever}}, header...)
}

// Drip answers with a body of unknown length that never ends: data comes again
// and again, each time after a wait of every.
func Drip(status int, data string, every time.Duration, header ...string) Step {
	return func(req *http.Request) (*http.Response, error) {
		return streaming(req, status, header, func() Chunk { return Chunk{After: every, Data: data} }), nil
	}
}

// respond returns a response without a body.
func respond(req *http.Request, status int, header []string) *http.Response {
	resp := &http.Response{
		Status:     fmt.Sprintf("%d %s", status, http.StatusText(status)),
		StatusCode: status,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header{},
		Request:    req,
	}
	for pair := range slices.Chunk(header, 2) {
		resp.Header.Add(pair[0], pair[1])
	}
	return resp
}

// streaming returns a response whose body is what next returns.
func streaming(req *http.Request, status int, header []string, next func() Chunk) *http.Response {
	resp := respond(req, status, header)
	resp.ContentLength = -1
	resp.Body = &streamed{ctx: req.Context(), next: next, closed: make(chan struct{})}
	return resp
}

// play returns a func that returns chunks one by one, and then the end.
func play(chunks ...Chunk) func() Chunk {
	return func() Chunk {
		if len(chunks) == 0 {
			return Chunk{Err: io.EOF}
		}
		c := chunks[0]
		chunks = chunks[1:]
		return c
	}
}

// streamed is a body that comes in chunks.
type streamed struct {
	ctx  context.Context // of the request, with which a body of net/http's ends, too
	next func() Chunk
	left string // of the chunk that is being read
	err  error  // what ends the body after left

	once   sync.Once
	closed chan struct{}
}

func (b *streamed) Read(p []byte) (int, error) {
	select {
	case <-b.closed: // with something left, it may be
		return 0, http.ErrBodyReadAfterClose
	default:
	}
	for b.left == "" && b.err == nil {
		c := b.next()
		b.left, b.err = c.Data, c.Err
		if err := wait(b.ctx, b.closed, c.After); err != nil {
			b.left, b.err = "", err
		}
	}
	if b.left == "" {
		return 0, b.err
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *streamed) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// forever is a wait that only something else ends.
const forever = math.MaxInt64

// wait returns nil after d, or earlier why not.
func wait(ctx context.Context, closed <-chan struct{}, d time.Duration) error {
	var over <-chan time.Time
	if d < forever {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-closed:
	case <-ctx.Done():
	}
	select { // that both came at once must not be left to chance
	case <-closed:
		return http.ErrBodyReadAfterClose
	default:
		return context.Cause(ctx)
	}
}
