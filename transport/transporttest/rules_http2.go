package transporttest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"
)

func http2Rules() []rule {
	return []rule{
		{
			Rule{
				Name: "what a server did not look at is sent again",
				Text: "A stream that the server refused, and one it has not looked at before it goes away, was not processed: " +
					"net/http sends it again, whatever its method. It needs GetBody for that, on the request that it gets.",
				Source: `RFC 9113 section 8.7; net/http.Request.GetBody: "an optional func to return a new copy of Body"`,
			},
			unprocessedAgain,
			http2,
		},
		{
			Rule{
				Name: "an upload goes on beside its answer",
				Text: "The answer may begin before the upload has ended, and what is sent later may depend on it, as with " +
					"gRPC's streams: the request's body is not closed or cut when the round trip returns.",
				Source: `RFC 9113 section 8.1; net/http.RoundTripper: "the Request's Body may be closed in a separate goroutine after RoundTrip returns"`,
			},
			uploadBesideAnswer,
			http2,
		},
		{
			Rule{
				Name: "an early answer ends the upload",
				Text: "A server may answer, and be done, before it has the whole request: with 413, say. The answer is what " +
					"the caller gets, at once and whatever became of the upload.",
				Source: `RFC 9113 section 8.1: "Clients MUST NOT discard responses as a result of receiving such a RST_STREAM"`,
			},
			earlyAnswer,
			http2,
		},
	}
}

func unprocessedAgain(p *probe) {
	for name, react := range inOrder(map[string]reaction{
		"refuses the stream": func(n int, stream uint32, body string) ([]frame, bool) {
			if n == 1 {
				return []frame{reset(stream, refusedStream)}, false
			}
			return answer(stream, body), false
		},
		"goes away before it looks": func(n int, stream uint32, body string) ([]frame, bool) {
			if n == 1 {
				return []frame{goAway(stream - 1)}, false
			}
			return answer(stream, body), false
		},
		"goes away, but answers": func(_ int, stream uint32, body string) ([]frame, bool) {
			return append([]frame{goAway(stream)}, answer(stream, body)...), false
		},
	}) {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost} {
			_, below := p.newFrameServer(react)
			rt := p.over(below)
			for call := range 3 {
				body := fmt.Sprint("body ", call)
				req := p.newRequest(p.Context(), method, base+fmt.Sprint("/", call), strings.NewReader(body))
				if o := do(rt, p.prepare(req)); !o.is(p, http.StatusOK, body) {
					p.Errorf("%s %d to a server that %s came to %v, want %q", method, call+1, name, o, body)
				}
			}
		}
	}
}

func uploadBesideAnswer(p *probe) {
	const parts = 5
	server := p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flushAll(w, r.Body)
	}))
	ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
	defer cancel()
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() { _ = writer.CloseWithError(ctx.Err()) }) // it never fails
	resp, err := roundTrip(p.over(server.Transport()), p.post(ctx, server.URL, reader))
	switch {
	case ctx.Err() != nil:
		return // the upload is held back, of which another rule speaks
	case err != nil:
		p.Fatalf("an upload came to %v", err)
	}
	defer resp.Body.Close()
	for i := range parts {
		part := fmt.Sprint("part ", i)
		if _, err := io.WriteString(writer, part); err != nil {
			p.Fatalf("the upload was cut off beside its answer, when %q was written: %v", part, err)
		}
		got := make([]byte, len(part))
		if _, err := io.ReadFull(steadily(resp.Body), got); string(got) != part || err != nil {
			p.Fatalf("the answer beside the upload gave %q, %v, want %q", got, err, part)
		}
	}
	_ = writer.Close() // it never fails
	if rest, err := io.ReadAll(steadily(resp.Body)); len(rest) > 0 || err != nil {
		p.Errorf("after the upload the answer gave %q, %v, want its end", rest, err)
	}
}

func earlyAnswer(p *probe) {
	for _, status := range []int{http.StatusOK, http.StatusRequestEntityTooLarge} {
		var asked atomic.Bool
		server := p.server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Store(true)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, page)
		}))
		ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
		reader, writer := io.Pipe()
		context.AfterFunc(ctx, func() { _ = writer.CloseWithError(ctx.Err()) }) // it never fails
		go func() { _, _ = io.WriteString(writer, "hello") }()                  // a little, and no more comes
		o := do(p.over(server.Transport()), p.post(ctx, server.URL, reader))
		if asked.Load() && !o.is(p, status, page) { // else the upload is held back, of which another rule speaks
			p.Errorf("an upload that was answered with %d before its end came to %v", status, o)
		}
		cancel()
		synctest.Wait()
	}
}
