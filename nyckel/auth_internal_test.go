package nyckel

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
