package cache

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// validators reports whether the origin can be asked if the answer is still right.
func (s *stored) validators() bool {
	return len(s.header["Etag"]) == 1 || len(s.header["Last-Modified"]) == 1
}

// The fields with which a request sets conditions that a cache can judge.
var conditions = [...]string{"If-None-Match", "If-Modified-Since"}

// validation returns the request that asks the origin if the answer is still
// right (RFC 9111 section 4.3.1). Conditions of the caller's are judged once that
// is known.
func (s *stored) validation(req *http.Request, h http.Header) *http.Request {
	asking := req.WithContext(req.Context()) // a copy
	asking.Header = h.Clone()
	if asking.Header == nil {
		asking.Header = http.Header{}
	}
	for _, name := range conditions {
		asking.Header.Del(name)
	}
	if tags := s.header["Etag"]; len(tags) == 1 {
		asking.Header["If-None-Match"] = []string{tags[0]}
	}
	if dates := s.header["Last-Modified"]; len(dates) == 1 {
		asking.Header["If-Modified-Since"] = []string{dates[0]}
	}
	return asking
}

// confirms reports whether a 304 is about this answer: its entity tag must be the one
// that was asked about, or its date if one side has no tag (RFC 9111 section 4.3.4). What
// only one side has tells nothing.
func (s *stored) confirms(h http.Header) bool {
	tags, own := h["Etag"], s.header["Etag"]
	if len(tags) > 0 && len(own) > 0 {
		return opaque(tags[0]) == opaque(own[0])
	}
	dates, own := h["Last-Modified"], s.header["Last-Modified"]
	return len(dates) == 0 || len(own) == 0 || slices.Equal(dates, own)
}

// outdatedBy reports whether an answer says that this one is out of date, even if it is not
// stored, to a HEAD or because it must not be: it is about something else (RFC 9111 section
// 4.3.5), or there is nothing any more. To a HEAD some servers say the latter of what they
// have. What stands in for a live answer tells nothing.
func (s *stored) outdatedBy(resp *http.Response, method string) bool {
	h := canonicalNames(resp.Header)
	switch code := resp.StatusCode; {
	case len(h[telemetry.HeaderName]) > 0:
		return false
	case code == http.StatusNotFound || code == http.StatusGone:
		return method != http.MethodHead
	case code != http.StatusOK || s.code != http.StatusOK:
		return false
	}
	length, own := h["Content-Length"], s.header["Content-Length"]
	return !s.confirms(h) || len(length) > 0 && len(own) > 0 && !slices.Equal(length, own)
}

// updates returns what a 304 with the header h says of an answer (RFC 9111 section
// 3.2). Fields that tell how the body is coded and how long it is stay as they were,
// since the body does; what stood in for the origin's word is said to one caller only.
func updates(h http.Header, arrived time.Time) http.Header {
	news := storedHeader(h, directives{}, arrived)
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Type", telemetry.HeaderName} {
		delete(news, name)
	}
	return news
}

// confirmed returns the answer with what a 304 says of it. It reports false if that
// must not be stored.
func (s *stored) confirmed(w *wanted, resp *http.Response, asked, arrived time.Time, maxStale time.Duration) (*stored, bool) {
	h := canonicalNames(resp.Header)
	merged := *s
	merged.header = s.header.Clone()
	maps.Copy(merged.header, updates(h, arrived))
	cc := readDirectives(merged.header["Cache-Control"])
	for _, name := range cc.noCacheFields {
		if name != "Content-Length" { // which is written anew
			delete(merged.header, name)
		}
	}
	withAge := merged.header
	if age := h["Age"]; len(age) > 0 {
		withAge = merged.header.Clone()
		withAge["Age"] = age
	}
	merged.date(withAge, cc, asked, arrived, maxStale)
	merged.refreshAt = time.Time{}
	names, ok := variedBy(merged.header, s.uncompressed)
	if !slices.Equal(names, s.vary) {
		merged.vary, merged.language = names, ""
		merged.selected = selectionOf(w.header, names)
	}
	merged.settle()
	if merged.setsCookie() && !w.private && !merged.handsOutCookie(arrived) {
		ok = false
	}
	return &merged, ok && merged.cc.letStore(merged.code)
}

// meets reports whether the answer to a conditional request is that the caller
// has it already (RFC 9111 section 4.3.2).
func (s *stored) meets(h http.Header) bool {
	if s.code != http.StatusOK {
		return false
	}
	if lines := h["If-None-Match"]; len(lines) > 0 {
		tags := s.header["Etag"]
		return matchesTag(lines, tags)
	}
	if since, ok := dateOf(h, "If-Modified-Since"); ok {
		changed, known := dateOf(s.header, "Last-Modified")
		if !known {
			changed, known = dateOf(s.header, "Date")
		}
		return known && !changed.After(since)
	}
	return false
}

// matchesTag reports whether an If-None-Match field has one of the tags, compared
// weakly (RFC 9110 section 8.8.3.2).
func matchesTag(lines, tags []string) bool {
	for _, line := range lines {
		for line != "" {
			var tag string
			tag, line = cutTag(line)
			if tag == "*" || len(tags) == 1 && tag != "" && opaque(tag) == opaque(tags[0]) {
				return true
			}
		}
	}
	return false
}

// cutTag returns the first member of a list of entity tags, and the rest. A comma
// within quotes is part of a tag.
func cutTag(list string) (tag, rest string) {
	quoted := false
	for i := range len(list) {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return strings.TrimSpace(list[:i]), list[i+1:]
		}
	}
	return strings.TrimSpace(list), ""
}

func opaque(tag string) string { return strings.TrimPrefix(tag, "W/") }

// notModified turns a response that is made from a stored answer into a 304.
func notModified(resp *http.Response) {
	resp.StatusCode, resp.Status = http.StatusNotModified, "304 Not Modified"
	resp.Body, resp.ContentLength, resp.Uncompressed = http.NoBody, 0, false
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Range"} {
		delete(resp.Header, name)
	}
}
