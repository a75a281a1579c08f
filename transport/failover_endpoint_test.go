package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// Where a request goes at the second endpoint, for a caller who addresses the first.
func TestFailoverURLs(t *testing.T) {
	double := func(rest string) string { return "/models/x y" + rest + ":predict" }
	tests := []struct {
		name         string
		first        string
		second       policy.Endpoint
		asked, where string
	}{
		{"another host", "http://a.test", policy.Endpoint{URL: "https://b.test"}, "http://a.test/x?q=1", "https://b.test/x?q=1"},
		{"another base", "http://a.test/v1", policy.Endpoint{URL: "http://b.test/openai/v1/"}, "http://a.test/v1/x", "http://b.test/openai/v1/x"},
		{"the base itself", "http://a.test/v1", policy.Endpoint{URL: "http://b.test/v2"}, "http://a.test/v1", "http://b.test/v2"},
		{"a port that goes without saying", "http://a.test:80/v1", policy.Endpoint{URL: "http://b.test"}, "http://A.test/v1/x", "http://b.test/x"},
		{"below no base", "http://a.test/v1", policy.Endpoint{URL: "http://b.test/v2"}, "http://x.test/y", "http://b.test/v2/y"},
		{"almost below the base", "http://a.test/v1", policy.Endpoint{URL: "http://b.test/v2"}, "http://a.test/v10", "http://b.test/v2/v10"},
		{"an escaped slash", "http://a.test/v1", policy.Endpoint{URL: "http://b.test/v%2F2"}, "http://a.test/v1/a%2Fb%20c", "http://b.test/v%2F2/a%2Fb%20c"},
		{"a path of its own", "http://a.test/v1", policy.Endpoint{URL: "http://b.test/v2", Path: double}, "http://a.test/v1/f", "http://b.test/v2/models/x%20y/f:predict"},
		{"a query of its own", "http://a.test", policy.Endpoint{URL: "http://b.test?api-version=2"}, "http://a.test/x?api-version=1&q=1", "http://b.test/x?q=1&api-version=2"},
		{"the same place", "http://a.test/v1", policy.Endpoint{}, "http://a.test/v1/x?q=1&key=k", "http://a.test/v1/x?q=1"},
		{"the same place by another path", "http://a.test/v1", policy.Endpoint{Path: double}, "http://a.test/v1/f", "http://a.test/v1/models/x%20y/f:predict"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.second.Name = "second"
			var where string
			rt := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{{Name: "first", URL: tt.first}, tt.second}}, nil).
				Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
					if where == "" {
						where = "-"
						return nil, errDial
					}
					where = req.URL.String()
					return replied(req, 200, ""), nil
				}))
			req := to(t, "GET", tt.asked, "")
			_, _, err := send(t, rt, req)
			require.NoError(t, err)
			assert.Equal(t, tt.where, where)
			assert.Equal(t, tt.asked, req.URL.String(), "the caller's request")
		})
	}
}

// What the caller of an endpoint asks stays as he wrote it beside the endpoint's own
// parameters, be it in a form that can be read in two ways or in none.
func TestFailoverAddsQuery(t *testing.T) {
	tests := []struct{ name, asked, sent string }{
		{"none", "", "api-version=2"},
		{"the same name", "api-version=1&q=1", "q=1&api-version=2"},
		{"the same name, escaped", "api%2Dversion=1&q=1", "q=1&api-version=2"},
		{"a semicolon", "columns=a;b&q=1", "columns=a;b&q=1&api-version=2"},
		{"a percent sign", "100%=yes&q=5%", "100%=yes&q=5%&api-version=2"},
		{"no name", "=x&&q=1&", "=x&q=1&api-version=2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sites{}
			rt := over(s, policy.Failover{Endpoints: []policy.Endpoint{{Name: "a", URL: "http://a.test?api-version=2"}}})
			_, _, err := send(t, rt, to(t, "GET", "http://a.test/x?"+tt.asked, ""))
			require.NoError(t, err)
			assert.Equal(t, tt.sent, s.last.URL.RawQuery)
		})
	}
}

// An endpoint gets its own header, token and host; the caller's request stays as it
// is, and so do the endpoint's settings.
func TestFailoverHeaders(t *testing.T) {
	type key struct{}
	s := &sites{status: map[string]int{"a.test": -1}}
	endpoints := regions()
	endpoints[1].Header = http.Header{"x-region": {"eu"}, "Accept": {"b"}, "X-Gone": nil}
	endpoints[1].Token = func(ctx context.Context) (string, error) { return ctx.Value(key{}).(string), nil }
	rt := over(s, policy.Failover{Endpoints: endpoints})
	endpoints[1].Header.Set("Accept", "changed later")
	req := to(t, "GET", "http://a.test/v1/x", "").WithContext(context.WithValue(t.Context(), key{}, "token of b"))
	req.Header = http.Header{"Accept": {"a"}, "X-Gone": {"1"}, "X-Stays": {"2"}, "Authorization": {"a"}}
	req.Host = "front.a.test"
	before := req.Header.Clone()
	_, _, err := send(t, rt, req)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"Accept": {"b"}, "X-Region": {"eu"}, "X-Stays": {"2"}, "Authorization": {"Bearer token of b"}}, s.last.Header)
	assert.Empty(t, s.last.Host)
	assert.Equal(t, before, req.Header)
	assert.Equal(t, "front.a.test", req.Host)
}

// An endpoint without a token is passed over, and the last one's error says so.
func TestFailoverToken(t *testing.T) {
	s := &sites{status: map[string]int{"b.test": 403}}
	endpoints := regions()
	lost := errors.New("lost")
	endpoints[0].Token = func(context.Context) (string, error) { return "", lost }
	status, _, err := send(t, over(s, policy.Failover{Endpoints: endpoints[:2]}), to(t, "POST", "http://a.test/v1/x", "body"))
	require.NoError(t, err)
	assert.Equal(t, 403, status)
	_, _, err = send(t, over(s, policy.Failover{Endpoints: endpoints[:1]}), to(t, "POST", "http://a.test/v1/x", "body"))
	require.ErrorIs(t, err, transport.ErrNoToken)
	require.ErrorIs(t, err, lost)
	refusal, ok := errors.AsType[*policy.Refusal](err)
	require.True(t, ok)
	assert.Equal(t, "token", refusal.Reason)
	assert.Equal(t, []string{"POST http://b.test/api/v1/x body"}, s.asked)
}

// An endpoint that speaks otherwise gets and gives what its funcs make of bodies.
func TestFailoverTranslates(t *testing.T) {
	broken := errors.New("cannot say that")
	for _, tt := range []struct {
		name       string
		status     int
		media      string
		ask, reply error
		want       string
		asked      int
		err        error
	}{
		{name: "both", status: 200, want: "<UP.TEST SAYS BODY>", asked: 1},
		{name: "an error as it is", status: 400, want: "up.test says BODY", asked: 1},
		{name: "an event stream as it is", status: 200, media: "text/event-stream; charset=utf-8", want: "up.test says BODY", asked: 1},
		{name: "a request that cannot be said", status: 200, ask: broken, err: broken},
		{name: "an answer that cannot be understood", status: 200, reply: broken, err: transport.ErrNotTranslated, asked: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			endpoint := policy.Endpoint{
				Name: "other", URL: "http://up.test",
				RequestBody:  func(b []byte) ([]byte, error) { return bytes.ToUpper(b), tt.ask },
				ResponseBody: func(b []byte) ([]byte, error) { return []byte("<" + strings.ToUpper(string(b)) + ">"), tt.reply },
			}
			rt := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{endpoint}}, nil).
				Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
					asked++
					data, err := io.ReadAll(req.Body)
					require.NoError(t, err)
					assert.EqualValues(t, len(data), req.ContentLength)
					resp := replied(req, tt.status, "up.test says "+string(data))
					resp.Header.Set("Content-Type", tt.media)
					return resp, nil
				}))
			resp, err := rt.RoundTrip(to(t, "POST", "http://up.test/x", "body"))
			assert.Equal(t, tt.asked, asked)
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
				require.ErrorIs(t, err, transport.ErrNotTranslated)
				return
			}
			require.NoError(t, err)
			data, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, tt.want, string(data))
			assert.EqualValues(t, len(tt.want), resp.ContentLength)
		})
	}
}

// A body that comes as a stream reaches the next endpoint whole.
func TestFailoverReplaysStreams(t *testing.T) {
	s := &sites{status: map[string]int{"a.test": -1, "b.test": 401}}
	req := to(t, "POST", "http://a.test/v1/x", "")
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("half and "), strings.NewReader("half")))
	req.ContentLength = -1
	_, _, err := send(t, over(s, policy.Failover{}), req)
	require.NoError(t, err)
	assert.Equal(t, "POST http://c.test/x half and half", s.asked[2])
}

// A redirect of an endpoint that the caller did not address is followed there.
func TestFailoverRedirects(t *testing.T) {
	s := &sites{status: map[string]int{"a.test": -1}}
	client := &http.Client{Transport: transport.NewFailover(policy.Failover{Endpoints: regions()}, nil).Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == "/api/v1/old" {
			resp := replied(req, 307, "")
			resp.Header.Set("Location", "new")
			return resp, nil
		}
		return s.RoundTrip(req)
	}))}
	resp, err := client.Get("http://a.test/v1/old")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, []string{"GET http://a.test/v1/old", "GET http://a.test/v1/new", "GET http://b.test/api/v1/new"}, s.asked)
}
