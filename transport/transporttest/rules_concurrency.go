package transporttest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
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
					p.Errorf("%s came to %v, want %s", path, o, brief(echo(path, body)))
				}
			}
		})
	}
	all.Wait()
}

func echo(path, body string) string { return path + " was sent " + body }
