package nyckel

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// As many connections stay open as calls may be in flight.
func TestHTTPClientKeepsConnections(t *testing.T) {
	kept := func(limit policy.Limit) *http.Transport {
		client, err := New(WithCredentials("id", "secret"), WithLimit(limit))
		require.NoError(t, err)
		own, ok := client.http.Transport.(*http.Transport)
		require.True(t, ok)
		return own
	}
	assert.Equal(t, accountInFlight, kept(policy.Limit{}).MaxIdleConnsPerHost)
	assert.Equal(t, 60, kept(policy.Limit{InFlight: 60}).MaxIdleConnsPerHost)
	assert.Equal(t, 250, kept(policy.Limit{InFlight: 250}).MaxIdleConns, "of all hosts")
	assert.Equal(t, accountInFlight, kept(policy.Limit{Off: true}).MaxIdleConnsPerHost)

	given := &http.Transport{MaxIdleConnsPerHost: 3}
	assert.Same(t, given, httpClient(&http.Client{Transport: given}, accountInFlight).Transport)
	assert.Equal(t, 3, given.MaxIdleConnsPerHost)
}
