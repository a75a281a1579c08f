package cache

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
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

// want returns what req is about. It reports false if it cannot be told whose it is;
// then there is no more than the header and what that says.
func (c *httpCache) want(req *http.Request) (w wanted, ok bool) {
	w.header = canonicalNames(req.Header)
	w.cc = requestDirectives(w.header)
	call := policy.CallOf(req.Context())
	identity := call.Identity
	if c.cfg.Identity != nil {
		if identity, ok = c.identify(req); !ok {
			return w, false
		}
	}
	w.resource = resourceKey(req.URL, req.Host)
	w.of = ownerOf(call.Function, identity)
	var room [4]field
	credentials := room[:0]
	w.private = identity != ""
	if !w.private && c.cfg.Identity == nil {
		credentials = appendCredentials(credentials, w.header)
		w.private = req.URL.User != nil || len(credentials) > 0
	}
	if w.private {
		var parts [128]byte
		w.who = sha256.Sum256(keyParts(parts[:0]).addIdentity(identity, req.URL.User, credentials))
	}
	w.change = c.store.changes.of(w.resource)
	w.seen, w.began = w.change.Load(), c.store.epoch()
	return w, true
}

// identify asks Identity. If that does not return, the request's body is closed: nobody
// else may do so.
func (c *httpCache) identify(req *http.Request) (id string, ok bool) {
	done := false
	defer func() {
		if !done {
			body.CloseRequest(req)
		}
	}()
	id, ok = c.cfg.Identity(req)
	done = true
	return id, ok
}

// targetKey begins what is hashed, so that the key of a target is never that of a
// question in a shared store: see predictionKey.
const targetKey = 6

// resourceKey returns the key of a target. Its host and the Host field, which may
// name another, both count; a fragment does not reach the origin.
func resourceKey(target *url.URL, field string) key {
	scheme := strings.ToLower(target.Scheme)
	host := plainHost(scheme, target.Host)
	if field == target.Host { // the usual case
		field = ""
	} else if field = plainHost(scheme, field); field == host {
		field = "" // says what is so without it
	}
	var room [192]byte
	parts := append(keyParts(room[:0]), targetKey)
	parts = parts.add(scheme).add(host).add(field).add(target.Opaque).addPath(target)
	if target.RawQuery != "" || target.ForceQuery { // which are a question mark on the wire
		parts = parts.add(target.RawQuery)
	}
	return sha256.Sum256(parts)
}

// addPath adds the path of a target: decoded if it is spelled in the usual way, else as it
// is spelled. "//a" is not the same as one and the other.
func (p keyParts) addPath(target *url.URL) keyParts {
	if target.RawPath != "" {
		usual := url.URL{Path: target.Path}
		if spelled := target.EscapedPath(); spelled != usual.EscapedPath() {
			return append(p, 's').add(spelled)
		}
	}
	return append(p, 'd').add(cmp.Or(target.Path, "/"))
}

// plainHost returns a host in lower case and without the port that it has anyway. The
// scheme is in lower case.
func plainHost(scheme, host string) string {
	host = strings.ToLower(host)
	if scheme == "http" {
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

// flightKey returns the key of requests that are the same in all that could make
// their answers differ. One that comes after a change does not get what was asked for
// before.
func (w *wanted) flightKey(method string) key {
	parts := keyParts(make([]byte, 0, 512))
	parts = append(parts, w.resource[:]...)
	parts = append(parts, w.who[:]...)
	parts = binary.AppendUvarint(parts, w.seen)
	parts = parts.add(method)
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		if telling(name) {
			parts = parts.add(name).addAll(w.header[name])
		}
	}
	return sha256.Sum256(parts)
}

// takes reports whether an answer that came before the request did, and whose body is
// on its way, is one for it: it must be fresh, as if it were stored, and have no fields
// that are good for one use.
func (w *wanted) takes(head *http.Response, asked, came, now time.Time) bool {
	h := canonicalNames(head.Header)
	var s stored
	s.cc = readDirectives(h["Cache-Control"])
	s.born = bornAt(h, asked, came)
	life, _ := lifetime(head.StatusCode, h, s.cc, came)
	s.freshUntil = s.born.Add(life)
	return s.standing(w.cc, now, 0) == fresh && len(s.cc.noCacheFields) == 0
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
	return name == "Cache-Control" || name == "Pragma" || roleOf(name) != harmless
}

// passesBy reports whether a GET or HEAD is none of the cache's business.
func passesBy(req *http.Request, h http.Header, cc directives) bool {
	return cc.noStore || req.Body != nil && req.Body != http.NoBody ||
		len(h["Upgrade"]) > 0 || len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0 ||
		mentions(h["Accept"], "text/event-stream")
}
