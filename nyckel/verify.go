package nyckel

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport"
)

// verify returns the layer that looks into answers. One that is none of what was
// asked for, such as a page that a proxy sends with a status of 200, becomes an error
// here, below the stack: so it is asked for again or replaced, and no cache keeps it.
// Answers that the failover of the stack translates are left to that.
func verify(f *policy.Failover) transport.Layer {
	translated := translatedBy(f)
	return func(next http.RoundTripper) http.RoundTripper { return verifier(next, translated) }
}

func verifier(next http.RoundTripper, translated func(*url.URL) bool) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		resp, err := body.Send(next, req)
		if err != nil || resp.StatusCode != http.StatusOK || translated(req.URL) {
			return resp, err
		}
		expected, ok := req.Context().Value(checkerKey{}).(checker)
		if !ok { // of no use but for its status
			return resp, nil
		}
		err = body.Buffer(resp, expected.limit())
		wire := resp.Body
		switch ctx := req.Context(); {
		case err != nil && ctx.Err() != nil:
			_ = wire.Close() // it has failed already
			return nil, context.Cause(ctx)
		case err != nil:
			return resp, nil // a body that breaks is the stack's business
		}
		defer wire.Close()
		content, err := io.ReadAll(io.LimitReader(wire, expected.limit()+1))
		if err != nil {
			return nil, err
		}
		if err := expected.check(content); err != nil {
			return nil, err
		}
		resp.Body = body.Bytes(content)
		return resp, nil
	})
}

// translatedBy returns a func that reports whether a URL is one of an endpoint whose
// answers f translates. Of endpoints that have it, the one with the longest base
// counts.
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
			places = append(places, place{base.Scheme, base.Host, strings.TrimSuffix(base.Path, "/") + "/", translates(e)})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return len(b.path) - len(a.path) })
	return func(u *url.URL) bool {
		i := slices.IndexFunc(places, func(p place) bool {
			return p.scheme == u.Scheme && p.host == u.Host && strings.HasPrefix(u.Path, p.path)
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
