package transport

import (
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/sparekey/sparekey/policy"
)

// Replayable returns a copy of req that is marked as one that may be sent more
// than once, whatever its method, in [policy.Call.Replayable]: repeating it does no
// harm, or less than its failure would. See there for what it says of the answer. The
// rest of the [policy.Call] stays as it is.
func Replayable(req *http.Request) *http.Request {
	ctx := req.Context()
	call := policy.CallOf(ctx)
	call.Replayable = true
	return req.WithContext(policy.WithCall(ctx, call))
}

// mayRepeat reports whether a request that ended in v may be sent again: it was
// not processed, or processing it twice does no harm.
func mayRepeat(req *http.Request, v policy.Verdict) bool {
	return v.Executed == policy.NotExecuted || policy.CallOf(req.Context()).Replayable ||
		isIdempotent(req.Method) || hasIdempotencyKey(req)
}

// isIdempotent reports whether a method is idempotent by RFC 9110 section 9.2.2.
func isIdempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// hasIdempotencyKey looks for the two names that net/http knows, with or without
// a value, and however they were written into the map.
func hasIdempotencyKey(req *http.Request) bool {
	for name := range req.Header {
		if strings.EqualFold(name, idempotencyKey) || strings.EqualFold(name, "X-"+idempotencyKey) {
			return true
		}
	}
	return false
}

const idempotencyKey = "Idempotency-Key"

// mintIdempotencyKey gives req, which is ours, a key if it needs one.
func mintIdempotencyKey(req *http.Request) {
	if isIdempotent(req.Method) || hasIdempotencyKey(req) {
		return
	}
	if req.Header = req.Header.Clone(); req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set(idempotencyKey, rand.Text())
}
