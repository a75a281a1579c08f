package cache

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// An entry is an answer that is kept. It is not changed once it is stored.
type entry struct {
	status       string
	proto        string
	major, minor int
	uncompressed bool
	fields       fields
	cacheStatus  string // all of that field up to the lifetime that is left
	body         []byte

	of         owner
	born       time.Time // when the service gave the answer
	freshUntil time.Time
	dropAt     time.Time // not before freshUntil
}

// newEntry returns the entry for a response that arrived now, yet without its
// body and lifetime.
func newEntry(resp *http.Response, now time.Time) *entry {
	header := keptHeader(resp.Header)
	above := append(header["Cache-Status"], ownStatus) // members nearer to the origin come first
	delete(header, "Cache-Status")
	return &entry{
		status:       resp.Status,
		proto:        resp.Proto,
		major:        resp.ProtoMajor,
		minor:        resp.ProtoMinor,
		uncompressed: resp.Uncompressed,
		fields:       fieldsOf(header),
		cacheStatus:  strings.Join(above, ", "),
		born:         now.Add(-statedAge(resp.Header)),
	}
}

// ownStatus is the member of Cache-Status (RFC 9211) that is ours, up to the
// lifetime that is left.
const ownStatus = "sparekey; hit; ttl="

// complete gives the entry its body. It reports false if the body is no answer:
// empty, or not the JSON that it claims to be.
func (e *entry) complete(data []byte) bool {
	plain := e.fields.get("Content-Encoding") == ""
	if len(data) == 0 || plain && isJSON(e.fields.get("Content-Type")) && !json.Valid(data) {
		return false
	}
	if cap(data)-len(data) > len(data)/8 { // room that nobody will use
		data = bytes.Clone(data)
	}
	e.body = data
	e.fields = append(e.fields, field{"Content-Length", []string{strconv.Itoa(len(data))}})
	return true
}

// entryOverhead is what an entry weighs beside its texts, in bytes.
const entryOverhead = 256

// weight returns about how much memory the entry takes, in bytes.
func (e *entry) weight() int64 {
	return int64(entryOverhead + e.fields.weight() + len(e.cacheStatus) + len(e.body))
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

// hit returns the answer anew, for req, and marks it as one that is fresh, as
// [telemetry.Mark] does.
func (e *entry) hit(req *http.Request, now time.Time) *http.Response {
	a := telemetry.Answer{Source: telemetry.Cache, Age: now.Sub(e.born)}
	telemetry.FromContext(req.Context()).Answered(req.Context(), a)
	return e.anew(req, now, string(a.Source), "")
}

// response returns the answer anew, for req. Detail says why it is given though
// it is not fresh.
func (e *entry) response(req *http.Request, now time.Time, detail string) *http.Response {
	return e.anew(req, now, "", detail)
}

// anew returns the answer with all fields that say what it is; source is what
// stands in our own one, "" for none. The caller may do with it what he likes.
func (e *entry) anew(req *http.Request, now time.Time, source, detail string) *http.Response {
	given := new(givenAnswer)
	header, values := e.fields.header(3, given.values[:])
	age, ttl := now.Sub(e.born), e.freshUntil.Sub(now)

	var room [128]byte
	text := append(room[:0], source...) // of all fields, which share their memory
	text = append(text, ";age="...)
	ageFrom := len(text)
	text = strconv.AppendInt(text, int64(age/time.Second), 10)
	ageTo := len(text)
	text = append(text, e.cacheStatus...)
	text = strconv.AppendInt(text, wholeSeconds(ttl), 10)
	if detail != "" {
		text = append(append(text, "; detail="...), detail...)
	}
	all := string(text)
	values[0], values[1] = all[ageFrom:ageTo], all[ageTo:]
	header["Age"], header["Cache-Status"] = values[0:1:1], values[1:2:2]
	if source != "" {
		values[2] = all[:ageTo]
		if age <= 0 { // is left out
			values[2] = source
		}
		header[telemetry.HeaderName] = values[2:3:3]
	}

	resp := &given.response // field by field, since it is large
	resp.Status, resp.StatusCode = e.status, http.StatusOK
	resp.Proto, resp.ProtoMajor, resp.ProtoMinor = e.proto, e.major, e.minor
	resp.Header, resp.Request = header, req
	resp.ContentLength, resp.Uncompressed = int64(len(e.body)), e.uncompressed
	given.body.Reset(e.body)
	resp.Body = &given.body
	return resp
}

// givenAnswer is a response with its body and the values of a usual header, in one
// piece of memory.
type givenAnswer struct {
	response http.Response
	body     givenBody
	values   [8]string
}

// givenBody reads from memory. It is an [io.WriterTo].
type givenBody struct{ bytes.Reader }

func (*givenBody) Close() error { return nil }

// wholeSeconds rounds down.
func wholeSeconds(d time.Duration) int64 {
	seconds := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		seconds--
	}
	return seconds
}
