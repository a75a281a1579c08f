package transport

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
)

// ErrNoToken is matched by the error of an endpoint whose token could not be had.
// It is a [*policy.Refusal] with the reason "token".
var ErrNoToken = errors.New("transport: no token")

// ErrNotTranslated is matched by the error of an endpoint for which the body of the
// request could not be translated, a [*policy.Refusal] with the reason "body", and
// by that of an endpoint whose answer could not.
var ErrNotTranslated = errors.New("transport: body not translated")

// endpoint is a policy.Endpoint with what follows from it.
type endpoint struct {
	policy.Endpoint
	index          int
	layer          Layer    // may be nil
	base           *url.URL // nil if it is whatever the request says; its path does not end in a slash
	authority      string   // of base
	rewrites       bool     // the requests of callers who address it, too
	hasCredentials bool
}

func newEndpoint(index int, e policy.Endpoint) *endpoint {
	e.Header = e.Header.Clone()
	known := &endpoint{
		Endpoint: e, index: index, hasCredentials: e.HasCredentials(),
		rewrites: len(e.Header) > 0 || e.Token != nil || e.Path != nil || e.RequestBody != nil,
	}
	if e.URL == "" {
		return known
	}
	base, err := url.Parse(e.URL)
	must(err)
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	known.base, known.authority = base, Authority(&http.Request{URL: base})
	known.rewrites = known.rewrites || base.RawQuery != ""
	return known
}

// holds reports whether u is below the endpoint's base.
func (e *endpoint) holds(u *url.URL) bool {
	if !strings.EqualFold(u.Scheme, e.base.Scheme) {
		return false
	}
	if u.Host != e.base.Host && Authority(&http.Request{URL: u}) != e.authority {
		return false
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), e.base.EscapedPath())
	return ok && (rest == "" || rest[0] == '/')
}

// An origin says where a request is from: which endpoint it is addressed to, and
// whether what it carries is meant for that.
type origin struct {
	index  int  // of the endpoint, -1 if it is none
	own    bool // its credentials are for that endpoint
	astray bool // it was redirected to no endpoint
}

// originOf returns where req is from. A client that follows a redirect gives the
// new request the credentials of the first one, as far as it does not know them
// for such.
func (f *Failover) originOf(req *http.Request) origin {
	index := f.addressed(req.URL)
	if req.Response == nil {
		return origin{index: index, own: index >= 0}
	}
	first := req
	for range 100 { // of a circle that nobody should make
		if first.Response == nil || first.Response.Request == nil {
			break
		}
		first = first.Response.Request
	}
	same := strings.EqualFold(first.URL.Scheme, req.URL.Scheme) && Authority(first) == Authority(req)
	return origin{index: index, own: index >= 0 && same && f.addressed(first.URL) == index, astray: index < 0}
}

// addressed returns the index of the endpoint to which u belongs, the one with the
// longest base, or -1.
func (f *Failover) addressed(u *url.URL) int {
	best, length := -1, -1
	for i, e := range f.endpoints {
		switch {
		case e.base == nil:
			if best < 0 {
				best = i
			}
		case len(e.base.Path) > length && e.holds(u):
			best, length = i, len(e.base.Path)
		}
	}
	return best
}

// rewrite returns req as it is sent to an endpoint: itself, if nothing is to be
// changed.
func (c *crossing) rewrite(req *http.Request, to *endpoint) (*http.Request, error) {
	own := c.origin.own && to.index == c.origin.index
	if own && !to.rewrites {
		return req, nil
	}
	var out *http.Request
	if own {
		out = req.WithContext(req.Context())
		out.Header = copyHeader(req.Header, len(to.Header)+1)
	} else {
		out = c.stripped(req)
	}
	c.relocate(out, to)
	return out, to.prepare(out)
}

// stripped returns a copy of req without what is meant only for the endpoint that
// the caller addressed.
func (f *Failover) stripped(req *http.Request) *http.Request {
	out := req.WithContext(req.Context())
	out.Header = f.publicOf(req.Header)
	if slices.ContainsFunc(slices.Collect(maps.Keys(req.Trailer)), f.cfg.IsSecret) {
		out.Trailer = f.publicOf(req.Trailer)
	}
	out.Form, out.PostForm, out.MultipartForm, out.Response = nil, nil, nil, nil
	u := *req.URL
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	u.RawQuery = f.publicQuery(u.RawQuery)
	out.URL = &u
	return out
}

// publicOf returns a copy of h without the secrets. The values are the same ones,
// which nobody changes.
func (f *Failover) publicOf(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	public := make(http.Header, len(h))
	for name, values := range h {
		if !f.cfg.IsSecret(name) {
			public[name] = values
		}
	}
	return public
}

// copyHeader returns a copy of h with room for more names. The values are the
// same ones, which nobody changes.
func copyHeader(h http.Header, more int) http.Header {
	out := make(http.Header, len(h)+more)
	for name, values := range h {
		out[name] = values
	}
	return out
}

// publicQuery returns a query without the secrets. What cannot be read, or could be
// read in two ways, may be one.
func (f *Failover) publicQuery(query string) string {
	if query == "" {
		return ""
	}
	return filterQuery(query, func(name string) bool { return !f.cfg.IsSecret(name) })
}

// filterQuery returns the parameters of a query whose names keep accepts, as they
// are written.
func filterQuery(query string, keep func(name string) bool) string {
	var b strings.Builder
	for part := range strings.SplitSeq(query, "&") {
		escaped, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(escaped)
		if err != nil || strings.Contains(part, ";") || !keep(name) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(part)
	}
	return b.String()
}

// relocate gives out, which is ours, the URL that it has at an endpoint.
func (c *crossing) relocate(out *http.Request, to *endpoint) {
	if to.base == nil && to.Path == nil {
		return
	}
	u := *out.URL
	var from *url.URL
	if c.origin.index >= 0 {
		from = c.endpoints[c.origin.index].base
	}
	rest, rawRest := u.Path, u.EscapedPath()
	if from != nil {
		rest = strings.TrimPrefix(rest, from.Path)
		rawRest = strings.TrimPrefix(rawRest, from.EscapedPath())
	}
	base := to.base
	if base == nil {
		if base = from; base == nil {
			base = &url.URL{Scheme: u.Scheme, Host: u.Host}
		}
	}
	if to.Path != nil {
		rest = to.Path(rest)
		rawRest = (&url.URL{Path: rest}).EscapedPath()
	}
	u.Scheme, u.Path, u.RawPath = base.Scheme, base.Path+rest, ""
	if raw := base.EscapedPath() + rawRest; raw != u.EscapedPath() {
		u.RawPath = raw
	}
	if u.Host != base.Host {
		u.Host, out.Host = base.Host, ""
	}
	if base.RawQuery != "" {
		ours := base.Query()
		u.RawQuery = filterQuery(u.RawQuery, func(name string) bool { return name != "" && !ours.Has(name) })
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += base.RawQuery
	}
	out.URL = &u
}

// prepare gives out, which is ours, the endpoint's header and body.
func (e *endpoint) prepare(out *http.Request) error {
	if out.Header == nil {
		out.Header = http.Header{}
	}
	for name, values := range e.Header {
		if name = http.CanonicalHeaderKey(name); name == "Host" && len(values) > 0 {
			out.Host = values[0]
		} else if len(values) == 0 {
			delete(out.Header, name)
		} else {
			out.Header[name] = values
		}
	}
	if e.Token != nil {
		token, err := e.Token(out.Context())
		if err != nil {
			return &policy.Refusal{Layer: "failover", Reason: "token", Err: fmt.Errorf("%w for endpoint %s: %w", ErrNoToken, e.Name, err)}
		}
		out.Header["Authorization"] = []string{"Bearer " + token}
	}
	return e.translateRequest(out)
}

// adopt makes resp, which answers out, fit for a caller who addressed another
// endpoint.
func (c *crossing) adopt(out *http.Request, resp *http.Response) {
	resp.Request = c.req // it has the trail, and none of the endpoint's credentials
	if out.URL.Host == c.req.URL.Host || resp.Header == nil {
		return
	}
	delete(resp.Header, "Set-Cookie") // they are for another host
	if location := resp.Header["Location"]; len(location) > 0 {
		if u, err := out.URL.Parse(location[0]); err == nil {
			resp.Header["Location"] = []string{u.String()}
		}
	}
}
