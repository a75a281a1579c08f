package transporttest

import (
	"context"
	"net/http"
	"strings"
	"testing/synctest"
	"time"
)

func panicRules() []rule {
	return []rule{
		{
			Rule{
				Name: "a panic below passes",
				Text: "A panic in the transport below comes through with its value, and is not turned into an error: " +
					"http.ErrAbortHandler, for one, is meant for the server above.",
				Source: `net/http.ErrAbortHandler: "a sentinel panic value to abort a handler"`,
			},
			panicPasses,
			http1,
		},
		{
			Rule{
				Name: "a panic below holds nothing",
				Text: "What the layer holds for a request, a permit or a probe's place, is free again after a panic, " +
					"so that later requests pass.",
				Source: `net/http.Handler: "If ServeHTTP panics, the server (the caller of ServeHTTP) assumes that the effect of the panic was isolated to the active request"`,
			},
			panicFrees,
			http1,
		},
		{
			Rule{
				Name:   "a panic below closes the request's body",
				Text:   "The request's body is closed when a panic passes: whoever panicked may not have done so.",
				Source: `net/http.RoundTripper: "RoundTrip must always close the body, including on errors"`,
			},
			panicClosesBody,
			http1,
		},
	}
}

// panics sends req and returns the value of the panic that comes of it, or nil.
func panics(rt http.RoundTripper, req *http.Request) (value any) {
	defer func() { value = recover() }()
	do(rt, req)
	return nil
}

func panicPasses(p *probe) {
	for _, value := range []any{"boom", http.ErrAbortHandler} {
		if got := panics(p.over(p.upstream(Panic(value))), p.get(p.Context(), base)); got != value {
			p.Errorf("a panic with %q came as %v", value, got)
		}
	}
}

func panicFrees(p *probe) {
	ctx, cancel := context.WithTimeout(p.Context(), 24*time.Hour)
	defer cancel()
	var healed bool
	rt := p.over(transport(func(req *http.Request) (*http.Response, error) {
		if !healed {
			panic("boom")
		}
		return Reply(http.StatusOK, "fine")(req)
	}))
	for range 200 {
		panics(rt, p.get(ctx, base))
	}
	time.Sleep(time.Hour) // what took the panics for failures of the server may have come round
	healed = true
	if o := do(rt, p.get(ctx, base)); o.err != nil {
		p.Errorf("the next request came to %v", o)
	}
}

func panicClosesBody(p *probe) {
	next := transport(func(*http.Request) (*http.Response, error) { panic("boom") })
	rt := p.over(next)
	if rt == next {
		return // there is no layer
	}
	body := &source{Reader: strings.NewReader("hello")}
	panics(rt, p.post(p.Context(), base, body))
	synctest.Wait() // it may be closed by another goroutine
	if !body.closed.Load() {
		p.Errorf("the body is open after a panic")
	}
}
