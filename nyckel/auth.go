package nyckel

import (
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport"
)

// authorize returns the layer that adds the access token. It stands innermost.
// When the service refuses the token, it asks once more with a new one. Requests
// to any host but the base URL's go without a token.
func authorize(base *url.URL, source TokenSource) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		return &authorizer{base: base, source: source, next: next}
	}
}

type authorizer struct {
	base   *url.URL
	source TokenSource
	next   http.RoundTripper
}

func (a *authorizer) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != a.base.Scheme || req.URL.Host != a.base.Host {
		return a.next.RoundTrip(req)
	}
	token, err := a.source.Token(req.Context(), "")
	if err != nil {
		body.CloseRequest(req)
		return nil, err
	}
	resp, err := a.next.RoundTrip(withToken(req, token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized || req.GetBody == nil {
		return resp, err
	}
	fresh, err := a.source.Token(req.Context(), token)
	if err != nil || fresh == token {
		return resp, nil // the service's own no is the better answer
	}
	again, err := req.GetBody()
	if err != nil {
		return resp, nil
	}
	body.Discard(resp, 64<<10, 50*time.Millisecond)
	repeated := withToken(req, fresh)
	repeated.Body = again
	return a.next.RoundTrip(repeated)
}

// withToken returns a copy of req that bears the token and the client's name.
func withToken(req *http.Request, token string) *http.Request {
	signed := req.WithContext(req.Context())
	signed.Header = req.Header.Clone()
	signed.Header.Set("Authorization", "Bearer "+token)
	signed.Header.Set("Nyckel-Client-Name", "sparekey")
	signed.Header.Set("Nyckel-Client-Version", version())
	return signed
}

// version returns the module's version as the program was built with it, or
// "devel".
var version = sync.OnceValue(func() string {
	const module = "github.com/sparekey/sparekey"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return "devel"
})
