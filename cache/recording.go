package cache

import (
	"net/http"

	"github.com/sparekey/sparekey/policy/body"
)

// record has done called with all of the body of resp, as [body.Record] does. A
// body that many follow is there already: done gets that itself, and is called
// for the first of its readers who has had all of it.
func record(resp *http.Response, maxBytes int64, done func(body []byte)) {
	if b, ok := resp.Body.(*follower); ok {
		b.whole = done // what is longer is not there as a whole
		return
	}
	body.Record(resp, maxBytes, done)
}
