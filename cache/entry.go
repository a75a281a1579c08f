package cache

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey/sparekey/policy/body"
)

// An entry is an answer that is kept. It is not changed once it is stored.
type entry struct {
	status       string
	proto        string
	major, minor int
	uncompressed bool
	header       http.Header
	body         []byte

	of         owner
	born       time.Time // when the service gave the answer
	freshUntil time.Time
	dropAt     time.Time // not before freshUntil
}

// newEntry returns the entry for a response that arrived now, yet without its
// body and lifetime.
func newEntry(resp *http.Response, now time.Time) *entry {
	return &entry{
		status:       resp.Status,
		proto:        resp.Proto,
		major:        resp.ProtoMajor,
		minor:        resp.ProtoMinor,
		uncompressed: resp.Uncompressed,
		header:       keptHeader(resp.Header),
		born:         now.Add(-statedAge(resp.Header)),
	}
}

// complete gives the entry its body. It reports false if the body is no answer:
// empty, or not the JSON that it claims to be.
func (e *entry) complete(data []byte) bool {
	plain := e.header.Get("Content-Encoding") == ""
	if len(data) == 0 || plain && isJSON(e.header.Get("Content-Type")) && !json.Valid(data) {
		return false
	}
	if cap(data)-len(data) > len(data)/8 { // room that nobody will use
		data = bytes.Clone(data)
	}
	e.body = data
	e.header.Set("Content-Length", strconv.Itoa(len(data)))
	return true
}

// What an entry weighs beside its texts, as measured: the entry and an empty
// header; for each field, a slice, two strings and a share of the header's map.
const (
	entryOverhead = 256
	fieldOverhead = 128
)

// weight returns about how much memory the entry takes, in bytes.
func (e *entry) weight() int64 {
	n := entryOverhead + len(e.body)
	for name, values := range e.header {
		n += len(name) + fieldOverhead
		for _, value := range values {
			n += len(value)
		}
	}
	return int64(n)
}

func (e *entry) until() time.Time { return e.dropAt }

func (e *entry) owner() owner { return e.of }

// put stores the entry under k, unless a later answer is there. Began is when it
// was asked for.
func (e *entry) put(s *Store, k key, began epoch) {
	s.update(k, began, time.Now(), func(old held) held {
		if old, ok := old.(*entry); ok && old.born.After(e.born) {
			return old
		}
		return e
	})
}

// response returns the answer anew, for req. Detail says why it is given though
// it is not fresh, "" if it is. The caller may do with it what he likes.
func (e *entry) response(req *http.Request, now time.Time, detail string) *http.Response {
	header := make(http.Header, len(e.header)+3) // and Age, Cache-Status, our own field
	for name, values := range e.header {
		header[name] = slices.Clone(values)
	}
	header["Age"] = []string{strconv.FormatInt(int64(now.Sub(e.born)/time.Second), 10)}
	header["Cache-Status"] = []string{cacheStatus(e.header.Values("Cache-Status"), e.freshUntil.Sub(now), detail)}
	return &http.Response{
		Status:        e.status,
		StatusCode:    http.StatusOK,
		Proto:         e.proto,
		ProtoMajor:    e.major,
		ProtoMinor:    e.minor,
		Header:        header,
		Body:          body.Bytes(e.body),
		ContentLength: int64(len(e.body)),
		Uncompressed:  e.uncompressed,
		Request:       req,
	}
}

// cacheStatus returns a Cache-Status field (RFC 9211): the members that came
// with the answer, which are nearer to the origin, then ours. TTL is what is
// left of the lifetime, in whole seconds, rounded down.
func cacheStatus(upstream []string, ttl time.Duration, detail string) string {
	seconds := int64(ttl / time.Second)
	if ttl < 0 && ttl%time.Second != 0 {
		seconds--
	}
	own := "sparekey; hit; ttl=" + strconv.FormatInt(seconds, 10)
	if detail != "" {
		own += "; detail=" + detail
	}
	if len(upstream) == 0 {
		return own
	}
	return strings.Join(upstream, ", ") + ", " + own
}
