package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A redirect goes its usual way through a stack that repeats requests: with its
// body, and without the credentials if it leads to another host.
func TestStandardRedirect(t *testing.T) {
	for location, wantAuthorization := range map[string]string{"/there": "secret", "http://other.test/there": ""} {
		t.Run(location, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies []string
				var last *http.Request
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					data, _ := io.ReadAll(r.Body)
					bodies, last = append(bodies, string(data)), r
					switch {
					case len(bodies)%2 == 1:
						w.WriteHeader(http.StatusServiceUnavailable)
					case r.URL.Path == "/":
						http.Redirect(w, r, location, http.StatusTemporaryRedirect)
					}
				}))
				client := transport.Wrap(server.Client(), transport.Standard(policy.Stack{Retry: policy.Retry{IdempotencyKey: true}}))
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader("hello"))
				require.NoError(t, err)
				req.Header.Set("Authorization", "secret")
				resp, err := client.Do(req)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, http.StatusOK, resp.StatusCode)
				assert.Equal(t, []string{"hello", "hello", "hello", "hello"}, bodies)
				assert.Equal(t, "/there", last.URL.Path)
				assert.Equal(t, wantAuthorization, last.Header.Get("Authorization"))
				assert.Equal(t, http.Header{"Authorization": {"secret"}}, req.Header)
			})
		})
	}
}

// An endpoint without a URL has credentials of its own for where the caller asks, and
// for nobody to whom a server there redirects him.
func TestFailoverRedirectWithoutURL(t *testing.T) {
	tests := []struct{ name, location, want string }{
		{"another path", "/there", "Bearer own"},
		{"another host", "http://other.test/there", ""},
		{"another port", "http://up.test:81/there", ""},
		{"another scheme", "https://up.test/there", ""},
		{"another endpoint", "http://second.test/there", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first, last := transporttest.Reply(http.StatusTemporaryRedirect, "", "Location", tt.location), transporttest.Reply(http.StatusOK, "ok")
			up := transporttest.NewUpstream(first, last)
			client := transport.Wrap(&http.Client{Transport: up}, transport.Standard(policy.Stack{Failover: &policy.Failover{Endpoints: []policy.Endpoint{
				{Name: "first", Header: http.Header{"Authorization": {"Bearer own"}}},
				{Name: "second", URL: "http://second.test", Header: http.Header{"Authorization": {"Bearer second"}}},
			}}}))
			resp, err := client.Get("http://up.test/here")
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Len(t, up.Requests(), 2)
			assert.Equal(t, "Bearer own", up.Requests()[0].Header.Get("Authorization"))
			assert.Equal(t, tt.want, up.Requests()[1].Header.Get("Authorization"))
		})
	}
}

// Nor for anybody to whom that one redirects him in turn, be it within itself.
func TestFailoverRedirectsWithoutURL(t *testing.T) {
	tests := []struct{ name, location, wantOwn, wantCallers string }{
		{"within the other host", "http://other.test/further", "", ""},
		{"to a third host", "http://third.test/", "", ""},
		{"back", "http://up.test/there", "Bearer own", "secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up := transporttest.NewUpstream(
				transporttest.Reply(http.StatusTemporaryRedirect, "", "Location", "http://other.test/"),
				transporttest.Reply(http.StatusTemporaryRedirect, "", "Location", tt.location),
				transporttest.Reply(http.StatusOK, "ok"),
			)
			client := transport.Wrap(&http.Client{Transport: up}, transport.Standard(policy.Stack{Failover: &policy.Failover{
				Endpoints: []policy.Endpoint{{Name: "first", Header: http.Header{"Authorization": {"Bearer own"}}}},
			}}))
			req := newRequest(t, t.Context(), http.MethodGet, "")
			req.Header.Set("X-Api-Key", "secret") // the client copies it into the requests that follow
			resp, err := client.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Len(t, up.Requests(), 3)
			last := up.Requests()[2]
			assert.Equal(t, tt.location, last.URL)
			assert.Equal(t, tt.wantOwn, last.Header.Get("Authorization"))
			assert.Equal(t, tt.wantCallers, last.Header.Get("X-Api-Key"))
		})
	}
}

// A transport that says nothing of the request that it answers does not make a redirect
// to another host look like one that stayed where it was.
func TestFailoverRedirectWithoutRequest(t *testing.T) {
	up := transporttest.NewUpstream(
		transporttest.Reply(http.StatusTemporaryRedirect, "", "Location", "http://other.test/"),
		transporttest.Reply(http.StatusOK, "ok"))
	silent := transport.Func(func(req *http.Request) (*http.Response, error) {
		resp, err := up.RoundTrip(req)
		resp.Request = nil
		return resp, err
	})
	failover := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{{Name: "first"}}}, nil)
	client := transport.Wrap(&http.Client{Transport: silent}, failover.Wrap)
	req := newRequest(t, t.Context(), http.MethodGet, "")
	req.Header.Set("X-Api-Key", "secret")
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Len(t, up.Requests(), 2)
	assert.Equal(t, "http://other.test/", up.Requests()[1].URL)
	assert.Empty(t, up.Requests()[1].Header.Get("X-Api-Key"))
}
