package cache

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// An entry is an answer to a prediction request that is kept. It is not changed once it is
// stored.
type entry struct {
	message
	of owner
}

// newEntry returns the entry for a response whose header arrived now, yet without its body,
// lifetime and owner.
func newEntry(resp *http.Response, now time.Time) *entry {
	e := &entry{message: messageOf(resp)}
	h := canonicalNames(resp.Header)
	e.setHeader(keptHeader(h))
	e.born = now.Add(-statedAge(h))
	return e
}

// complete gives the entry its body. It reports false if the body is no answer:
// empty, or not the JSON that it claims to be.
func (e *entry) complete(data []byte) bool {
	plain := e.fields.get("Content-Encoding") == ""
	if len(data) == 0 || plain && isJSON(e.fields.get("Content-Type")) && !json.Valid(data) {
		return false
	}
	e.setBody(data)
	e.fields.add("Content-Length", []string{strconv.Itoa(len(data))})
	return true
}

// owner is a method of held.
func (e *entry) owner() owner { return e.of }

// put stores the entry under k, unless a later answer is there. Began is the epoch in which
// it was asked for: a purge since then forbids it.
func (e *entry) put(s *Store, k key, began epoch) {
	s.update(k, began, time.Now(), func(old held) held {
		if old, ok := old.(*entry); ok && old.born.After(e.born) {
			return old
		}
		return e
	})
}

// isHeld reports whether the entry is what the store has under k.
func (e *entry) isHeld(s *Store, k key) bool {
	held, _ := s.peek(k, time.Now()).(*entry)
	return held == e
}

// hit returns the answer anew, for req, as one that is fresh.
func (e *entry) hit(req *http.Request, now time.Time) *http.Response {
	return e.response(req, now, remark{by: ownName, source: telemetry.Cache})
}

// stale returns the answer anew, for req. Detail says why it is given though it is
// not fresh.
func (e *entry) stale(req *http.Request, now time.Time, detail string) *http.Response {
	return e.response(req, now, remark{by: ownName, detail: detail})
}

// ownName is what a Memo calls itself in Cache-Status (RFC 9211).
const ownName = "sparekey"
