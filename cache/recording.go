package cache

import (
	"net/http"

	"github.com/sparekey/sparekey/policy/body"
)

// record has done called with all of the body of resp, as [body.RecordWithin] does
// with the budget of from. It is not called for a body that came to end in trailers,
// which its header need not announce.
func record(resp *http.Response, maxBytes int64, from home, done func(body []byte)) {
	announced := resp.ContentLength > 0 // else it is whole at its end only, when the trailers are there
	body.RecordWithin(resp, maxBytes, budget{from}, func(data []byte) {
		if announced || len(resp.Trailer) == 0 {
			done(data)
		}
	})
}

// budget is a home as a [body.Budget].
type budget struct{ home }

// Reserve implements [body.Budget].
func (b budget) Reserve(n int64) bool { return b.reserve(n) }

// Release implements [body.Budget].
func (b budget) Release(n int64) { b.release(n) }
