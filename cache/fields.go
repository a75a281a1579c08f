package cache

import (
	"net/http"
	"strings"
)

// fields is a header that is kept: smaller than a map, and quick to make an http.Header of.
type fields struct {
	names  []fieldName
	values []string // of all fields, one after the other
}

// A fieldName is the name of a field and how many values it has.
type fieldName struct {
	name   string
	values int
}

// fieldsOf returns the fields of h. They share no memory with it, since each
// could be a small part of a text that is much larger.
func fieldsOf(h http.Header) fields {
	lines := 1 // for a Content-Length
	for _, values := range h {
		lines += len(values)
	}
	own := fields{make([]fieldName, 0, len(h)+1), make([]string, 0, lines)}
	for name, values := range h {
		own.add(strings.Clone(name), values)
	}
	return own
}

// add adds a field that is not yet there.
func (all *fields) add(name string, values []string) {
	all.names = append(all.names, fieldName{name, len(values)})
	for _, value := range values {
		all.values = append(all.values, strings.Clone(value))
	}
}

// get returns the first value of a field, "" for none. The name must be in its
// canonical form.
func (all fields) get(name string) string {
	from := 0
	for _, f := range all.names {
		if f.name == name && f.values > 0 {
			return all.values[from]
		}
		from += f.values
	}
	return ""
}

// header returns the fields as a header of the caller's own, and memory for the values of
// so many more fields of one value each. The values are in room if that is large enough.
func (all fields) header(more int, room []string) (http.Header, []string) {
	if lines := len(all.values) + more; lines > len(room) {
		room = make([]string, lines)
	}
	copy(room, all.values)
	h := make(http.Header, len(all.names)+more)
	for _, f := range all.names {
		h[f.name] = room[:f.values:f.values]
		room = room[f.values:]
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
	n := fieldOverhead * len(all.names)
	for _, f := range all.names {
		n += len(f.name)
	}
	for _, value := range all.values {
		n += valueOverhead + len(value)
	}
	return n
}
