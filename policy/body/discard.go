package body

import (
	"io"
	"net/http"
	"time"
)

// Discard reads the body of resp to its end and closes it, so that its
// connection can be used again. It reads at most maxBytes and takes at most
// maxTime; a body that is longer or slower is closed as it is, which costs the
// connection.
func Discard(resp *http.Response, maxBytes int64, maxTime time.Duration) {
	if resp.Body == nil || resp.Body == http.NoBody {
		return
	}
	// A closed body ends a read that blocks: net/http allows both at once.
	rc := resp.Body
	timer := time.AfterFunc(maxTime, func() { _ = rc.Close() })
	_, _ = io.CopyN(io.Discard, rc, maxBytes+1) // one more, to see the end
	if timer.Stop() {
		_ = rc.Close()
	}
}
