package transport

import (
	"net/http"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// replayable reports whether req can be sent again.
func replayable(req *http.Request) bool {
	return !hasBody(req) || req.GetBody != nil
}

func hasBody(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody
}

// replay returns a copy of req with a fresh body. The body is of the type that
// the caller's GetBody returns: net/http sends the headers of a request by
// themselves, in a packet of their own, when it does not know the body's type.
// If there is no body to be had the reserved token is given back.
func (r *retry) replay(req *http.Request) (*http.Request, bool) {
	again := req.WithContext(req.Context())
	if !hasBody(req) {
		return again, true
	}
	fresh, err := req.GetBody()
	if err != nil {
		r.cfg.Bucket.Refund()
		telemetry.FromContext(req.Context()).Stopped(telemetry.NoReplay, time.Time{})
		return nil, false
	}
	again.Body = fresh
	return again, true
}
