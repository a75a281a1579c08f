package transporttest

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

func requestRules() []rule {
	return []rule{
		{
			Rule{
				Name: "the request is not changed",
				Text: "The caller's request stays as it is, its header, its URL and its context included, " +
					"while it is sent and afterwards. A layer that adds something adds it to a copy: " +
					"the caller may look at the request at any time, and may send it again.",
				Source: `net/http.RoundTripper: "RoundTrip should not modify the request, except for consuming and closing the Request's Body"`,
			},
			requestUnchanged,
			http1,
		},
		{
			Rule{
				Name: "the request arrives whole",
				Text: "Method, URL, host, length, body and each field of the header arrive below as the caller " +
					"set them. The layer may add fields.",
				Source: `net/http.RoundTripper: "executes a single HTTP transaction, returning a Response for the provided Request"`,
			},
			requestWhole,
			http1,
		},
		{
			Rule{
				Name: "the request can be sent again",
				Text: "Once an answer has been read the same request can be sent again, after its body was " +
					"renewed, and is another call with an answer of its own.",
				Source: `net/http.RoundTripper: "Callers should not mutate or reuse the request until the Response's Body has been closed"`,
			},
			requestReusable,
			http1,
		},
		{
			Rule{
				Name: "the context arrives",
				Text: "The values and the deadline of the caller's context are those of the request below: " +
					"traces, credentials and time limits travel that way.",
				Source: `package context: "The chain of function calls between them must propagate the Context"`,
			},
			contextArrives,
			http1,
		},
	}
}

func requestUnchanged(p *probe) {
	for _, step := range []Step{
		Reply(http.StatusOK, "fine"),
		Reply(http.StatusNotFound, "no"),
		Reply(http.StatusServiceUnavailable, "busy"),
		Fail(errReset),
		Cut(http.StatusOK, "hel"),
		After(time.Minute, Reply(http.StatusOK, "late")),
	} {
		var was *snapshot
		upstream := p.upstream(step)
		rt := p.over(transport(func(req *http.Request) (*http.Response, error) {
			was.compare(p, "while it was sent")
			return upstream.RoundTrip(req)
		}))
		ctx, cancel := context.WithTimeout(p.Context(), 5*time.Second)
		req := p.post(ctx, base+"/path?query=1#fragment", strings.NewReader("hello"))
		req.Header["x-many"] = []string{"a", "b"} // as no canonical name
		req.Header["X-None"] = nil
		req.Trailer = http.Header{"X-Sum": {"42"}}
		was = snap(req)
		do(rt, req)
		time.Sleep(time.Minute) // it may be changed behind the caller's back
		synctest.Wait()
		was.compare(p, "afterwards")
		cancel()
	}
}

// A snapshot is what a request was like.
type snapshot struct {
	req    *http.Request
	fields http.Request // a deep copy as far as it can be one
	ctx    context.Context
}

func snap(req *http.Request) *snapshot {
	s := &snapshot{req: req, fields: *req, ctx: req.Context()}
	u := *req.URL
	s.fields.URL = &u
	s.fields.Header = req.Header.Clone()
	s.fields.Trailer = req.Trailer.Clone()
	s.fields.TransferEncoding = slices.Clone(req.TransferEncoding)
	return s
}

// compare reports the exported fields that have changed.
func (s *snapshot) compare(p *probe, when string) {
	now, was := reflect.ValueOf(s.req).Elem(), reflect.ValueOf(&s.fields).Elem()
	for i := range now.NumField() {
		field := now.Type().Field(i)
		if field.IsExported() && !sameField(now.Field(i), was.Field(i)) {
			p.Errorf("the request's %s changed %s: is %v, was %v", field.Name, when, now.Field(i), was.Field(i))
		}
	}
	if s.req.Context() != s.ctx {
		p.Errorf("the request's context changed %s", when)
	}
}

func sameField(now, was reflect.Value) bool {
	switch {
	case now.Kind() == reflect.Func || now.Type() == reflect.TypeFor[*http.Response]():
		return now.Pointer() == was.Pointer()
	case now.Type() == reflect.TypeFor[io.ReadCloser](): // reading changes what is in it
		return now.Interface() == was.Interface()
	}
	return reflect.DeepEqual(now.Interface(), was.Interface())
}

func requestWhole(p *probe) {
	for _, body := range []string{"", "hello", strings.Repeat(page, 20)} {
		for _, length := range []int64{int64(len(body)), -1} {
			if body == "" && length < 0 {
				continue
			}
			req := p.get(p.Context(), base+"/a%2Fb/../c?x=1&x=2;y")
			if body != "" {
				req = p.post(p.Context(), base+"/a%2Fb/../c?x=1&x=2;y", strings.NewReader(body))
				req.ContentLength = length
			}
			req.Host = "elsewhere.test"
			req.Header["x-many"] = []string{"a", "b"}
			req.Header.Set("X-Long", page)
			was := snap(req)
			upstream := p.upstream(Reply(http.StatusOK, "fine"))
			do(p.over(transport(func(got *http.Request) (*http.Response, error) {
				was.arrives(p, got)
				return upstream.RoundTrip(got)
			})), req)
			for i, got := range upstream.Requests() {
				if got.Body != body {
					p.Errorf("request %d came with the body %s, want %s", i+1, brief(got.Body), brief(body))
				}
			}
			if upstream.Calls() == 0 {
				p.Errorf("no request came")
			}
		}
	}
}

// arrives reports what of the request was lost on its way.
func (s *snapshot) arrives(p *probe, got *http.Request) {
	want := &s.fields
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"method", got.Method, want.Method},
		{"URL", got.URL.String(), want.URL.String()},
		{"host", got.Host, want.Host},
		{"length", got.ContentLength, want.ContentLength},
	} {
		if f.got != f.want {
			p.Errorf("the %s that came is %v, want %v", f.name, f.got, f.want)
		}
	}
	lostFields(p, "request", got.Header, want.Header)
}

// lostFields reports the fields of want that are not in got.
func lostFields(p *probe, of string, got, want http.Header) {
	for name, values := range inOrder(want) {
		if !slices.Equal(got[name], values) {
			p.Errorf("the %s's field %s came as %d values, %s, want %d, %s",
				of, name, len(got[name]), brief(strings.Join(got[name], ", ")), len(values), brief(strings.Join(values, ", ")))
		}
	}
}

func requestReusable(p *probe) {
	for _, req := range []*http.Request{
		p.get(p.Context(), base),
		p.post(p.Context(), base, strings.NewReader("hello")),
	} {
		upstream := p.upstream(Reply(http.StatusOK, "fine"))
		rt := p.over(upstream)
		for call := range 3 {
			if call > 0 && req.GetBody != nil {
				body, err := req.GetBody()
				if err != nil {
					p.Fatalf("the request's GetBody fails in call %d: %v", call+1, err)
				}
				req.Body = body
			}
			if o := do(rt, req); !o.is(p, http.StatusOK, "fine") {
				p.Errorf("%s %d came to %v, want status 200, \"fine\"", req.Method, call+1, o)
			}
		}
		for _, got := range upstream.Requests() {
			if want := map[string]string{"POST": "hello"}[req.Method]; got.Body != want {
				p.Errorf("%s came with the body %s, want %q", req.Method, brief(got.Body), want)
			}
		}
		if calls := upstream.Calls(); calls != 3 && !p.answer {
			p.Errorf("%d requests came, want 3", calls)
		}
	}
}

func contextArrives(p *probe) {
	type key struct{}
	ctx, cancel := context.WithTimeout(context.WithValue(p.Context(), key{}, "value"), 5*time.Second)
	defer cancel()
	deadline, _ := ctx.Deadline()
	upstream := p.upstream(Reply(http.StatusServiceUnavailable, "busy"), Reply(http.StatusOK, "fine"))
	do(p.over(transport(func(req *http.Request) (*http.Response, error) {
		if got := req.Context().Value(key{}); got != "value" {
			p.Errorf("the context below has the value %v, want the caller's", got)
		}
		if got, ok := req.Context().Deadline(); !ok || got.After(deadline) {
			p.Errorf("the context below has the deadline %v, want the caller's %v or an earlier one", got, deadline)
		}
		return upstream.RoundTrip(req)
	})), p.post(ctx, base, strings.NewReader("hello")))
}
