package transport

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// A request that is under way while settings change may be the first to a host: what
// it finds out there is known to those who come by the new settings.
func TestServersMetUnderWay(t *testing.T) {
	stack := policy.Default().WithDefaults()
	base := Func(func(*http.Request) (*http.Response, error) { return nil, http.ErrServerClosed })
	layers := func() *perKey { return toEndpoints(stack)(base).(*perKey) }
	first, second, third := layers(), layers(), layers()
	early := first.begin("early:80")
	second.inherit(first)
	late := first.begin("late:80")
	third.inherit(second)
	later := first.begin("later:80")
	for key, k := range map[string]*keyEntry{"early:80": early, "late:80": late, "later:80": later} {
		found := third.begin(key)
		assert.NotSame(t, k, found)
		require.Same(t, k.known.breaker.machine, found.known.breaker.machine, key)
		require.Same(t, k.known.limiter.gate, found.known.limiter.gate, key)
	}
}

// Endpoints that go on under other settings are guarded by one lock, whichever
// settings a call goes by.
func TestRotationsShareALock(t *testing.T) {
	cfg := policy.Failover{Endpoints: []policy.Endpoint{{Name: "a", URL: "http://a.test"}, {Name: "b", URL: "http://b.test"}}}.WithDefaults()
	first, second, third := newRotation(cfg), newRotation(cfg), newRotation(cfg)
	second.inherit(first)
	third.inherit(second)
	assert.Same(t, first.mu, third.mu)
	assert.Same(t, first.members[1], third.members[1])
}
