package nyckel

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport"
)

// translatedBy returns a func that reports whether a URL is one of an endpoint whose
// answers f translates: such an endpoint is another service. Of endpoints that have
// the URL, the one with the longest base counts.
func translatedBy(f *policy.Failover) func(*url.URL) bool {
	if f == nil || !slices.ContainsFunc(f.Endpoints, translates) {
		return func(*url.URL) bool { return false }
	}
	type place struct {
		scheme, host, path string
		translated         bool
	}
	var places []place
	for _, e := range f.Endpoints {
		if base, err := url.Parse(e.URL); err == nil && base.Host != "" {
			places = append(places, place{base.Scheme, base.Host, strings.TrimRight(base.Path, "/") + "/", translates(e)})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return len(b.path) - len(a.path) })
	return func(u *url.URL) bool {
		i := slices.IndexFunc(places, func(p place) bool {
			return p.scheme == u.Scheme && p.host == u.Host && strings.HasPrefix(u.Path+"/", p.path)
		})
		return i >= 0 && places[i].translated
	}
}

// translates reports whether an endpoint may answer in another form than the
// service's.
func translates(e policy.Endpoint) bool { return e.ResponseBody != nil }

// untranslated returns f without the endpoints whose answers it translates, nil if
// no others are left.
func untranslated(f *policy.Failover) *policy.Failover {
	if f == nil || !slices.ContainsFunc(f.Endpoints, translates) {
		return f
	}
	rest := *f
	rest.Endpoints = slices.DeleteFunc(slices.Clone(f.Endpoints), translates)
	if len(rest.Endpoints) == 0 {
		return nil
	}
	return &rest
}

// exceptTranslated returns layer without what goes to the endpoints whose answers f
// translates.
func exceptTranslated(f *policy.Failover, layer transport.Layer) transport.Layer {
	if f == nil || !slices.ContainsFunc(f.Endpoints, translates) {
		return layer
	}
	translated := translatedBy(f)
	return func(next http.RoundTripper) http.RoundTripper { return &bypass{translated, layer(next), next} }
}

// bypass sends requests past a layer.
type bypass struct {
	past        func(*url.URL) bool
	layer, next http.RoundTripper
}

func (b *bypass) RoundTrip(req *http.Request) (*http.Response, error) {
	if b.past(req.URL) {
		return body.Send(b.next, req)
	}
	return b.layer.RoundTrip(req)
}

// CloseIdleConnections forwards to the transport below.
func (b *bypass) CloseIdleConnections() { body.CloseIdle(b.next) }

// Unwrap is for [transport.Inspect].
func (b *bypass) Unwrap() http.RoundTripper { return b.layer }
