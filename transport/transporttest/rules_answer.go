package transporttest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

func answerRules() []rule {
	return []rule{
		{
			Rule{
				Name: "every status is an answer",
				Text: "A response that was obtained is returned with a nil error, whatever its status, with its body. " +
					"When attempts run out the last answer is what the caller gets: it says why.",
				Source: `net/http.RoundTripper: "must return err == nil if it obtained a response, regardless of the response's HTTP status code"`,
			},
			everyStatus,
			http1,
		},
		{
			Rule{
				Name: "the answer arrives whole",
				Text: "Status line, length and each field of the header arrive as the server sent them, many and long " +
					"ones too; the answer names the request it belongs to. The layer may add fields.",
				Source: "net/http.Response; RFC 9110 section 5.4",
			},
			answerWhole,
			http1,
		},
		{
			Rule{
				Name: "an answer may be empty",
				Text: "Answers to HEAD, and those of 204 and 304, have no body, whatever length they state, and arrive as such. " +
					"The body that the caller gets is empty, not nil.",
				Source: `RFC 9110 section 6.4.1; net/http.Response.Body: "The http Client and Transport guarantee that Body is always non-nil"`,
			},
			emptyAnswers,
			both,
		},
		{
			Rule{
				Name: "a body that is nil does no harm",
				Text: "Transports, those of tests above all, may leave the body of an answer nil and mean an empty one. " +
					"So does http.Client take it, and so must a layer.",
				Source: `net/http.Client: "RoundTripper implementations in the wild (mostly in tests) assume that they can use a nil Body to mean an empty one"; go.dev/issue/38095`,
			},
			nilBodies,
			http1,
		},
	}
}

func everyStatus(p *probe) {
	for status := 200; status < 600; status++ {
		if http.StatusText(status) == "" {
			continue
		}
		p.answersWith(status)
	}
	for _, status := range []int{299, 399, 499, 529, 599, 999} { // nobody's, but a number all the same
		p.answersWith(status)
	}
}

func (p *probe) answersWith(status int) {
	text := fmt.Sprintf("this is %d", status)
	if status == http.StatusNoContent || status == http.StatusNotModified {
		text = ""
	}
	rt := p.over(p.upstream(Reply(status, text, "Location", "/elsewhere")))
	if o := do(rt, p.get(p.Context(), base)); !o.is(p, status, text) {
		p.Errorf("a status of %d came to %v", status, o)
	}
}

func answerWhole(p *probe) {
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable} {
		header := make(http.Header)
		for i := range 200 {
			header.Add(fmt.Sprintf("X-Field-%d", i), fmt.Sprint("value ", i))
			header.Add("Set-Cookie", fmt.Sprintf("c%d=1", i))
		}
		header.Set("X-Long", strings.Repeat(page, 20))
		header["x-as-it-was"] = []string{"a", "b"}
		was := &http.Response{
			Status:        fmt.Sprintf("%d In Words Of Its Own", status),
			StatusCode:    status,
			Proto:         "HTTP/1.0",
			ProtoMajor:    1,
			ProtoMinor:    0,
			ContentLength: int64(len(page)),
			Uncompressed:  true,
		}
		req := p.get(p.Context(), base+"/path")
		o := do(p.over(p.upstream(func(req *http.Request) (*http.Response, error) {
			resp := *was
			resp.Header = header.Clone()
			resp.Body = io.NopCloser(strings.NewReader(page))
			resp.Request = req
			return &resp, nil
		})), req)
		if status >= http.StatusBadRequest && o.replaced(p) {
			continue
		}
		if !o.is(p, status, page) {
			p.Errorf("an answer with a large header came to %v", o)
			continue
		}
		was.Header = header
		sameAnswer(p, o.resp, was)
		if o.resp.Request == nil || o.resp.Request.URL.String() != req.URL.String() {
			p.Errorf("the answer's Request is %v, want the one that was sent", o.resp.Request)
		}
	}
}

func sameAnswer(p *probe, got, want *http.Response) {
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"status", got.Status, want.Status},
		{"protocol", got.Proto, want.Proto},
		{"length", got.ContentLength, want.ContentLength},
		{"mark for what was uncompressed", got.Uncompressed, want.Uncompressed},
	} {
		if f.got != f.want {
			p.Errorf("the answer's %s is %v, was %v", f.name, f.got, f.want)
		}
	}
	lostFields(p, "answer", got.Header, want.Header)
}

func nilBodies(p *probe) {
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable} {
		o := do(p.over(p.upstream(func(req *http.Request) (*http.Response, error) {
			return respond(req, status, nil), nil
		})), p.get(p.Context(), base))
		if !o.is(p, status, "") {
			p.Errorf("a status of %d whose body is nil came to %v", status, o)
		}
	}
}

func emptyAnswers(p *probe) {
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable} {
		o := do(p.over(p.wire(p.upstream(Reply(status, "")))), p.get(p.Context(), base))
		switch {
		case !o.is(p, status, ""):
			p.Errorf("a status of %d without a body came to %v", status, o)
		case o.resp.Body == nil:
			p.Errorf("a status of %d without a body has an answer whose body is nil", status)
		}
	}
	server := p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"42"`)
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("Content-Length", "4242")
		}
	}))
	rt := p.over(server.Transport())
	for _, tt := range []struct {
		method, path string
		status       int
		length       int64
	}{
		{http.MethodHead, "/", http.StatusOK, 4242},
		{http.MethodGet, "/204", http.StatusNoContent, 0},
		{http.MethodGet, "/304", http.StatusNotModified, 0},
	} {
		req := p.get(p.Context(), server.URL+tt.path)
		req.Method = tt.method
		o := do(rt, req)
		switch {
		case !o.is(p, tt.status, ""):
			p.Errorf("%s %s came to %v", tt.method, tt.path, o)
		case o.resp.Body == nil:
			p.Errorf("%s %s has an answer whose body is nil", tt.method, tt.path)
		case o.resp.ContentLength != tt.length || o.resp.Header.Get("Etag") == "":
			p.Errorf("%s %s has an answer of length %d with the header %v, want %d and an Etag",
				tt.method, tt.path, o.resp.ContentLength, o.resp.Header, tt.length)
		}
	}
}
