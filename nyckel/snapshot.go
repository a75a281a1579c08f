package nyckel

import (
	"net/http"

	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// Snapshot returns what the stacks of the functions look like now, by name: see
// [transport.Snapshot]. The account's limiter is in each of them.
func (c *Client) Snapshot() telemetry.Snapshot {
	var all []http.RoundTripper
	for _, name := range c.Functions() {
		all = append(all, c.functions[name].client.Transport)
	}
	return transport.Snapshot(all...)
}
