package nyckel_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestNewErrors(t *testing.T) {
	credentials := nyckel.WithCredentials(clientID, clientSecret)
	function := nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"})
	const noCredentials = "nyckel: no credentials, use WithCredentials or WithTokenSource"
	const halfCredentials = "nyckel: WithCredentials needs both a client id and a client secret"
	tests := []struct {
		name    string
		options []nyckel.Option
		want    string
	}{
		{"nothing given", nil, noCredentials},
		{"no credentials", []nyckel.Option{function}, noCredentials},
		{"no client id", []nyckel.Option{function, nyckel.WithCredentials("", clientSecret)}, halfCredentials},
		{"no client secret", []nyckel.Option{function, nyckel.WithCredentials(clientID, "")}, halfCredentials},
		{"no token source", []nyckel.Option{function, nyckel.WithTokenSource(nil)}, noCredentials},
		{
			"two kinds of credentials",
			[]nyckel.Option{function, credentials, nyckel.WithTokenSource(fixed("t"))},
			"nyckel: WithCredentials and WithTokenSource exclude each other",
		},
		{
			"a secret beside a token source",
			[]nyckel.Option{function, nyckel.WithCredentials("", clientSecret), nyckel.WithTokenSource(fixed("t"))},
			"nyckel: WithCredentials and WithTokenSource exclude each other",
		},
		{
			"function without ID",
			[]nyckel.Option{credentials, nyckel.WithFunction("tickets", nyckel.Function{})},
			`nyckel: function "tickets" has no ID`,
		},
		{
			"function without name",
			[]nyckel.Option{credentials, nyckel.WithFunction("", nyckel.Function{ID: "function_1"})},
			"nyckel: a function has no name",
		},
		{
			"ID that is a step in the path",
			[]nyckel.Option{credentials, nyckel.WithFunction("tickets", nyckel.Function{ID: ".."})},
			`nyckel: function "tickets" has the ID "..", which cannot be one`,
		},
		{"function twice", []nyckel.Option{credentials, function, function}, `nyckel: function "tickets" is configured twice`},
		{"negative label count", []nyckel.Option{credentials, function, nyckel.LabelCount(-1)}, "nyckel: LabelCount is -1, want at least 0"},
		{"external id that JSON would alter", []nyckel.Option{credentials, function, nyckel.ExternalID("\xff")}, "nyckel: ExternalID is not valid UTF-8"},
		{
			"stack that makes no sense",
			[]nyckel.Option{credentials, function, nyckel.WithStack(policy.Stack{Retry: policy.Retry{Attempts: -1}})},
			`nyckel: function "tickets": transport: invalid stack: policy: Retry.Attempts is -1, want 1 to 100`,
		},
		{
			"rule that makes no sense",
			[]nyckel.Option{credentials, nyckel.WithFunction("tickets", nyckel.Function{
				ID:    "function_1",
				Stack: &policy.Stack{Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 2}}},
			})},
			`nyckel: function "tickets": transport: invalid stack: fallback: Static: Confidence is 2, want 0 to 1`,
		},
		{"everything at once", []nyckel.Option{
			nyckel.WithBaseURL("ftp://api.test"), nyckel.WithCredentials(clientID, ""), nyckel.LabelCount(-3),
			nyckel.WithFunction("b", nyckel.Function{}), nyckel.WithFunction("a", nyckel.Function{ID: "."}), nyckel.WithFunction("b", nyckel.Function{}),
		}, strings.Join([]string{
			"nyckel: base URL must begin with http:// or https:// and name a host",
			halfCredentials,
			`nyckel: function "b" is configured twice`,
			`nyckel: function "a" has the ID ".", which cannot be one`,
			`nyckel: function "b" has no ID`,
			"nyckel: LabelCount is -3, want at least 0",
		}, "\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, err := nyckel.New(tt.options...)
			assert.Nil(t, client)
			assert.EqualError(t, err, tt.want)
		})
	}
}

// A base URL may hold a password, in its place or by mistake elsewhere, and the
// errors of package url quote what they do not understand.
func TestNewBaseURLErrors(t *testing.T) {
	const noParse, noHost, noExtras = "cannot be parsed", "must begin with http:// or https:// and name a host", "must have no user, query or fragment"
	tests := []struct{ name, url, want string }{
		{"empty", "", noHost},
		{"no scheme", "canary.test", noHost},
		{"other scheme", "wss://canary.test", noHost},
		{"no host", "https://", noHost},
		{"port only", "https://:8443", noHost},
		{"no slashes", "https:canary.test", noHost},
		{"password", "https://user:canary@api.test", noExtras},
		{"password with a slash", "https://user:canary/x@api.test", noParse},
		{"password with a space", "https://user:canary x@api.test", noParse},
		{"password with a percent sign", "https://user:canary%zz@api.test", noParse},
		{"control character", "https://canary.test/\n", noParse},
		{"query", "https://api.test/?key=canary", noExtras},
		{"bare question mark", "https://api.test/?", noExtras},
		{"fragment", "https://api.test/#canary", noExtras},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := nyckel.New(nyckel.WithBaseURL(tt.url), nyckel.WithCredentials(clientID, clientSecret),
				nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}))
			assert.EqualError(t, err, "nyckel: base URL "+tt.want)
		})
	}
}

func TestClientAddress(t *testing.T) {
	tests := []struct{ name, base, id, want string }{
		{"plain", "https://api.test", "function_1", "https://api.test/v1/functions/function_1/invoke"},
		{"slash at the end", "https://api.test/", "function_1", "https://api.test/v1/functions/function_1/invoke"},
		{"behind a proxy's path", "https://api.test/eu%2Fwest//", "function_1", "https://api.test/eu%2Fwest/v1/functions/function_1/invoke"},
		{"slash in the id", "https://api.test", "a/../b", "https://api.test/v1/functions/a%2F..%2Fb/invoke"},
		{"query in the id", "https://api.test", "a?b=c#d", "https://api.test/v1/functions/a%3Fb=c%23d/invoke"},
		{"escape in the id", "https://api.test", "100%2F", "https://api.test/v1/functions/100%252F/invoke"},
		{"space in the id", "https://api.test", "toxic language", "https://api.test/v1/functions/toxic%20language/invoke"},
		{"unicode in the id", "https://api.test", "grüße-分類", "https://api.test/v1/functions/gr%C3%BC%C3%9Fe-%E5%88%86%E9%A1%9E/invoke"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService()
			client := s.client(t, once, nyckel.WithBaseURL(tt.base), nyckel.WithFunction("other", nyckel.Function{ID: tt.id}))
			_, err := client.Invoke(t.Context(), "other", nyckel.Text("hello"))
			require.NoError(t, err)
			assert.Equal(t, tt.want, s.calls.Requests()[0].URL)
		})
	}
}

func TestNewTouchesNothing(t *testing.T) {
	up := transporttest.NewUpstream()
	given := &http.Client{Transport: up, Timeout: time.Minute}
	client, err := nyckel.New(nyckel.WithCredentials(clientID, clientSecret), nyckel.WithHTTPClient(given),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}))
	require.NoError(t, err)
	assert.Zero(t, up.Calls(), "calls by New")
	assert.Same(t, up, given.Transport)
	assert.Nil(t, given.CheckRedirect)
	assert.Equal(t, time.Minute, given.Timeout)
	assert.Equal(t, []string{"tickets"}, client.Functions())
}

// Programs that instrument everything put a wrapper in the place of
// http.DefaultTransport.
func TestNewForeignDefaultTransport(t *testing.T) {
	s := newService()
	before := http.DefaultTransport
	http.DefaultTransport = transport.Func(s.RoundTrip)
	defer func() { http.DefaultTransport = before }()

	client := s.client(t, once, nyckel.WithHTTPClient(nil))
	prediction, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
	require.NoError(t, err)
	assert.Equal(t, "spam", prediction.LabelName)
}

func TestClientCloseIdleConnections(t *testing.T) {
	idle := &idleCounter{RoundTripper: newService()}
	client, err := nyckel.New(nyckel.WithCredentials(clientID, clientSecret), nyckel.WithHTTPClient(&http.Client{Transport: idle}),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}))
	require.NoError(t, err)
	client.CloseIdleConnections()
	assert.Equal(t, 1, idle.closed)
}

type idleCounter struct {
	http.RoundTripper
	closed int
}

func (c *idleCounter) CloseIdleConnections() { c.closed++ }

func TestClientFunctionsAreSeparate(t *testing.T) {
	// Only the function "down" fails.
	byFunction := func(s *service) transport.Func {
		return func(req *http.Request) (*http.Response, error) {
			if strings.Contains(req.URL.Path, "function_down") {
				return answer(http.StatusInternalServerError, `{"message":"broken"}`)(req)
			}
			return s.RoundTrip(req)
		}
	}

	t.Run("breakers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newService()
			client := s.client(t, policy.Stack{Retry: policy.Retry{Off: true}, Breaker: policy.Breaker{MinCalls: 2}},
				nyckel.WithHTTPClient(&http.Client{Transport: byFunction(s)}),
				nyckel.WithFunction("down", nyckel.Function{ID: "function_down"}))
			for range 2 {
				_, err := client.Invoke(t.Context(), "down", nyckel.Text("hello"))
				require.Error(t, err)
			}
			_, err := client.Invoke(t.Context(), "down", nyckel.Text("hello"))
			require.ErrorIs(t, err, transport.ErrOpen)
			_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			require.NoError(t, err)
		})
	})

	t.Run("caches", func(t *testing.T) {
		s := newService()
		client := s.client(t, policy.Stack{Cache: &policy.Cache{}},
			nyckel.WithFunction("same", nyckel.Function{ID: "function_1"}),
			nyckel.WithFunction("uncached", nyckel.Function{ID: "function_1", Stack: &once}))
		var sources []telemetry.Source
		for _, name := range []string{"tickets", "tickets", "same", "same", "uncached", "uncached"} {
			prediction, err := client.Invoke(t.Context(), name, nyckel.Text("hello"))
			require.NoError(t, err)
			sources = append(sources, prediction.Answer.Source)
		}
		assert.Equal(t, []telemetry.Source{
			telemetry.Live, telemetry.Cache, telemetry.Live, telemetry.Cache, telemetry.Live, telemetry.Live,
		}, sources)
	})
}

// Whose answers these are is part of every cache key, and names no credential.
func TestClientIdentity(t *testing.T) {
	identity := func(options ...nyckel.Option) string {
		t.Helper()
		var seen string
		s := newService()
		options = append(options, nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
			nyckel.WithHTTPClient(&http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
				seen = policy.CallOf(req.Context()).Identity
				return s.RoundTrip(req)
			})}))
		client, err := nyckel.New(options...)
		require.NoError(t, err)
		invoke(t, client)
		require.NotEmpty(t, seen)
		return seen
	}
	account := identity(nyckel.WithCredentials(clientID, clientSecret))
	assert.NotContains(t, account, clientID)
	assert.Equal(t, account, identity(nyckel.WithCredentials(clientID, "a later secret")))
	assert.NotEqual(t, account, identity(nyckel.WithCredentials("another", clientSecret)))
	assert.NotEqual(t, account, identity(nyckel.WithCredentials(clientID, clientSecret), nyckel.WithBaseURL("https://eu.test")))
	assert.NotEqual(t, identity(nyckel.WithTokenSource(fixed("t"))), identity(nyckel.WithTokenSource(fixed("t"))))
}
