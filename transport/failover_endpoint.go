package transport

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
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
	escaped        string   // path of base, as it is sent
	host, port     string   // of base
	rewrites       bool     // the requests of callers who address it, too
	hasCredentials bool

	observeProbe Layer
}

func newEndpoint(index int, e policy.Endpoint) *endpoint {
	e.Header = e.Header.Clone()
	known := &endpoint{
		Endpoint: e, index: index, hasCredentials: e.HasCredentials(),
		rewrites: len(e.Header) > 0 || e.Token != nil || e.Path != nil || e.RequestBody != nil || e.ResponseBody != nil,
	}
	if e.URL == "" {
		return known
	}
	base, err := url.Parse(e.URL)
	must(err)
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	known.base, known.escaped = base, base.EscapedPath()
	known.host, known.port = base.Hostname(), portOf(base)
	known.rewrites = known.rewrites || base.RawQuery != ""
	known.observeProbe = telemetry.ObserveAttempt(telemetry.Config{Endpoint: e.Name, Classify: e.Classify, Probe: true})
	return known
}

// holds reports whether u is below the endpoint's base.
func (e *endpoint) holds(u *url.URL) bool {
	if !e.isAt(u) {
		return false
	}
	path, base := u.Path, e.base.Path
	if u.RawPath != "" || e.base.RawPath != "" {
		path, base = u.EscapedPath(), e.escaped
	}
	rest, ok := strings.CutPrefix(path, base)
	return ok && (rest == "" || rest[0] == '/')
}

// isAt reports whether u is of the scheme, the host and the port of the endpoint.
func (e *endpoint) isAt(u *url.URL) bool {
	if !strings.EqualFold(u.Scheme, e.base.Scheme) {
		return false
	}
	return u.Host == e.base.Host || strings.EqualFold(u.Hostname(), e.host) && portOf(u) == e.port
}

// samePlace reports whether a and b are of one scheme, host and port.
func samePlace(a, b *url.URL) bool {
	if !strings.EqualFold(a.Scheme, b.Scheme) {
		return false
	}
	return a.Host == b.Host || strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	if strings.EqualFold(u.Scheme, "https") {
		return "443"
	}
	return "80"
}

// An addressee is the endpoint that the caller addressed a request to, and whether the
// credentials in the request are meant for it.
type addressee struct {
	index      int  // of the endpoint, -1 if it is none
	own        bool // its credentials are for that endpoint
	noEndpoint bool // it was redirected to no endpoint
}

// addresseeOf returns whom req is addressed to. A client that follows a redirect copies
// credentials that it does not know for such, x-api-key say, into the new request. An
// endpoint without a URL is wherever the first request was addressed to: after a redirect
// to anywhere else, the credentials of that endpoint would go along.
func (f *Failover) addresseeOf(req *http.Request) addressee {
	index := f.addressed(req.URL)
	if req.Response == nil {
		return addressee{index: index, own: index >= 0}
	}
	first := req
	for range 100 { // of a circle that nobody should make
		if first.Response == nil || first.Response.Request == nil {
			break
		}
		first = first.Response.Request
	}
	stayed := samePlace(first.URL, req.URL)
	if !stayed && slices.ContainsFunc(f.endpoints, func(e *endpoint) bool { return e.base == nil }) {
		index = -1
	}
	own := index >= 0 && stayed && f.addressed(first.URL) == index
	return addressee{index: index, own: own, noEndpoint: index < 0}
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

// rewrite returns req as an endpoint gets it that req is not addressed to, or that has
// fields, a token or bodies of its own.
func (c *failoverCall) rewrite(req *http.Request, to *endpoint, d *rewrittenAttempt) (*http.Request, error) {
	var out *http.Request
	if c.isFor(to) {
		out = d.copy(req)
		out.Header = maps.Clone(req.Header)
	} else {
		out = c.stripped(req, d)
	}
	c.relocate(out, to)
	return out, to.prepare(out)
}

// copy returns a copy of req with a URL of its own.
func (d *rewrittenAttempt) copy(req *http.Request) *http.Request {
	d.req = *req.WithContext(req.Context()) // a copy that is inlined, and so not made twice
	d.url = *req.URL
	d.req.URL = &d.url
	return &d.req
}

// stripped returns a copy of req without what is meant only for the endpoint that
// the caller addressed.
func (f *Failover) stripped(req *http.Request, d *rewrittenAttempt) *http.Request {
	out := d.copy(req)
	out.Header = f.publicOf(req.Header)
	for name := range req.Trailer {
		if f.cfg.IsSecret(name) {
			f.stripTrailer(out, req.Trailer)
			break
		}
	}
	out.Form, out.PostForm, out.MultipartForm, out.Response = nil, nil, nil, nil
	u := out.URL
	u.User, u.Opaque, u.Fragment, u.RawFragment = nil, "", "", "" // an opaque URL says how to get to one place
	u.RawQuery = f.publicQuery(u.RawQuery)
	return out
}

// stripTrailer gives out the trailer without the secrets, also of the values that it
// gets while the body is read.
func (f *Failover) stripTrailer(out *http.Request, trailer http.Header) {
	out.Trailer = f.publicOf(trailer)
	if hasBody(out) && !new(body.Snapshot).Take(out.Body) {
		out.Body = &trailed{out.Body, trailer, out.Trailer}
	}
}

// trailed is a body at whose end a trailer is complete, and is copied.
type trailed struct {
	io.ReadCloser
	from, to http.Header
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF {
		for name := range t.to {
			t.to[name] = t.from[name]
		}
	}
	return n, err
}

// publicOf returns a copy of h without the secrets. The values are the same ones,
// which nobody changes.
func (f *Failover) publicOf(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	public := make(http.Header, len(h))
	for name, values := range h {
		if !f.isSecret(name) {
			public[name] = values
		}
	}
	return public
}

// isSecret is IsSecret, with the answers for the common names at hand.
func (f *Failover) isSecret(name string) bool {
	if len(name) < len(f.common) {
		for _, known := range f.common[len(name)] {
			if known.name == name {
				return known.secret
			}
		}
	}
	return f.cfg.IsSecret(name)
}

// A commonName is a header field of which it was asked beforehand whether it is secret.
type commonName struct {
	name   string
	secret bool
}

// commonNames are the header fields that official SDKs send. They are kept by length:
// few have the same one, and to compare those is quicker than a map.
var commonNames = [...]string{
	"Accept", "Accept-Encoding", "Accept-Language", "Anthropic-Beta", "Anthropic-Version", "Api-Key", "Authorization",
	"Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Idempotency-Key", "Openai-Organization", "Openai-Project",
	"Traceparent", "Tracestate", "User-Agent", "X-Api-Key", "X-Goog-Api-Client", "X-Goog-Api-Key", "X-Request-Id",
	"X-Stainless-Arch", "X-Stainless-Lang", "X-Stainless-Os", "X-Stainless-Package-Version", "X-Stainless-Retry-Count",
	"X-Stainless-Runtime", "X-Stainless-Runtime-Version", "X-Stainless-Timeout",
}

const longestCommon = len("X-Stainless-Runtime-Version")

// publicQuery returns a query without the secrets. What cannot be read, or could be
// read in two ways, may be one.
func (f *Failover) publicQuery(query string) string {
	if query == "" {
		return ""
	}
	return filterQuery(query, func(parameter string) bool {
		name, sure := parameterName(parameter)
		return sure && !f.cfg.IsSecret(name)
	})
}

// filterQuery returns the parameters of a query that keep accepts, as they are written.
func filterQuery(query string, keep func(parameter string) bool) string {
	var b strings.Builder
	for parameter := range strings.SplitSeq(query, "&") {
		if !keep(parameter) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(parameter)
	}
	return b.String()
}

// parameterName returns the name of a parameter of a query, and whether that surely is
// the only one: some servers take a semicolon for the beginning of another.
func parameterName(parameter string) (name string, sure bool) {
	escaped, _, _ := strings.Cut(parameter, "=")
	name, err := url.QueryUnescape(escaped)
	return name, err == nil && !strings.Contains(parameter, ";")
}

// relocate gives out, which is ours, the URL that it has at an endpoint.
func (c *failoverCall) relocate(out *http.Request, to *endpoint) {
	if to.base == nil && to.Path == nil {
		return
	}
	u := out.URL
	var from *endpoint
	if c.addressee.index >= 0 && c.endpoints[c.addressee.index].base != nil {
		from = c.endpoints[c.addressee.index]
	} else { // an address of its own
		from = &endpoint{base: &url.URL{Scheme: u.Scheme, Host: u.Host}}
	}
	at := to
	if at.base == nil {
		at = from
	}
	to.moveTo(at, from, u)
	if u.Host != at.base.Host {
		u.Host, out.Host = at.base.Host, ""
	}
	u.Scheme = at.base.Scheme
	if at.base.RawQuery != "" {
		u.RawQuery = at.addQuery(u.RawQuery)
	}
}

// moveTo gives u, which is below the base of from, the path that it has below that
// of at.
func (e *endpoint) moveTo(at, from *endpoint, u *url.URL) {
	rest := strings.TrimPrefix(u.Path, from.base.Path)
	if e.Path == nil && u.RawPath == "" && from.base.RawPath == "" && at.base.RawPath == "" {
		u.Path = at.base.Path + rest
		return
	}
	escaped := strings.TrimPrefix(u.EscapedPath(), from.escaped)
	if e.Path != nil {
		rest = e.Path(rest)
		escaped = (&url.URL{Path: rest}).EscapedPath()
	}
	u.Path, u.RawPath = at.base.Path+rest, at.escaped+escaped
}

// addQuery returns a query with the endpoint's own parameters, in place of others of
// the same names.
func (e *endpoint) addQuery(query string) string {
	ours := e.base.Query()
	query = filterQuery(query, func(parameter string) bool {
		name, _ := parameterName(parameter)
		return parameter != "" && !ours.Has(name)
	})
	if query == "" {
		return e.base.RawQuery
	}
	return query + "&" + e.base.RawQuery
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
func (c *failoverCall) adopt(to *endpoint, out *http.Request, resp *http.Response) {
	resp.Request = c.req // it has the trail, and none of the endpoint's credentials
	if c.addressee.own && to.index == c.addressee.index || resp.Header == nil {
		return
	}
	if out.URL.Host != c.req.URL.Host {
		delete(resp.Header, "Set-Cookie") // they are for another host
	}
	if location := resp.Header["Location"]; len(location) > 0 && location[0] != "" {
		base := *out.URL
		base.RawQuery = "" // it may hold the endpoint's credentials
		if u, err := base.Parse(location[0]); err == nil {
			resp.Header["Location"] = []string{u.String()}
		}
	}
}
