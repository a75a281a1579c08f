package cache

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
)

// wanted is what a request to the HTTP cache is about.
type wanted struct {
	header   http.Header // canonical; a copy of the caller's once the request is sent on
	cc       directives
	resource key // of the target
	private  bool
	who      key // whose request it is; zero unless private
	of       owner
	change   *change // of the target
	seen     uint64  // its count when the request came
	began    epoch
}

// want returns what req is about. It reports false if nobody may be told whose it
// is.
func (c *httpCache) want(req *http.Request) (*wanted, bool) {
	call := policy.CallOf(req.Context())
	w := &wanted{header: canonicalNames(req.Header), resource: resourceKey(req.URL.Scheme, req.URL.Host, req.Host, req.URL.RequestURI())}
	identity := call.Identity
	if c.cfg.Identity != nil {
		var ok bool
		if identity, ok = c.cfg.Identity(req); !ok {
			return nil, false
		}
	}
	w.cc = requestDirectives(w.header)
	if policy.Excluded(req.Context(), policy.RungStale) {
		w.cc.minFresh = max(w.cc.minFresh, 0) // which nothing stale is
	}
	w.of = ownerOf(call.Function, identity)
	others := otherCredentials(w.header)
	if identity != "" || c.cfg.Identity == nil && (len(others) > 0 || showsCredentials(req, w.header)) {
		parts := keyParts(make([]byte, 0, 256))
		parts.addIdentity(identity, req.URL.User, w.header)
		for _, name := range others {
			if identity == "" {
				parts.add(name)
				parts.addAll(w.header[name])
			}
		}
		w.private, w.who = true, sha256.Sum256(parts)
	}
	w.change = c.changes.of(w.resource)
	w.seen, w.began = w.change.Load(), c.store.epoch()
	return w, true
}

// resourceVersion is part of the key of each resource, so that it is no key of
// anything else in the store.
const resourceVersion = "http/1"

// resourceKey returns the key of a target. Its host and the Host field, which may
// name another, both count; a fragment does not reach the origin.
func resourceKey(scheme, host, field, target string) key {
	parts := keyParts(make([]byte, 0, 256))
	parts.add(resourceVersion)
	parts.add(strings.ToLower(scheme))
	parts.add(plainHost(scheme, host))
	parts.add(plainHost(scheme, cmp.Or(field, host)))
	parts.add(target)
	return sha256.Sum256(parts)
}

// plainHost returns a host in lower case and without the port that it has anyway.
func plainHost(scheme, host string) string {
	host = strings.ToLower(host)
	if strings.EqualFold(scheme, "http") {
		return strings.TrimSuffix(host, ":80")
	}
	return strings.TrimSuffix(host, ":443")
}

// ownKey returns the key of what is only for who asks, in a generation of the
// resource.
func (w *wanted) ownKey(generation uint64) key {
	parts := keyParts(make([]byte, 0, 128))
	parts = append(parts, w.resource[:]...)
	parts = append(parts, w.who[:]...)
	parts = binary.LittleEndian.AppendUint64(parts, generation)
	return sha256.Sum256(parts)
}

func showsCredentials(req *http.Request, h http.Header) bool {
	if req.URL.User != nil {
		return true
	}
	for _, name := range credentials {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// otherCredentials returns the names of fields that may be credentials, besides
// those that everybody knows, in order.
func otherCredentials(h http.Header) []string {
	var names []string
	for name := range h {
		if name != "Referer" && policy.IsSecret(name) && !slices.Contains(credentials[:], name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// flightKey returns the key of requests that are the same in all that could make
// their answers differ. One that comes after a change does not get what was asked for
// before.
func (w *wanted) flightKey(method string) key {
	parts := keyParts(make([]byte, 0, 512))
	parts = append(parts, w.resource[:]...)
	parts = append(parts, w.who[:]...)
	parts = binary.AppendUvarint(parts, w.seen)
	parts.add(method)
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		if telling(name) {
			parts.add(name)
			parts.addAll(w.header[name])
		}
	}
	return sha256.Sum256(parts)
}

// isForAll reports whether an answer may be given to all whose requests have the
// same flightKey.
func isForAll(resp *http.Response) bool {
	h := canonicalNames(resp.Header)
	for _, name := range listed(h["Vary"]) {
		if name == "*" || !telling(http.CanonicalHeaderKey(name)) {
			return false
		}
	}
	return resp.StatusCode != http.StatusSwitchingProtocols && len(resp.Trailer) == 0 && len(h["Set-Cookie"]) == 0 &&
		!readDirectives(h["Cache-Control"]).noStore && !mentions(h["Content-Type"], "text/event-stream")
}

// telling reports whether a field of a request may change its answer.
func telling(name string) bool {
	return name == "Cache-Control" || name == "Pragma" || !slices.Contains(harmless[:], name)
}

// passesBy reports whether a GET or HEAD is none of the cache's business.
func passesBy(req *http.Request, h http.Header, cc directives) bool {
	return cc.noStore || req.Body != nil && req.Body != http.NoBody ||
		len(h["Upgrade"]) > 0 || len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0 ||
		mentions(h["Accept"], "text/event-stream")
}
