package transport

import (
	"bytes"
	"io"
	"reflect"
	"strings"
)

// snapshot returns a func for [http.Request.GetBody] that reads rc again from
// where it is now, or nil if rc is not known to be in memory. It is for the types
// that net/http knows, too: it sends such bodies together with the header. Only
// the reader is copied, not what it reads, so the copies share nothing but that;
// a GetBody that was set by hand may return the same reader each time.
func snapshot(rc io.ReadCloser) func() (io.ReadCloser, error) {
	switch reflect.TypeOf(rc) {
	case nopCloser, nopCloserWriterTo:
	default:
		return nil
	}
	switch r := reflect.ValueOf(rc).Field(0).Interface().(type) {
	case *bytes.Reader:
		start := *r
		return func() (io.ReadCloser, error) {
			again := start
			return io.NopCloser(&again), nil
		}
	case *strings.Reader:
		start := *r
		return func() (io.ReadCloser, error) {
			again := start
			return io.NopCloser(&again), nil
		}
	case *bytes.Buffer:
		unread := r.Bytes()
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(unread)), nil }
	}
	return nil
}

// What io.NopCloser returns for readers without and with WriteTo.
var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser((*bytes.Reader)(nil)))
)
