package body

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"strings"
)

// A Snapshot is a request's body in memory as it was before it was sent. Only the
// reader is copied, not what it reads, so the copies share nothing but that; a
// GetBody that was set by hand may return the same reader each time. The zero
// Snapshot is of no body.
type Snapshot struct {
	bytes  bytes.Reader
	text   strings.Reader
	source source
}

// source says which reader of a Snapshot counts.
type source uint8

const (
	elsewhere source = iota
	inBytes
	inText
)

// Take takes a snapshot of rc from where it is now, if it is known to be in memory,
// and reports that. The types that net/http knows are: it sends such bodies
// together with the header. It leaves rc unread; nobody else may read it meanwhile.
func (s *Snapshot) Take(rc io.ReadCloser) bool {
	switch reflect.TypeOf(rc) {
	case nopCloser, nopCloserWriterTo:
	default:
		return false
	}
	switch r := reflect.ValueOf(rc).Field(0).Interface().(type) {
	case *bytes.Reader:
		s.bytes, s.source = *r, inBytes
	case *bytes.Buffer:
		s.bytes.Reset(r.Bytes())
		s.source = inBytes
	case *strings.Reader:
		s.text, s.source = *r, inText
	}
	return s.Taken()
}

// Taken reports whether there is a body.
func (s *Snapshot) Taken() bool { return s.source != elsewhere }

// Len returns how many bytes the body has.
func (s *Snapshot) Len() int { return s.bytes.Len() + s.text.Len() }

// Append appends the body to text and returns that.
func (s *Snapshot) Append(text []byte) []byte {
	text = slices.Grow(text, s.Len())
	room, n := text[len(text):cap(text)], 0
	switch s.source { // neither read can fail, but at an end
	case inBytes:
		again := s.bytes
		n, _ = again.Read(room)
	case inText:
		again := s.text
		n, _ = again.Read(room)
	}
	return text[:len(text)+n]
}

// Open returns the body anew, or nil if there is none.
func (s *Snapshot) Open() io.ReadCloser {
	switch s.source {
	case inBytes:
		again := s.bytes
		return io.NopCloser(&again)
	case inText:
		again := s.text
		return io.NopCloser(&again)
	}
	return nil
}

// What io.NopCloser returns for readers without and with WriteTo.
var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser((*bytes.Reader)(nil)))
)
