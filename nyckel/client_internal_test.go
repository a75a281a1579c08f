package nyckel

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// As many connections stay open as calls may be in flight.
func TestHTTPClientKeepsConnections(t *testing.T) {
	own, ok := httpClient(nil).Transport.(*http.Transport)
	require.True(t, ok)
	assert.Equal(t, accountInFlight, own.MaxIdleConnsPerHost)
	given := &http.Transport{MaxIdleConnsPerHost: 3}
	assert.Same(t, given, httpClient(&http.Client{Transport: given}).Transport)
}
