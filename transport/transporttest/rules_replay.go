package transporttest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

func replayRules() []rule {
	return []rule{
		{
			Rule{
				Name: "only what is safe is repeated",
				Text: "A request that may have been processed, or still is, is sent once, unless its method is idempotent or it " +
					"carries an Idempotency-Key; else an order is placed twice. A layer that does not repeat sends every request once.",
				Source: "RFC 9110 section 9.2.2; net/http.Transport on idempotent requests",
			},
			repeatsSafely,
			both,
		},
		{
			Rule{
				Name: "the body is replayed whole",
				Text: "A request that is repeated has its whole body each time. A body without GetBody can be read once, " +
					"and so its request be sent once, unless the layer has kept a copy.",
				Source: `net/http.Request.GetBody: "an optional func to return a new copy of Body"`,
			},
			replaysWhole,
			both,
		},
		{
			Rule{
				Name: "replays are taken in turn and closed",
				Text: "GetBody is the caller's func, and nothing says that two may run at once: copies of a file share its " +
					"offset. Each body that it returns is closed. If it fails, what the server said remains the answer.",
				Source: `net/http.Request.GetBody, which promises nothing to concurrent callers; net/http.RoundTripper: "RoundTrip must always close the body"`,
			},
			replaysInTurn,
			both,
		},
		{
			Rule{
				Name: "stacked repetition does not multiply",
				Text: "A layer that stands twice in a stack, as where a client library and the program around it both retry, " +
					"sends no more requests than one would: three attempts in each of five layers are 243.",
				Source: `RFC 9110 section 9.2.2: "A client SHOULD NOT automatically retry a failed automatic retry"`,
			},
			repeatsOnce,
			http1,
		},
	}
}

func repeatsSafely(p *probe) {
	failures := map[string]Step{
		"status 500":            Reply(http.StatusInternalServerError, "oh"),
		"status 502":            Reply(http.StatusBadGateway, "oh"),
		"status 504":            Reply(http.StatusGatewayTimeout, "oh"),
		"a connection reset":    Fail(errReset),
		"an end without answer": Fail(io.ErrUnexpectedEOF),
		"a timeout":             Fail(errTimeout{}),
		"a cut answer":          Cut(http.StatusOK, "hel"),
		"a slow answer":         After(5*time.Second, Reply(http.StatusOK, "late")),
	}
	for name, step := range inOrder(failures) {
		for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodGet} {
			// Not prepared, since that may be what makes a request safe to repeat. Where it
			// is what gets one through, none is sent.
			req := p.newRequest(p.Context(), method, base, strings.NewReader("hello"))
			upstream := p.upstream(step)
			o := do(p.over(p.wire(upstream)), req)
			calls := upstream.Calls()
			if (method == http.MethodGet && p.repeat) || calls == 1 || (calls == 0 && (p.answer || o.err != nil)) {
				continue
			}
			p.Errorf("a %s that ends in %s was sent %d times, want once", method, name, calls)
		}
	}
	if p.proto == http2 {
		repeatsNothingLost(p)
	}
}

// repeatsNothingLost is about a server that has looked at a request before it
// goes away, and does not answer it.
func repeatsNothingLost(p *probe) {
	server, below := p.newFrameServer(func(_ int, stream uint32, _ string) ([]frame, bool) {
		return []frame{goAway(stream)}, true
	})
	do(p.over(below), p.newRequest(p.Context(), http.MethodPost, base, strings.NewReader("hello")))
	if n := server.seen(); n > 1 {
		p.Errorf("a POST that a server looked at before it went away was sent %d times, want once", n)
	}
}

// errTimeout is the timeout of something other than a context.
type errTimeout struct{}

func (errTimeout) Error() string   { return "transporttest: made to time out" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }

func replaysWhole(p *probe) {
	long := strings.Repeat(page, 330) // more than 1 MiB, which is more than a layer keeps
	for name, body := range inOrder(map[string]io.Reader{
		"with GetBody":         strings.NewReader(page),
		"without GetBody":      io.MultiReader(strings.NewReader(page)),
		"long with GetBody":    strings.NewReader(long),
		"long without GetBody": io.MultiReader(strings.NewReader(long)),
	}) {
		want := page
		if strings.HasPrefix(name, "long") {
			if want = long; p.proto == http2 {
				continue // it takes its time, and a layer knows no difference
			}
		}
		upstream := p.upstream(
			Reply(http.StatusServiceUnavailable, "busy"), Fail(errReset), Reply(http.StatusOK, "fine"))
		do(p.over(p.wire(upstream)), p.post(p.Context(), base, body))
		for i, got := range upstream.Requests() {
			if got.Body != want {
				p.Errorf("a body %s came as %s in request %d, want all of it", name, brief(got.Body), i+1)
			}
		}
	}
}

func replaysInTurn(p *probe) {
	broken := errors.New("transporttest: no replay")
	busy := Reply(http.StatusServiceUnavailable, "busy")
	tests := []struct {
		name  string
		steps []Step
		err   error // of GetBody
		limit time.Duration
	}{
		{"an answer", []Step{Reply(http.StatusOK, "fine")}, nil, time.Minute},
		{"retries", []Step{busy, Fail(errReset), Reply(http.StatusOK, "fine")}, nil, time.Minute},
		{"slow answers", []Step{After(4*time.Second, busy), After(4*time.Second, Reply(http.StatusOK, "fine"))}, nil, time.Minute},
		{"a deadline before a retry", []Step{busy}, nil, 20 * time.Millisecond},
		{"a deadline in a retry", []Step{busy, Hang()}, nil, 5 * time.Second},
		{"an error of GetBody", []Step{busy}, broken, time.Minute},
	}
	for _, tt := range tests {
		ctx, cancel := context.WithTimeout(p.Context(), tt.limit)
		replays := &replays{probe: p, err: tt.err}
		req := p.post(ctx, base, strings.NewReader("hello"))
		req.GetBody = replays.getBody
		o := do(p.over(p.wire(p.upstream(tt.steps...))), req)
		if tt.err != nil && !o.is(p, http.StatusServiceUnavailable, "busy") {
			p.Errorf("%s came to %v, want what the server said", tt.name, o)
		}
		synctest.Wait()
		if open := replays.open(); open > 0 {
			p.Errorf("%d bodies of GetBody are open after %s", open, tt.name)
		}
		cancel()
	}
}

// replays is a GetBody that watches how it is used.
type replays struct {
	*probe
	err    error
	inside atomic.Int64

	mu     sync.Mutex
	bodies []*source // guarded by mu
}

func (r *replays) getBody() (io.ReadCloser, error) {
	if r.inside.Add(1) > 1 {
		r.Errorf("GetBody was called while it ran")
	}
	defer r.inside.Add(-1)
	time.Sleep(time.Millisecond) // so that calls do overlap
	if r.err != nil {
		return nil, r.err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	body := &source{Reader: strings.NewReader("hello")}
	r.bodies = append(r.bodies, body)
	return body, nil
}

func (r *replays) open() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, body := range r.bodies {
		if !body.closed.Load() {
			n++
		}
	}
	return n
}

func repeatsOnce(p *probe) {
	for name, step := range inOrder(map[string]Step{
		"busy":               Reply(http.StatusServiceUnavailable, "busy"),
		"out of order":       Reply(http.StatusInternalServerError, "oh"),
		"cutting each short": Fail(errReset),
		"slow":               After(5*time.Second, Reply(http.StatusOK, "late")),
	}) {
		alone, stacked := p.upstream(step), p.upstream(step)
		do(p.over(alone), p.get(p.Context(), base))
		do(p.over(p.over(stacked)), p.get(p.Context(), base))
		if one, two := alone.Calls(), stacked.Calls(); two > one {
			p.Errorf("to a server that is %s one layer sent %d requests, two sent %d", name, one, two)
		}
	}
}
