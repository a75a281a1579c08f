package transporttest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
	"weak"
)

// goroutinesEnd is the name of the rule that is told of the goroutines which
// other rules leave behind.
const goroutinesEnd = "no goroutine outlives its call"

func releaseRules() []rule {
	return []rule{
		{
			Rule{
				Name: "contexts are released",
				Text: "Once the answer's body is closed, and after an error or a panic, nothing derived from the caller's " +
					"context is left in it. Callers have contexts that last as long as the program.",
				Source: `context.WithCancel: "Canceling this context releases resources associated with it, so code should call cancel as soon as the operations running in this Context complete"`,
			},
			contextsReleased,
			both,
		},
		{
			Rule{
				Name:   "a call is forgotten",
				Text:   "A day after the call nothing holds its context, and with it all that the caller put there.",
				Source: `package context: "Do not store Contexts inside a struct type"`,
			},
			callsForgotten,
			both,
		},
		{
			Rule{
				Name: "what a call held is free again",
				Text: "A permit, a place in a queue, the lease of a probe: whatever the layer holds for a call others can have " +
					"when it is over, however it ended and however much of its answer was read. Each that is lost makes the " +
					"next one likelier to wait for ever.",
				Source: `net/http.Response.Body: "It is the caller's responsibility to close Body", and no more than that`,
			},
			heldFreed,
			http1,
		},
		{
			Rule{
				Name: goroutinesEnd,
				Text: "When the answer's body is closed, and after an error or a panic, every goroutine that the layer " +
					"started for the call has ended, or can end without anything else happening.",
				Source: `Go Code Review Comments on goroutine lifetimes: "When you spawn goroutines, make it clear when - or whether - they exit"`,
			},
			goroutinesEnded,
			both,
		},
	}
}

// An ending is a way in which a call ends.
type ending struct {
	name  string
	steps []Step
	limit time.Duration // after which the caller leaves; zero if he does not
	read  int64         // of the answer's body, before it is closed
}

func endings() []ending {
	busy := Reply(http.StatusServiceUnavailable, "busy")
	return []ending{
		{"an answer that was read", []Step{Reply(http.StatusOK, page)}, 0, 1 << 20},
		{"an answer that was not read", []Step{Stream(http.StatusOK, []Chunk{{Data: page}})}, 0, 0},
		{"an answer without a body", []Step{Reply(http.StatusNoContent, "")}, 0, 0},
		{"a stream that was left", []Step{Stall(http.StatusOK, "data: 1\n\n", slowly...)}, 0, 5},
		{"an error page", []Step{Reply(http.StatusNotFound, page)}, 0, 0},
		{"an error page that stalls", []Step{Stall(http.StatusBadRequest, "x")}, 0, 0},
		{"retries", []Step{busy, busy, Reply(http.StatusOK, "fine")}, 0, 1 << 20},
		{"retries to no end", []Step{busy}, 0, 1 << 20},
		{"a slow answer", []Step{After(4*time.Second, Reply(http.StatusOK, page))}, 0, 1 << 20},
		{"an answer before a slow one", []Step{After(4*time.Second, Reply(http.StatusOK, page)), Reply(http.StatusOK, page)}, 0, 1 << 20},
		{"an error", []Step{Fail(errReset)}, 0, 0},
		{"a cut answer", []Step{Cut(http.StatusOK, "hel")}, 0, 1 << 20},
		{"a cancellation without an answer", []Step{Hang()}, time.Second, 0},
		{"a cancellation in the body", []Step{Stall(http.StatusOK, "data: 1\n\n", slowly...)}, time.Second, 1 << 20},
		{"a cancellation before a retry", []Step{busy}, 20 * time.Millisecond, 0},
		{"a panic", []Step{Panic("boom")}, 0, 0},
		{"a panic in a retry", []Step{busy, Panic("boom")}, 0, 0},
	}
}

// run makes a call with the context that in returns, on a goroutine that is gone
// when run returns the transport.
func (e ending) run(p *probe, in func(context.Context) context.Context) http.RoundTripper {
	rt := p.over(p.wire(p.upstream(e.steps...)))
	e.call(p, rt, in)
	return rt
}

// call is run with a transport that is there.
func (e ending) call(p *probe, rt http.RoundTripper, in func(context.Context) context.Context) {
	var call sync.WaitGroup
	call.Go(func() {
		defer func() { _ = recover() }() // panics have rules of their own
		req := p.post(context.Background(), base, strings.NewReader("hello"))
		ctx := in(req.Context())
		if e.limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, e.limit)
			defer cancel()
		}
		resp, err := rt.RoundTrip(req.WithContext(ctx))
		if err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, steadily(resp.Body), e.read) // what comes is for other rules
		_ = resp.Body.Close()
	})
	call.Wait()
	time.Sleep(p.linger)
	synctest.Wait()
}

// A family is a context without an end that counts what is derived from it.
type family struct {
	context.Context
	done     chan struct{}
	children atomic.Int64
}

func (f *family) Done() <-chan struct{} { return f.done }

// AfterFunc is how package context asks a context of another kind to tell its
// children, and, with what it returns, to forget them.
func (f *family) AfterFunc(func()) (stop func() bool) {
	f.children.Add(1)
	return sync.OnceValue(func() bool {
		f.children.Add(-1)
		return true
	})
}

func contextsReleased(p *probe) {
	for _, e := range endings() {
		var parent *family
		e.run(p, func(ctx context.Context) context.Context {
			parent = &family{Context: ctx, done: make(chan struct{})}
			return parent
		})
		if n := parent.children.Load(); n > 0 {
			p.Errorf("%d contexts are left of %s", n, e.name)
		}
	}
}

// baggage is something in a context that is kept or forgotten with it.
type baggage struct{ _ [64]byte }

func callsForgotten(p *probe) {
	type key struct{}
	var layers []http.RoundTripper
	var left []weak.Pointer[baggage]
	for _, e := range endings() {
		layers = append(layers, e.run(p, func(ctx context.Context) context.Context {
			b := new(baggage)
			left = append(left, weak.Make(b))
			return context.WithValue(ctx, key{}, b)
		}))
	}
	time.Sleep(24 * time.Hour) // timers that were stopped are gone by now, too
	held := func(b weak.Pointer[baggage]) bool { return b.Value() != nil }
	for range 5 { // what was in a pool lasts for several collections
		runtime.GC()
		if !slices.ContainsFunc(left, held) {
			break
		}
	}
	for i, e := range endings() {
		if held(left[i]) {
			p.Errorf("%s is held by something", e.name)
		}
	}
	runtime.KeepAlive(layers)
}

func heldFreed(p *probe) {
	const calls = 100
	for _, e := range endings() {
		if strings.HasPrefix(e.name, "a panic") { // which has a rule of its own
			continue
		}
		rt, play := p.overScript()
		ctx, cancel := context.WithTimeout(p.Context(), 24*time.Hour)
		for range calls {
			play(e.steps...)
			e.call(p, rt, func(context.Context) context.Context { return ctx })
		}
		cancel()
		play()
		p.passes(rt, fmt.Sprintf("%d times %s", calls, e.name))
	}

	rt, play := p.overScript()
	play(Hang())
	ctx := leave(p.Context(), time.Second)
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			defer p.recover()
			do(rt, p.get(ctx, fmt.Sprintf("%s/%d", base, i)))
		})
	}
	all.Wait()
	play()
	p.passes(rt, fmt.Sprintf("%d who left at once", calls))
}

// overScript puts a new layer around an upstream, for which the func that is returned
// takes another.
func (p *probe) overScript() (rt http.RoundTripper, play func(...Step)) {
	var below atomic.Pointer[Upstream]
	rt = p.over(transport(func(req *http.Request) (*http.Response, error) { return below.Load().RoundTrip(req) }))
	return rt, func(steps ...Step) { below.Store(p.upstream(steps...)) }
}

// passes checks that there is an answer once all is well again for an hour.
func (p *probe) passes(rt http.RoundTripper, after string) {
	time.Sleep(time.Hour) // who took failures for an outage has come round
	ctx, cancel := context.WithTimeout(p.Context(), 24*time.Hour)
	defer cancel()
	if o := do(rt, p.get(ctx, base)); o.err != nil {
		p.Errorf("after %s the next request came to %v", after, o)
	}
}

func goroutinesEnded(p *probe) {
	for _, e := range endings() {
		e.run(p, func(ctx context.Context) context.Context { return ctx })
	}
}
