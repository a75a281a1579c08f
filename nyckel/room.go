package nyckel

import (
	"net/http"
	"time"

	"github.com/sparekey/sparekey/transport"
)

// Room returns how many calls of the function of that name would get through now,
// and, if none, how long at least until one would, as far as that is known: see
// [transport.Room]. It is for those who have work that can wait. A function that is
// not configured has no room.
func (c *Client) Room(name string) (n int, wait time.Duration) {
	f, err := c.function(name)
	if err != nil {
		return 0, 0
	}
	return transport.Room(f.client.Transport, &http.Request{Method: http.MethodPost, URL: c.base, Host: c.base.Host})
}
