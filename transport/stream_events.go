package transport

import (
	"bytes"

	"github.com/sparekey/sparekey/policy"
)

// maxEvent is how much of an event, and of a line in it, is looked at, in bytes.
const maxEvent = 64 << 10

// events takes a stream of server-sent events apart, by section 9.2.6 of the HTML
// standard, whatever the pieces are in which it comes. Its zero value is at the
// start of a stream. Of the fields it keeps the name and the data.
type events struct {
	line    []byte // which has begun, without its end
	begun   bool   // there was a line
	afterCR bool   // a line feed now belongs to the line end before

	name     string
	data     []byte
	hasData  bool
	tooLong  bool   // of the event some is missing
	lastName string // of all events, to have it but once
}

// read goes on with p, and tells of each event that ends in it. Its data is valid
// until tell returns.
func (e *events) read(p []byte, tell func(policy.Event)) {
	for len(p) > 0 {
		if e.afterCR {
			e.afterCR = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := lineEnd(p)
		if end < 0 {
			e.line = e.add(e.line, p)
			return
		}
		e.afterCR = p[end] == '\r'
		if line := p[:end]; len(e.line) == 0 && len(line) <= maxEvent {
			e.take(line, tell)
		} else {
			e.line = e.add(e.line, line)
			e.take(e.line, tell)
			e.line = e.line[:0]
		}
		p = p[end+1:]
	}
}

// lineEnd returns where the first line in p ends, or -1.
func lineEnd(p []byte) int {
	lf := bytes.IndexByte(p, '\n')
	if lf >= 0 {
		p = p[:lf]
	}
	if cr := bytes.IndexByte(p, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// add returns dst with as much of more as there is room for.
func (e *events) add(dst, more []byte) []byte {
	if room := maxEvent - len(dst); len(more) > room {
		e.tooLong, more = true, more[:room]
	}
	return append(dst, more...)
}

// take goes on with a line.
func (e *events) take(line []byte, tell func(policy.Event)) {
	if !e.begun {
		e.begun = true
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	if len(line) == 0 {
		if e.hasData {
			tell(policy.Event{Name: e.name, Data: e.data})
		}
		e.name, e.data, e.hasData, e.tooLong = "", e.data[:0], false, false
		return
	}
	field, value, _ := bytes.Cut(line, colon) // a comment is a field without a name
	value = bytes.TrimPrefix(value, space)
	switch string(field) {
	case "event":
		if string(value) != e.lastName {
			e.lastName = string(value)
		}
		e.name = e.lastName
	case "data":
		if e.hasData {
			e.data = e.add(e.data, lineFeed)
		}
		e.data, e.hasData = e.add(e.data, value), true
	}
}

var byteOrderMark, colon, space, lineFeed = []byte("\ufeff"), []byte(":"), []byte(" "), []byte("\n")

// rest ends the stream. It returns the event that has begun, if it has data.
func (e *events) rest() (policy.Event, bool) {
	if len(e.line) > 0 {
		e.take(e.line, func(policy.Event) {})
		e.line = nil
	}
	return policy.Event{Name: e.name, Data: e.data}, e.hasData
}
