package cache

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// A message is what is kept of a response, to make others of. It is a part of what the two
// caches keep: see entry and stored.
type message struct {
	status       string
	code         int
	proto        string
	major, minor int
	uncompressed bool
	fields       fields
	upstream     string // what caches nearer to the origin say in Cache-Status
	body         []byte

	born       time.Time // when the origin gave the answer, or last confirmed it
	freshUntil time.Time
	dropAt     time.Time // when it is of no more use; not before freshUntil

	last *atomic.Pointer[said] // what was said of it last; a pointer, since messages are copied
}

// messageOf returns the message of a response, yet without its header, body and times.
func messageOf(resp *http.Response) message {
	return message{
		status: resp.Status, code: resp.StatusCode, proto: resp.Proto, major: resp.ProtoMajor, minor: resp.ProtoMinor,
		uncompressed: resp.Uncompressed,
	}
}

// until is a method of held.
func (m *message) until() time.Time { return m.dropAt }

// setHeader has the message keep h, with which it shares no memory.
func (m *message) setHeader(h http.Header) {
	m.fields, m.upstream, m.last = fieldsOf(h), "", new(atomic.Pointer[said])
	if lines := h["Cache-Status"]; len(lines) > 0 {
		m.upstream = strings.Join(lines, ", ") + ", "
	}
}

// setBody has the message keep data.
func (m *message) setBody(data []byte) {
	if cap(data)-len(data) > len(data)/8 { // memory that would be held for nothing
		data = bytes.Clone(data)
	}
	m.body = slices.Clip(data)
}

// messageOverhead is what a message weighs beside its texts, in bytes.
const messageOverhead = 448

// weight returns about how much memory the message takes, in bytes.
func (m *message) weight() int64 {
	return int64(messageOverhead + m.fields.weight() + len(m.upstream) + len(m.body))
}

// response returns the answer anew, for req. It is the caller's own: it shares nothing with
// the message that he could change.
func (m *message) response(req *http.Request, now time.Time, r remark) *http.Response {
	given := new(givenAnswer)
	header, values := m.fields.header(3, given.values[:])
	said := m.say(r, now)
	values[0], values[1] = said.age, said.status
	header["Age"], header["Cache-Status"] = values[0:1:1], values[1:2:2]
	if r.source != "" {
		values[2] = said.answer
		header[telemetry.HeaderName] = values[2:3:3]
	}

	resp := &given.response // field by field, since it is large
	resp.Status, resp.StatusCode = m.status, m.code
	resp.Proto, resp.ProtoMajor, resp.ProtoMinor = m.proto, m.major, m.minor
	resp.Header, resp.Request = header, req
	resp.ContentLength, resp.Uncompressed = int64(len(m.body)), m.uncompressed
	resp.Body = http.NoBody
	if req.Method != http.MethodHead && len(m.body) > 0 {
		given.body.Reset(m.body)
		resp.Body = &given.body
	}
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
