package policy_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

func TestFailoverValidate(t *testing.T) {
	key := func(*http.Request) string { return "" }
	two := func(change func(*policy.Endpoint)) policy.Failover {
		e := policy.Endpoint{Name: "b", URL: "https://b.test"}
		change(&e)
		return policy.Failover{Endpoints: []policy.Endpoint{{Name: "a"}, e}}
	}
	with := func(change func(*policy.Failover)) policy.Failover {
		f := two(func(*policy.Endpoint) {})
		change(&f)
		return f
	}
	tests := []struct {
		name string
		cfg  policy.Failover
		want string
	}{
		{"two", with(func(*policy.Failover) {}), ""},
		{"none", policy.Failover{}, "Failover.Endpoints is 0"},
		{"too many", policy.Failover{Endpoints: make([]policy.Endpoint, 65)}, "Failover.Endpoints is 65"},
		{"no name", two(func(e *policy.Endpoint) { e.Name = "" }), "Failover.Endpoints[1].Name is \"\""},
		{"the same name", two(func(e *policy.Endpoint) { e.Name = "a" }), "Failover.Endpoints[1].Name is \"a\", want one that no other has"},
		{"the name of live answers", two(func(e *policy.Endpoint) { e.Name = "live" }), "Failover.Endpoints[1].Name is \"live\", want one that is not that of a live or cached answer"},
		{"the name of cached answers", two(func(e *policy.Endpoint) { e.Name = "cache" }), "Failover.Endpoints[1].Name is \"cache\""},
		{"no scheme", two(func(e *policy.Endpoint) { e.URL = "b.test/v1" }), "Failover.Endpoints[1].URL is without a scheme"},
		{"no host", two(func(e *policy.Endpoint) { e.URL = "https:///v1" }), "Failover.Endpoints[1].URL is without a host"},
		{"a user", two(func(e *policy.Endpoint) { e.URL = "https://me:SECRET@b.test" }), "Failover.Endpoints[1].URL is one with a user"},
		{"no URL at all", two(func(e *policy.Endpoint) { e.URL = "https://b.test/%zz?key=SECRET" }), "Failover.Endpoints[1].URL is malformed"},
		{"a fragment", two(func(e *policy.Endpoint) { e.URL += "/#x" }), "Failover.Endpoints[1].URL is one with a fragment"},
		{
			"a field twice", two(func(e *policy.Endpoint) {
				e.Header = http.Header{"Api-Key": {"SECRET"}, "api-key": {"SECRET"}, "Accept": {"x"}}
			}),
			"Failover.Endpoints[1].Header[api-key] is one of two names for the same field, want one",
		},
		{"a negative weight", two(func(e *policy.Endpoint) { e.Weight = -1 }), "Failover.Endpoints[1].Weight is -1"},
		{"a negative price", two(func(e *policy.Endpoint) { e.Price = -1 }), "Failover.Endpoints[1].Price is -1"},
		{"sticky by nothing", with(func(f *policy.Failover) { f.Strategy = policy.Sticky }), "Failover.Key is nil"},
		{"sticky", with(func(f *policy.Failover) { f.Strategy, f.Key = policy.Sticky, key }), ""},
		{"no such strategy", with(func(f *policy.Failover) { f.Strategy = 9 }), "Failover.Strategy is strategy 9"},
		{"faults", with(func(f *policy.Failover) { f.Ejection.Faults = -1 }), "Failover.Ejection.Faults is -1"},
		{"for", with(func(f *policy.Failover) { f.Ejection.For = -1 }), "Failover.Ejection.For is -1ns"},
		{"at most", with(func(f *policy.Failover) { f.Ejection.MaxFor = time.Second }), "Failover.Ejection.MaxFor is 1s, want at least For, 10s"},
		{"slower", with(func(f *policy.Failover) { f.Ejection.SlowerThan = 1 }), "Failover.Ejection.SlowerThan is 1"},
		{"slower than all", with(func(f *policy.Failover) { f.Ejection.SlowerThan = math.Inf(1) }), "Failover.Ejection.SlowerThan is +Inf"},
		{"never slow", with(func(f *policy.Failover) { f.Ejection.SlowerThan = -1 }), ""},
		{"share", with(func(f *policy.Failover) { f.Ejection.MaxShare = 1.1 }), "Failover.Ejection.MaxShare is 1.1"},
		{"panic", with(func(f *policy.Failover) { f.Ejection.PanicBelow = 2 }), "Failover.Ejection.PanicBelow is 2"},
		{"no panic", with(func(f *policy.Failover) { f.Ejection.PanicBelow = -1 }), ""},
		{"a probe with a query", with(func(f *policy.Failover) { f.Probe.Path = "/models?key=SECRET" }), "Failover.Probe.Path is one with a query, want a path"},
		{"probe", with(func(f *policy.Failover) { f.Probe.Every, f.Probe.Timeout, f.Probe.PerDay = -1, -1, -1 }), "Failover.Probe.PerDay is -1"},
		{"budget", with(func(f *policy.Failover) { f.Budget.Ratio = 2 }), "Failover.Budget.Ratio is 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.cfg.Validate()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "SECRET")
		})
	}
}

func TestForEjection(t *testing.T) {
	for n, want := range []int{10, 10, 20, 40, 80, 120, 120} {
		assert.Equal(t, time.Duration(want)*time.Second, policy.Ejection{}.ForEjection(n), "ejection %d", n)
	}
	assert.Equal(t, time.Hour, policy.Ejection{For: time.Hour}.ForEjection(1000))
}

func TestIsSecret(t *testing.T) {
	for _, name := range []string{
		"Authorization", "authorization", "Proxy-Authorization", "Cookie", "Cookie2", "X-Api-Key", "api-key", "API_KEY", "apiKey", "key", "x-goog-api-key",
		"OpenAI-Organization", "OpenAI-Project", "anthropic-organization-id", "X-Amz-Signature", "X-Amz-Security-Token", "access_token", "sig", "code",
		"client_secret", "password", "X-Auth-Token", "Ocp-Apim-Subscription-Key", "session_id", "X-Tenant", "Referer", "Helicone-Auth", "cf-aig-authorization",
		strings.Repeat("x", 100) + "-Key", "token[]", "pwd", "db_pwd", "pass", "passphrase", "X-Key-Passphrase", "X-Bearer",
	} {
		assert.True(t, policy.IsSecret(name), name)
	}
	for _, name := range []string{
		"Accept", "Content-Type", "Content-Encoding", "User-Agent", "Idempotency-Key", "X-Idempotency-Key", "anthropic-version", "Anthropic-Beta",
		"X-Stainless-Retry-Count", "Traceparent", "X-Request-Id", "q", "labelCount", "modelId", "pageToken", "next_page_token", "api-version", "author", "languageCode", "max_tokens", "bypass", "",
	} {
		assert.False(t, policy.IsSecret(name), name)
	}
}

// An endpoint shows its name and nothing else, however it is printed.
func TestEndpointShowsNoSecret(t *testing.T) {
	e := policy.Endpoint{Name: "eu", URL: "https://eu.test?key=SECRET", Header: http.Header{"Api-Key": {"SECRET"}}}
	f := policy.Failover{Endpoints: []policy.Endpoint{e}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("it", "endpoint", e)
	for _, text := range []string{
		fmt.Sprint(e), fmt.Sprintf("%v %+v %#v %s", e, e, e, e), fmt.Sprintf("%v %+v %#v", f, f, &f), log.String(),
	} {
		assert.Contains(t, text, "eu")
		assert.NotContains(t, text, "SECRET")
	}
}

func TestHasCredentials(t *testing.T) {
	for want, endpoints := range map[bool][]policy.Endpoint{
		true: {
			{Header: http.Header{"Api-Key": {"x"}}},
			{Token: func(context.Context) (string, error) { return "", nil }},
		},
		false: {{}, {Header: http.Header{"Accept": {"x"}}}, {Header: http.Header{"Api-Key": nil}}},
	} {
		for _, e := range endpoints {
			assert.Equal(t, want, e.HasCredentials(), "%v", e.Header)
		}
	}
}
