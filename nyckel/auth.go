package nyckel

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport"
)

// authorize returns the layer that adds the access token. It stands innermost.
// When the service refuses the token, it asks once more with a new one. Requests
// to any host but the base URL's go without a token, and so do those to which an
// endpoint of a failover has given credentials of its own: another account's.
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
	if req.URL.Scheme != a.base.Scheme || req.URL.Host != a.base.Host || req.Header.Get("Authorization") != "" {
		return a.next.RoundTrip(req)
	}
	token, err := a.token(req.Context(), "")
	if err != nil {
		body.CloseRequest(req)
		return nil, err
	}
	resp, err := a.send(req, token)
	bare := req.Body == nil || req.Body == http.NoBody
	if err != nil || resp.StatusCode != http.StatusUnauthorized || req.GetBody == nil && !bare {
		return resp, err
	}
	fresh, err := a.token(req.Context(), token)
	if err != nil { // tells more than a 401 that an expired token got
		discard(req, resp)
		return nil, err
	}
	if fresh == token { // the source has no other
		return resp, nil
	}
	repeated := req.WithContext(req.Context())
	if !bare {
		if repeated.Body, err = req.GetBody(); err != nil {
			return resp, nil //nolint:nilerr // the service's no is the answer
		}
	}
	discard(req, resp)
	return a.send(repeated, fresh)
}

// pageTime bounds the wait for an error page.
const pageTime = 200 * time.Millisecond

// send sends req with the token. An error page that repeats the token, as some
// gateways' do, loses its body: it would end up in an error. The page may be
// compressed, or escape what it quotes, so that what can be read of it counts, too;
// what has not come in time may be the token, and of a long one there may be no more
// than the beginning. The page of a conflict names the sample that is there already, and
// is waited for like an answer.
func (a *authorizer) send(req *http.Request, token string) (*http.Response, error) {
	resp, err := body.Send(a.next, withToken(req, token))
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	wait := pageTime
	if resp.StatusCode == http.StatusConflict {
		wait = math.MaxInt64 // what the attempt has left
	}
	page, end := body.PeekUntil(req.Context(), resp, policy.PeekBytes, wait, nil)
	late := end == nil && len(page) < policy.PeekBytes
	read := policy.Classify(policy.Outcome{Status: resp.StatusCode, Header: resp.Header, Body: page, Now: time.Now()})
	begin := token[:min(len(token), 32)]
	if late || bytes.Contains(page, []byte(begin)) || strings.Contains(read.Code+" "+read.Message, begin) {
		discard(req, resp)
		resp.Body, resp.ContentLength = http.NoBody, 0
	}
	return resp, nil
}

// token asks the source. What the source gives as an error becomes an [*Error],
// unless the call itself has come to its end.
func (a *authorizer) token(ctx context.Context, rejected string) (string, error) {
	token, err := a.source.Token(ctx, rejected)
	switch {
	case err == nil && token == "":
		return "", tokenError(policy.Outcome{Err: errors.New("the token source gave an empty one")})
	case err == nil || ctx.Err() != nil || policy.ErrorOf(err) != nil:
		return token, err
	}
	return "", tokenError(policy.Outcome{Err: err})
}

// discard ends a response in a way that its connection can be used again.
func discard(req *http.Request, resp *http.Response) {
	body.Discard(req.Context(), resp, body.DrainBytes, body.DrainTime)
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
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return versionIn(info)
})

// versionIn finds the module among those of a program, of which it may be the main one.
func versionIn(info *debug.BuildInfo) string {
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path == "github.com/sparekey/sparekey" && m.Version != "" {
			return strings.Trim(m.Version, "()") // "(devel)" is that of a main module without one
		}
	}
	return "devel"
}
