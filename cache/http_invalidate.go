package cache

import (
	"encoding/binary"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// changes count how often targets were changed by requests through HTTP caches with the
// same store, so that an answer to an earlier request is not stored after that. Targets
// that share a count are taken for changed together, which costs a chance to store.
type changes [256]change

type change struct{ atomic.Uint64 }

func (c *changes) of(k key) *change { return &c[binary.LittleEndian.Uint64(k[8:])%uint64(len(c))] }

// isSafe reports whether a method other than GET and HEAD changes nothing (RFC 9110
// section 16.1.1). All others might.
func isSafe(method string) bool {
	switch method {
	case http.MethodOptions, http.MethodTrace, "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return true
	}
	return false
}

// other sends a request that is no GET or HEAD. If it may have changed something,
// stored answers to GETs of its target, and of what the answer says has its place,
// are forgotten (RFC 9111 section 4.4).
func (c *httpCache) other(req *http.Request) (*http.Response, error) {
	if isSafe(req.Method) {
		return c.pass(req, "method")
	}
	url, host := *req.URL, req.Host // the request may be changed below
	url.Scheme = strings.ToLower(url.Scheme)
	target := resourceKey(&url, host)
	asked := time.Now()
	w, known := c.want(req)
	if known {
		w.header = w.header.Clone()
	}
	sent, connected := traced(req)
	resp, err := body.Send(c.next, sent)
	c.store.report(req, bypass)
	switch {
	case err != nil:
		if connected.Load() || policy.Classify(policy.Outcome{Err: err}).Executed != policy.NotExecuted {
			c.forget(target) // it may have arrived
		}
		return nil, err
	case resp.StatusCode >= http.StatusBadRequest:
	default:
		h := canonicalNames(resp.Header)
		changes := c.forget(target)
		for _, name := range []string{"Location", "Content-Location"} {
			if place, ok := placeOf(&url, host, h.Get(name)); ok && place != target {
				c.forget(place)
			}
		}
		place, _ := placeOf(&url, host, h.Get("Content-Location"))
		if place == target && known && changes == w.seen+1 { // else another change may be the later one
			w.seen = changes // this one is in the answer
			c.keepPosted(req, &w, resp, asked)
		}
	}
	c.mark(resp, "fwd=method")
	return resp, nil
}

// traced returns a copy of req that says when it, or what a layer below makes of it, has
// got a connection. A refusal tells of the last attempt only, and there may have been others.
func traced(req *http.Request) (*http.Request, *atomic.Bool) {
	connected := new(atomic.Bool)
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	return req.WithContext(ctx), connected
}

// forget drops the answers to GETs of the target, whoever asked for them, and
// returns the count of its changes.
func (c *httpCache) forget(target key) uint64 {
	changes := c.store.changes.of(target).Add(1)
	now := time.Now()
	if c.store.peek(target, now) != nil {
		c.store.update(target, c.store.epoch(), now, func(held) held { return nil })
	}
	return changes
}

// placeOf returns the key of what a field of an answer refers to, if that is of the
// target's origin: of others nobody has to believe it.
func placeOf(target *url.URL, host, reference string) (key, bool) {
	if reference == "" {
		return key{}, false
	}
	to, err := target.Parse(reference)
	if err != nil || to.Scheme != target.Scheme || plainHost(to.Scheme, to.Host) != plainHost(target.Scheme, target.Host) {
		return key{}, false
	}
	return resourceKey(to, host), true
}

// keepPosted stores the answer to a POST that says that it is what a GET of the
// target would get (RFC 9110 section 9.3.3), if it says for how long.
func (c *httpCache) keepPosted(req *http.Request, w *wanted, resp *http.Response, asked time.Time) {
	h := canonicalNames(resp.Header)
	if req.Method != http.MethodPost || resp.StatusCode != http.StatusOK || w.cc.noStore || len(h["Content-Location"]) != 1 {
		return
	}
	arrived := time.Now()
	if _, explicit := lifetime(resp.StatusCode, h, readDirectives(h["Cache-Control"]), arrived); explicit {
		c.record(w, resp, asked, arrived)
	}
}
