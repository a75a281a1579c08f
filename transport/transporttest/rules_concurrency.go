package transporttest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

func concurrencyRules() []rule {
	return []rule{
		{
			Rule{
				Name: "calls at the same time are kept apart",
				Text: "Fifty callers at once get the answers to their own requests. Under the race detector this rule " +
					"also finds unguarded state.",
				Source: `net/http.RoundTripper: "must be safe for concurrent use by multiple goroutines"`,
			},
			callsApart,
			both,
		},
		{
			Rule{
				Name: "equal calls have an answer each",
				Text: "Callers of the same at the same time may share a request, but not an answer: each has one of his own, " +
					"whose body he reads whole and whose header he may change. That one of them leaves is nothing to the others.",
				Source: `net/http.RoundTripper: "must be safe for concurrent use by multiple goroutines"; net/http.NewRequestWithContext: ` +
					`"the context controls the entire lifetime of a request and its response"`,
			},
			equalCalls,
			http1,
		},
		{
			Rule{
				Name: "an answer is to its own request",
				Text: "An answer that is kept or shared is given to no request with another method, target, host, body or " +
					"credentials: somebody would get what was meant for another. Nor does it come with what the one " +
					"before has changed in its header.",
				Source: "RFC 9111 section 4 on the method and the target, section 3.5 on credentials",
			},
			ownAnswers,
			http1,
		},
	}
}

func callsApart(p *probe) {
	const callers, calls = 50, 4
	rt := p.over(p.wire(transport(func(req *http.Request) (*http.Response, error) {
		data, err := io.ReadAll(req.Body)
		_ = req.Body.Close() // it was only read
		if err != nil {
			return nil, err
		}
		pause := time.Duration(len(data)%7+len(req.URL.Path)%5) * time.Millisecond
		return After(pause, Reply(http.StatusOK, echo(req.URL.Path, string(data))))(req)
	})))
	var all sync.WaitGroup
	var found [callers][]string // told in the order of the callers, which is the same each time
	for caller := range callers {
		all.Go(func() {
			defer p.recover()
			for call := range calls {
				path := fmt.Sprintf("/caller/%d/call/%d", caller, call)
				body := fmt.Sprintf("body %d of caller %d%s", call, caller, strings.Repeat(".", caller))
				o := do(rt, p.post(p.Context(), base+path, strings.NewReader(body)))
				if p.refuse && o.err != nil {
					continue
				}
				if !o.is(p, http.StatusOK, echo(path, body)) {
					found[caller] = append(found[caller], fmt.Sprintf("%s came to %v, want %s", path, o, brief(echo(path, body))))
				}
			}
		})
	}
	all.Wait()
	for _, text := range slices.Concat(found[:]...) {
		p.Errorf("%s", text)
	}
}

func echo(path, body string) string { return path + " was sent " + body }

func equalCalls(p *probe) {
	const callers = 20
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		rt := p.over(p.upstream(After(2*time.Second, Reply(http.StatusOK, page, "X-Field", "value"))))
		call := func(ctx context.Context) outcome {
			defer p.recover()
			if method == http.MethodPost {
				return do(rt, p.post(ctx, base, strings.NewReader(`{"data":"hello"}`)))
			}
			return do(rt, p.get(ctx, base))
		}
		var all sync.WaitGroup
		all.Go(func() { call(leave(p.Context(), time.Second)) })
		synctest.Wait() // he is the first of them
		got := make([]outcome, callers)
		for i := range got {
			all.Go(func() { got[i] = call(p.Context()) })
		}
		all.Wait()
		for i, o := range got { // one by one, for a header may be that of several
			switch {
			case p.refuse && o.err != nil:
			case !o.is(p, http.StatusOK, page):
				p.Errorf("one equal %s of many came to %v, want %s", method, o, brief(page))
			case o.resp.Header.Get("X-Field") != "value":
				p.Errorf("one equal %s of many has the field X-Field %q, which was \"value\"", method, o.resp.Header.Get("X-Field"))
			default:
				o.resp.Header.Set("X-Field", fmt.Sprint("of caller ", i))
			}
		}
	}
}

func ownAnswers(p *probe) {
	var answers atomic.Int64
	rt := p.over(p.upstream(func(req *http.Request) (*http.Response, error) {
		return Reply(http.StatusOK, fmt.Sprint("answer ", answers.Add(1)), "X-Own", "value")(req)
	}))
	given := make(map[string]string) // answers, and what to
	for range 2 {                    // what was kept is asked for again
		for _, r := range []struct{ name, method, url, host, auth, body string }{
			{"a GET", http.MethodGet, base + "/a", "", "", ""},
			{"a GET of another path", http.MethodGet, base + "/b", "", "", ""},
			{"a GET with a query", http.MethodGet, base + "/a?x=1", "", "", ""},
			{"a GET with another query", http.MethodGet, base + "/a?x=2", "", "", ""},
			{"a GET from another host", http.MethodGet, "http://other.test/a", "", "", ""},
			{"a GET with another Host field", http.MethodGet, base + "/a", "elsewhere.test", "", ""},
			{"a GET with credentials", http.MethodGet, base + "/a", "", "Bearer one", ""},
			{"a GET with other credentials", http.MethodGet, base + "/a", "", "Bearer two", ""},
			{"a POST", http.MethodPost, base + "/a", "", "", `{"data":"one"}`},
			{"a POST with another body", http.MethodPost, base + "/a", "", "", `{"data":"two"}`},
			{"a POST with credentials", http.MethodPost, base + "/a", "", "Bearer one", `{"data":"one"}`},
			{"a POST with other credentials", http.MethodPost, base + "/a", "", "Bearer two", `{"data":"one"}`},
			{"a PUT", http.MethodPut, base + "/a", "", "", `{"data":"one"}`},
		} {
			req := p.newRequest(p.Context(), r.method, r.url, strings.NewReader(r.body))
			req.Host = cmp.Or(r.host, req.Host)
			req.Header.Set("Content-Type", "application/json")
			if r.auth != "" {
				req.Header.Set("Authorization", r.auth)
			}
			o := do(rt, p.prepare(req))
			to, taken := given[o.text]
			switch {
			case o.err != nil:
				if !p.refuse {
					p.Errorf("%s came to %v, want an answer", r.name, o)
				}
				continue
			case taken && to != r.name:
				p.Errorf("%s came to %v, which was the answer to %s", r.name, o, to)
			case o.resp.Header.Get("X-Own") != "value":
				p.Errorf("%s came with the field X-Own %q, which was \"value\"", r.name, o.resp.Header.Get("X-Own"))
			default:
				o.resp.Header.Set("X-Own", "changed by "+r.name)
			}
			given[o.text] = r.name
		}
	}
}
