package nyckel

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

func TestTranslatedBy(t *testing.T) {
	same := func(body []byte) ([]byte, error) { return body, nil }
	translated := translatedBy(&policy.Failover{Endpoints: []policy.Endpoint{
		{Name: "addressed"},
		{Name: "all", URL: "https://gateway.test"},
		{Name: "model", URL: "https://gateway.test/model/", ResponseBody: same},
		{Name: "service", URL: "https://gateway.test/model/eu"},
		{Name: "another", URL: "https://model.test:8443//", ResponseBody: same},
	}})
	for address, want := range map[string]bool{
		"https://api.test/v1/functions/f/invoke":       false,
		"https://gateway.test/v1/functions/f/invoke":   false,
		"https://gateway.test/model/v1/messages":       true,
		"https://gateway.test/model":                   true, // where Path leads nowhere else
		"https://gateway.test/models/v1/messages":      false,
		"https://gateway.test/model/eu/v1/messages":    false,
		"https://model.test:8443/v1/messages":          true,
		"https://model.test/v1/messages":               false,
		"http://model.test:8443/v1/messages":           false,
		"https://gateway.test/modeleu/model/eu/invoke": false,
	} {
		u, err := url.Parse(address)
		require.NoError(t, err)
		assert.Equal(t, want, translated(u), address)
	}
	assert.False(t, translatedBy(nil)(&url.URL{}))
}

func TestUntranslated(t *testing.T) {
	same := func(body []byte) ([]byte, error) { return body, nil }
	model, service := policy.Endpoint{Name: "m", ResponseBody: same}, policy.Endpoint{Name: "s"}
	f := &policy.Failover{Endpoints: []policy.Endpoint{model, service}, Region: "eu"}
	rest := untranslated(f)
	assert.Equal(t, "eu", rest.Region)
	require.Len(t, rest.Endpoints, 1)
	assert.Equal(t, "s", rest.Endpoints[0].Name)
	assert.Len(t, f.Endpoints, 2, "the caller's stays as it was")
	assert.Nil(t, untranslated(&policy.Failover{Endpoints: []policy.Endpoint{model}}))
	assert.Nil(t, untranslated(nil))
	none := &policy.Failover{Endpoints: []policy.Endpoint{service}}
	assert.Same(t, none, untranslated(none))
}

// What stands in the way of some requests only is seen all the same.
func TestExceptTranslatedIsSeen(t *testing.T) {
	f := &policy.Failover{Endpoints: []policy.Endpoint{{Name: "m", URL: "https://model.test", ResponseBody: func(b []byte) ([]byte, error) { return b, nil }}}}
	limiter := transport.NewLimiter(policy.Limit{})
	kinds := func(f *policy.Failover) (all []policy.Kind) {
		for _, part := range transport.Inspect(transport.Chain(nil, exceptTranslated(f, limiter.Wrap))) {
			all = append(all, part.Kind)
		}
		return all
	}
	assert.Equal(t, []policy.Kind{policy.KindLimit, policy.KindBase}, kinds(nil))
	assert.Equal(t, []policy.Kind{policy.KindForeign, policy.KindLimit, policy.KindBase}, kinds(f))
}

// What stands in the way of some requests only lets the connections be closed.
func TestExceptTranslatedClosesIdleConnections(t *testing.T) {
	f := &policy.Failover{Endpoints: []policy.Endpoint{{Name: "m", URL: "https://model.test", ResponseBody: func(b []byte) ([]byte, error) { return b, nil }}}}
	base := &closer{}
	client := http.Client{Transport: transport.Chain(base, exceptTranslated(f, transport.NewLimiter(policy.Limit{}).Wrap))}
	client.CloseIdleConnections()
	assert.Equal(t, 1, base.closed)
}

type closer struct {
	http.RoundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }
