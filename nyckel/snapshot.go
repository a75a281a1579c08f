package nyckel

import (
	"net/http"

	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// Snapshot returns what the stacks of the functions look like now, by name: see
// [transport.Snapshot]. The account's limiter is in each of them,
// and the state of the file beside them if there is one ([WithLive]).
func (c *Client) Snapshot() telemetry.Snapshot {
	var all []http.RoundTripper
	for _, name := range c.Functions() {
		all = append(all, c.functions[name].client.Transport)
	}
	if c.live != nil {
		return c.live.Snapshot(all...)
	}
	return transport.Snapshot(all...)
}
