package transport_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// A failover, and a transport that it wraps, show the names of their endpoints and
// nothing else, however they are printed.
func TestFailoverShowsNoSecret(t *testing.T) {
	f := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{
		{Name: "eu", URL: "https://eu.test?key=SECRET", Header: http.Header{"Authorization": {"SECRET"}}},
	}}, nil)
	for _, v := range []any{f, f.Wrap(nil)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} { // those that vet lets pass
			text := fmt.Sprintf(verb, v)
			assert.Contains(t, text, "eu", "%T by %s", v, verb)
			assert.NotContains(t, text, "SECRET", "%T by %s", v, verb)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("it", "failover", v)
		assert.NotContains(t, log.String(), "SECRET", "%T", v)
	}
}
