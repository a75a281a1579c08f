package transport

import (
	"bytes"
	"io"
	"reflect"
	"strings"
)

// A snapshot is a request's body in memory as it was before it was sent. Only the
// reader is copied, not what it reads, so the copies share nothing but that; a
// GetBody that was set by hand may return the same reader each time. The zero
// snapshot is of no body.
type snapshot struct {
	bytes  bytes.Reader
	text   strings.Reader
	source source
}

// source says which reader of a snapshot counts.
type source uint8

const (
	elsewhere source = iota
	inBytes
	inText
)

// take takes a snapshot of rc from where it is now, if it is known to be in memory,
// and reports that. The types that net/http knows are: it sends such bodies
// together with the header.
func (s *snapshot) take(rc io.ReadCloser) bool {
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
	return s.taken()
}

// taken reports whether there is a body.
func (s *snapshot) taken() bool { return s.source != elsewhere }

// open returns the body anew, or nil if there is none.
func (s *snapshot) open() io.ReadCloser {
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
