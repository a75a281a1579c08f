package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"
)

func cancelRules() []rule {
	return []rule{
		{
			Rule{
				Name:   "a canceled request is not begun",
				Text:   "A request whose context is over fails at once with the cause that the caller gave.",
				Source: `net/http.NewRequestWithContext: "the context controls the entire lifetime of a request and its response"`,
			},
			canceledBefore,
			both,
		},
		{
			Rule{
				Name:   "cancellation ends the wait for an answer",
				Text:   "A request that waits below ends within 5 ms of its cancellation, in the cause that the caller gave.",
				Source: `net/http.NewRequestWithContext: "obtaining a connection, sending the request, and reading the response headers and body"`,
			},
			canceledWaiting,
			both,
		},
		{
			Rule{
				Name: "cancellation ends every other wait",
				Text: "A layer that waits by itself, for a permit or before a retry, stops waiting within 5 ms of the " +
					"request's cancellation and sends it no more.",
				Source: `package context: "A Context may be canceled to indicate that work done on its behalf should stop"`,
			},
			canceledBetween,
			both,
		},
		{
			Rule{
				Name:   "cancellation ends a read of the body",
				Text:   "A read of the body ends within 5 ms of the cancellation, in the cause that the caller gave.",
				Source: `net/http.NewRequestWithContext: "the context controls the entire lifetime of a request and its response"`,
			},
			canceledReading,
			both,
		},
		{
			Rule{
				Name: "the deadline is kept",
				Text: "At the caller's deadline the call ends, before the answer or in its body, in an error that is " +
					"context.DeadlineExceeded and says that it is a timeout.",
				Source: "package context; net.Error",
			},
			deadlineKept,
			both,
		},
		{
			Rule{
				Name: "no wait outlasts the deadline",
				Text: "A server that asks for more time than the caller has gets no other request: the caller has its " +
					"answer before the deadline, not an error at it.",
				Source: `RFC 9110 section 10.2.3 on Retry-After; net/http.RoundTripper: "must return err == nil if it obtained a response"`,
			},
			noHopelessWait,
			both,
		},
	}
}

// errLeft is why a caller left. It is not the error that contexts have by default.
var errLeft = errors.New("transporttest: the caller has left")

// leave returns a context that ends in errLeft after d.
func leave(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	if d <= 0 {
		cancel(errLeft)
	} else {
		time.AfterFunc(d, func() { cancel(errLeft) })
	}
	return ctx
}

// left checks that a call which was canceled after d ended then, and in errLeft.
// Over HTTP/2 net/http does not look for the cause.
func left(p *probe, what string, d, took time.Duration, err error) {
	if late := took - d; late > promptly {
		p.Errorf("%s ended %v after the cancellation", what, late)
	}
	if !errors.Is(err, errLeft) && (p.proto != http2 || !errors.Is(err, context.Canceled)) {
		p.Errorf("%s ended in %v, want the cause %q", what, err, errLeft)
	}
}

func canceledBefore(p *probe) {
	o := do(p.over(p.wire(p.upstream(Hang()))), p.post(leave(p.Context(), 0), base, strings.NewReader("hello")))
	left(p, "a canceled request", 0, o.took, o.err)
}

func canceledWaiting(p *probe) {
	const after = time.Second
	o := do(p.over(p.wire(p.upstream(Hang()))), p.post(leave(p.Context(), after), base, strings.NewReader("hello")))
	left(p, "a request that waited for an answer", after, o.took, o.err)
}

func canceledBetween(p *probe) {
	const after = time.Second
	const calls = 60 // more than the limits of some
	var sent atomic.Int64
	upstream := p.upstream(Reply(http.StatusServiceUnavailable, "busy", "Retry-After", "4"))
	below := p.wire(upstream)
	caller := leave(p.Context(), after)
	rt := p.over(transport(func(req *http.Request) (*http.Response, error) {
		if caller.Err() != nil {
			sent.Add(1)
		}
		return below.RoundTrip(req)
	}))
	o := do(rt, p.post(caller, base, strings.NewReader("hello")))
	if o.err != nil {
		left(p, "a request that waited for a retry", after, o.took, o.err)
	}
	time.Sleep(time.Minute) // it may be sent behind the caller's back
	if n := sent.Load(); n > 0 {
		p.Errorf("%d requests were sent after the cancellation", n)
	}

	full := p.over(p.wire(p.upstream(Hang())))
	ended := make(chan outcome, calls)
	ctx := leave(p.Context(), after)
	for i := range calls {
		go func() {
			var o outcome
			defer func() { ended <- o }()
			defer p.recover()
			o = do(full, p.get(ctx, fmt.Sprintf("%s/%d", base, i)))
		}()
	}
	for range calls {
		if o := <-ended; !p.refuse || o.took > 0 {
			left(p, "one of many requests", after, o.took, o.err)
		}
	}
}

func canceledReading(p *probe) {
	const after = time.Second
	rt := p.over(p.wire(p.upstream(Stall(http.StatusOK, "data: 1\n\n", slowly...))))
	start := time.Now()
	resp, err := roundTrip(rt, p.post(leave(p.Context(), after), base, strings.NewReader("hello")))
	if err != nil {
		p.Fatalf("an event stream came to %v", err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, steadily(resp.Body))
	left(p, "a read", after, time.Since(start), err)
}

func deadlineKept(p *probe) {
	const limit = 2 * time.Second
	for name, step := range inOrder(map[string]Step{
		"without an answer": Hang(),
		"in the body":       Stall(http.StatusOK, "data: 1\n\n", slowly...),
	}) {
		ctx, cancel := context.WithTimeout(p.Context(), limit)
		o := do(p.over(p.wire(p.upstream(step))), p.post(ctx, base, strings.NewReader("hello")))
		cancel()
		if late := o.took - limit; late > promptly {
			p.Errorf("a call %s ended %v after the deadline", name, late)
		}
		if o.replaced(p) {
			continue
		}
		err := errors.Join(o.err, o.torn)
		if !errors.Is(err, context.DeadlineExceeded) {
			p.Errorf("a call %s came to %v, want context.DeadlineExceeded", name, o)
		}
		timeout, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err)
		if !ok || !timeout.Timeout() {
			p.Errorf("a call %s came to %v, which is no timeout", name, o)
		}
	}
}

func noHopelessWait(p *probe) {
	const limit = 2 * time.Second
	ctx, cancel := context.WithTimeout(p.Context(), limit)
	defer cancel()
	upstream := p.upstream(Reply(http.StatusServiceUnavailable, "busy", "Retry-After", "60"))
	o := do(p.over(p.wire(upstream)), p.post(ctx, base, strings.NewReader("hello")))
	if !o.is(p, http.StatusServiceUnavailable, "busy") || o.took >= limit {
		p.Errorf("a server that asks for a minute, of a caller who has 2 s, came to %v after %v", o, o.took)
	}
	synctest.Wait()
}
