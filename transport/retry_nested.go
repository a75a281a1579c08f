package transport

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// lineage is what the retry layers that a call passes, one below the other, have
// in common, so that their attempts do not multiply. The outermost one makes it
// and puts it into the context.
//
// Whatever is sent again below draws on its bucket, too. Layers that repeat the
// very same request count their attempts together. Others, say behind a layer
// that fails over to another host or fetches a token, count their own.
type lineage struct {
	context.Context // the caller's

	bucket   *policy.Bucket
	method   string
	url      *url.URL
	repeated bool         // the call is itself one that somebody above repeats
	extra    atomic.Int64 // attempts beyond the first
	over     atomic.Bool  // the call is: what uses its context from now on is another

	first http.Request    // the one that is sent first
	room  body.BufferRoom // for the answer to it
}

type lineageKey struct{}

// roomOf returns the room that there is for the answer to req, or nil.
func (l *lineage) roomOf(req *http.Request) *body.BufferRoom {
	if req == &l.first {
		return &l.room
	}
	return nil
}

// Value returns the lineage for its key.
func (l *lineage) Value(key any) any {
	if key == (lineageKey{}) {
		return l
	}
	return l.Context.Value(key)
}

// lineageOf returns the lineage that req is part of, or nil.
func lineageOf(req *http.Request) *lineage {
	l, _ := req.Context().Value(lineageKey{}).(*lineage)
	if l == nil || l.over.Load() {
		return nil
	}
	return l
}

// newLineage returns a lineage that begins with req.
func newLineage(req *http.Request, bucket *policy.Bucket) *lineage {
	return &lineage{
		Context: req.Context(), bucket: bucket,
		method: req.Method, url: req.URL, repeated: isSDKRetry(req),
	}
}

// repeats reports whether req is the request that the lineage began with.
func (l *lineage) repeats(req *http.Request) bool {
	if l.url == req.URL {
		return l.method == req.Method
	}
	return l.method == req.Method && l.url.Scheme == req.URL.Scheme && l.url.Host == req.URL.Host &&
		l.url.Path == req.URL.Path && l.url.RawPath == req.URL.RawPath && l.url.RawQuery == req.URL.RawQuery
}

// isSDKRetry reports whether an SDK above says that req repeats an earlier one of
// its own, for which layers here did what they could.
func isSDKRetry(req *http.Request) bool {
	count := req.Header["X-Stainless-Retry-Count"]
	if len(count) == 0 {
		return false
	}
	n, err := strconv.Atoi(count[0])
	return err == nil && n > 0
}
