package cache

import (
	"net/http"
	"strings"
)

// fields is a header that is kept: small, and quick to make a header of.
type fields []field

type field struct {
	name   string
	values []string
}

// fieldsOf returns the fields of h. They share no memory with it, since each
// could be a small part of a text that is much larger.
func fieldsOf(h http.Header) fields {
	own := make(fields, 0, len(h)+1) // and the length of the body
	for name, values := range h {
		f := field{name: strings.Clone(name), values: make([]string, len(values))}
		for i, value := range values {
			f.values[i] = strings.Clone(value)
		}
		own = append(own, f)
	}
	return own
}

// get returns the first value of a field, "" for none. The name must be in its
// canonical form.
func (all fields) get(name string) string {
	for _, f := range all {
		if f.name == name && len(f.values) > 0 {
			return f.values[0]
		}
	}
	return ""
}

// header returns a header of its own with the fields and room for some more, of
// one value each, whose memory comes along. It is taken from room if that will do.
func (all fields) header(more int, room []string) (http.Header, []string) {
	lines := more
	for _, f := range all {
		lines += len(f.values)
	}
	if lines > len(room) {
		room = make([]string, lines)
	}
	h := make(http.Header, len(all)+more)
	for _, f := range all {
		n := copy(room, f.values)
		h[f.name] = room[:n:n]
		room = room[n:]
	}
	return h, room
}

// fieldOverhead and valueOverhead are what a field and each of its values weigh
// beside their texts, in bytes.
const (
	fieldOverhead = 56
	valueOverhead = 24
)

// weight returns about how much memory the fields take, in bytes.
func (all fields) weight() int {
	n := 0
	for _, f := range all {
		n += fieldOverhead + len(f.name)
		for _, value := range f.values {
			n += valueOverhead + len(value)
		}
	}
	return n
}
