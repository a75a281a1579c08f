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
	if c.live != nil {
		return c.live.Snapshot(c.transports()...)
	}
	return transport.Snapshot(c.transports()...)
}

// Operator returns what acts on the stacks of the functions by hand: it isolates and
// releases their breakers and purges their caches, by the names that they have in
// [Client.Snapshot]. It is for the actions of a telemetry/console.
func (c *Client) Operator() transport.Operator { return c.transports() }

// transports returns those of the functions, by name.
func (c *Client) transports() []http.RoundTripper {
	var all []http.RoundTripper
	for _, name := range c.Functions() {
		all = append(all, c.functions[name].client.Transport)
	}
	return all
}
