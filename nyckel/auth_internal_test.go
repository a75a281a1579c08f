package nyckel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A request that is not sent for want of a token is closed all the same.
func TestAuthorizeClosesRequest(t *testing.T) {
	base, err := url.Parse("https://api.test")
	require.NoError(t, err)
	up := transporttest.NewUpstream()
	var bodies transporttest.Bodies
	rt := transport.Chain(up, bodies.Wrap, authorize(base, constant("")))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.test/", strings.NewReader("{}"))
	require.NoError(t, err)
	_, err = rt.RoundTrip(req)
	require.ErrorIs(t, err, errNoToken)
	assert.Zero(t, up.Calls())
	assert.Equal(t, 1, bodies.Requests.Opened())
	bodies.Check(t)
}

// A body that can be sent only once is not sent again: the service's no is the answer.
func TestAuthorizeSendsBodyOnce(t *testing.T) {
	base, err := url.Parse("https://api.test")
	require.NoError(t, err)
	up := transporttest.NewUpstream(transporttest.Reply(http.StatusUnauthorized, "{}"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.test/", strings.NewReader("{}"))
	require.NoError(t, err)
	req.GetBody = nil
	resp, err := authorize(base, &rotating{})(up).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Equal(t, 1, up.Calls())
}

// rotating is a source with another token each time.
type rotating struct{ given int }

func (r *rotating) Token(context.Context, string) (string, error) {
	r.given++
	return fmt.Sprint("token-", r.given), nil
}

// An error page that is longer than what is looked at, and has come, keeps its body.
func TestAuthorizeKeepsLongPages(t *testing.T) {
	base, err := url.Parse("https://api.test")
	require.NoError(t, err)
	page := strings.Repeat("x", policy.PeekBytes+1)
	up := transporttest.NewUpstream(transporttest.Reply(http.StatusForbidden, page))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/", nil)
	require.NoError(t, err)
	resp, err := authorize(base, constant("token"))(up).RoundTrip(req)
	require.NoError(t, err)
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, errors.Join(err, resp.Body.Close()))
	assert.Equal(t, page, string(content))
}

type constant string

func (c constant) Token(context.Context, string) (string, error) { return string(c), nil }

// A layer of the stack may send a request elsewhere. The token stays.
func TestAuthorizeKeepsTokenFromOtherHosts(t *testing.T) {
	base, err := url.Parse("https://api.test")
	require.NoError(t, err)
	tests := []struct{ name, url, want string }{
		{"the service", "https://api.test/v1/functions/f/invoke", "Bearer token"},
		{"other host", "https://elsewhere.test/v1/functions/f/invoke", ""},
		{"other port", "https://api.test:8443/v1/functions/f/invoke", ""},
		{"host below", "https://evil.api.test/", ""},
		{"without TLS", "http://api.test/v1/functions/f/invoke", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up := transporttest.NewUpstream()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tt.url, nil)
			require.NoError(t, err)
			resp, err := authorize(base, constant("token"))(up).RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, tt.want, up.Requests()[0].Header.Get("Authorization"))
			assert.Empty(t, req.Header, "the caller's request")
		})
	}
}

// The service is told the version of the module, be it one that the program needs or the
// one that has the program, as the command sparekey is.
func TestVersionIn(t *testing.T) {
	const path = "github.com/sparekey/sparekey"
	other := &debug.Module{Path: "example.com/other", Version: "v9.0.0"}
	tests := []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"needed", debug.BuildInfo{Main: *other, Deps: []*debug.Module{other, {Path: path, Version: "v0.4.0"}}}, "v0.4.0"},
		{"main", debug.BuildInfo{Main: debug.Module{Path: path, Version: "v0.4.0"}, Deps: []*debug.Module{other}}, "v0.4.0"},
		{"main, as it lies there", debug.BuildInfo{Main: debug.Module{Path: path, Version: "(devel)"}}, "devel"},
		{"main of a test", debug.BuildInfo{Main: debug.Module{Path: path}}, "devel"},
		{"not there", debug.BuildInfo{Main: *other}, "devel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.want, versionIn(&tt.info)) })
	}
}
