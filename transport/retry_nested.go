package transport

import (
	"context"
	"net/http"
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

	bucket *policy.Bucket
	extra  atomic.Int64 // attempts beyond the first
	over   atomic.Bool  // the call is: what uses its context from now on is another, and nothing is repeated any more

	repeated  bool // the call is itself one that somebody above repeats
	roomTaken bool // only the layer that made the lineage asks

	hedging atomic.Pointer[hedge] // the layer that may send it beside itself, nil if none did yet

	tried atomic.Pointer[tried] // what a failover below knows of the call
	again atomic.Pointer[again] // what one below says of its last answer, if that is not all there is to say

	first http.Request    // the one that is sent first
	room  body.BufferRoom // for an answer
}

type lineageKey struct{}

// Value returns the lineage for its key.
func (l *lineage) Value(key any) any {
	if key == (lineageKey{}) {
		return l
	}
	return l.Context.Value(key)
}

// String names the context. Without it %v would print what it holds.
func (*lineage) String() string { return "transport.call" }

// GoString returns the same.
func (*lineage) GoString() string { return "transport.call" }

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
	l := &lineage{Context: req.Context(), bucket: bucket, repeated: isSDKRetry(req)}
	l.first = *req.WithContext(l) // a copy that is inlined, and so not made twice
	return l
}

// repeats reports whether req is the request that the lineage began with.
func (l *lineage) repeats(req *http.Request) bool {
	a, b := l.first.URL, req.URL
	return l.first.Method == req.Method && (a == b || a.Scheme == b.Scheme && a.Host == b.Host &&
		a.Path == b.Path && a.RawPath == b.RawPath && a.RawQuery == b.RawQuery)
}

// claim counts one more attempt, unless there were most of them: others of the call may
// be counted at the same time.
func (l *lineage) claim(most int) bool {
	for {
		extra := l.extra.Load()
		if 1+int(extra) >= most {
			return false
		}
		if l.extra.CompareAndSwap(extra, extra+1) {
			return true
		}
	}
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
