package transport

import (
	"bytes"

	"github.com/sparekey/sparekey/policy"
)

// maxEvent is how much of an event, and of a line in it, is looked at, in bytes.
const maxEvent = 64 << 10

// An sseParser parses a stream of server-sent events by section 9.2.6 of the HTML
// standard, in whatever pieces it comes. Its zero value is at the start of a stream.
// Of the fields it keeps event and data; id and retry are passed over.
type sseParser struct {
	line    []byte // the start of a line whose end is still to come
	begun   bool   // there was a line, so no byte order mark can follow
	afterCR bool   // the last byte was a CR: a LF now belongs to the same line end

	name     string // of the event under way, like the next three
	data     []byte
	hasData  bool
	tooLong  bool   // more than maxEvent came: some of the event is missing
	lastName string // of any event, kept so that a name that recurs is not allocated again
}

// read parses p and calls emit with each event that ends in it. The event's data is
// valid until emit returns.
func (e *sseParser) read(p []byte, emit func(policy.Event)) {
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
			e.line = e.appendCapped(e.line, p)
			return
		}
		e.afterCR = p[end] == '\r'
		if line := p[:end]; len(e.line) == 0 && len(line) <= maxEvent {
			e.takeLine(line, emit)
		} else {
			e.line = e.appendCapped(e.line, line)
			e.takeLine(e.line, emit)
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

// appendCapped appends as much of more to dst as maxEvent allows.
func (e *sseParser) appendCapped(dst, more []byte) []byte {
	if room := maxEvent - len(dst); len(more) > room {
		e.tooLong, more = true, more[:room]
	}
	return append(dst, more...)
}

// takeLine handles a whole line, given without its end.
func (e *sseParser) takeLine(line []byte, emit func(policy.Event)) {
	if !e.begun {
		e.begun = true
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	if len(line) == 0 {
		if e.hasData {
			emit(policy.Event{Name: e.name, Data: e.data})
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
			e.data = e.appendCapped(e.data, lineFeed)
		}
		e.data, e.hasData = e.appendCapped(e.data, value), true
	}
}

var byteOrderMark, colon, space, lineFeed = []byte("\ufeff"), []byte(":"), []byte(" "), []byte("\n")

// rest ends the stream. It returns the event that has begun, if it has data.
func (e *sseParser) rest() (policy.Event, bool) {
	if len(e.line) > 0 {
		e.takeLine(e.line, func(policy.Event) {})
	}
	return policy.Event{Name: e.name, Data: e.data}, e.hasData
}
