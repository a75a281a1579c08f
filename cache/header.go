package cache

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// The fields that are for one connection (RFC 9110 section 7.6.1) or for a proxy
// (RFC 9111 section 3.1), and Age, which is written anew.
var connectionFields = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Age",
}

// canonicalNames returns h with all names in their canonical form, without
// changing it: h itself if they are. Who fills the map by hand can have others in it,
// and net/http sends them.
func canonicalNames(h http.Header) http.Header {
	canonical := true
	for name := range h {
		canonical = canonical && name == http.CanonicalHeaderKey(name)
	}
	if canonical {
		return h
	}
	renamed := make(http.Header, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		own := http.CanonicalHeaderKey(name)
		renamed[own] = append(renamed[own], h[name]...)
	}
	return renamed
}

// lastingHeader returns a copy of h without what was for the connection that it came on.
func lastingHeader(h http.Header) http.Header {
	kept := h.Clone()
	if kept == nil {
		kept = http.Header{}
	}
	for _, name := range listed(h["Connection"]) {
		kept.Del(name)
	}
	for _, name := range connectionFields {
		delete(kept, name)
	}
	return kept
}

// keptHeader returns what is kept of the header of an answer to a prediction request: not
// cookies, nor a length, which the body gives anew.
func keptHeader(h http.Header) http.Header {
	kept := lastingHeader(h)
	for _, name := range []string{"Set-Cookie", "Set-Cookie2", "Content-Length"} {
		delete(kept, name)
	}
	return kept
}

// listed returns the members of a comma-separated field, without white space.
func listed(lines []string) []string {
	var all []string
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			if member = strings.TrimSpace(member); member != "" {
				all = append(all, member)
			}
		}
	}
	return all
}

// mentions reports whether a text, which must be in lower case, occurs in the values. The
// case of their letters does not count.
func mentions(values []string, text string) bool {
	return slices.ContainsFunc(values, func(v string) bool {
		return strings.Contains(strings.ToLower(v), text)
	})
}

// statedAge returns what the Age field says: its first member, as RFC 9111
// section 5.1 has it, and zero if that is no number of seconds.
func statedAge(h http.Header) time.Duration {
	first, _, _ := strings.Cut(h.Get("Age"), ",")
	seconds, _ := strconv.ParseUint(strings.TrimSpace(first), 10, 31) // of one beyond that, the greatest
	return time.Duration(seconds) * time.Second
}

// variesWithin reports whether the answer depends on no other field of the
// request than those that its key holds. Origin may be named: servers vary by it for the
// sake of browsers.
func variesWithin(h http.Header, identified bool) bool {
	for _, name := range listed(h.Values("Vary")) {
		name = http.CanonicalHeaderKey(name)
		switch {
		case name == "Origin":
		case name == "*", roleOf(name) == harmless:
			return false
		case identified && roleOf(name) == credential:
			return false
		}
	}
	return true
}

// storable reports whether a response with a verdict of OK may be kept, as far
// as its header tells. identified says that an identity stands for the
// credentials in the key.
func storable(resp *http.Response, maxBytes int64, identified bool) bool {
	h := canonicalNames(resp.Header)
	return resp.StatusCode == http.StatusOK &&
		resp.Body != nil && resp.Body != http.NoBody &&
		resp.ContentLength <= maxBytes &&
		len(resp.Trailer) == 0 &&
		!endsWithConnection(resp) &&
		h.Get(telemetry.HeaderName) == "" && // stands in for a live answer
		!readDirectives(h["Cache-Control"]).noStore &&
		!mentions(h.Values("Content-Type"), "text/event-stream") &&
		variesWithin(h, identified)
}

// endsWithConnection reports whether nothing but the end of the connection ends
// the body, so that a part of it looks whole (RFC 9112 section 6.3). A body that net/http
// decompressed is not one: its checksum tells.
func endsWithConnection(resp *http.Response) bool {
	return resp.ProtoMajor == 1 && resp.ContentLength < 0 && !resp.Uncompressed &&
		!slices.Contains(resp.TransferEncoding, "chunked")
}
