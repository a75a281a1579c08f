package config

import (
	"bytes"
	"reflect"
)

// A Reader reads files whose settings have more types than a file can write by
// itself. The zero Reader is that of [Decode].
type Reader struct {
	// Names returns the values of type t that go by a name, which a text in the
	// file stands for: funcs, implementations of an interface, and in a list
	// structs that are described elsewhere. It is asked while the file is read, the fields of
	// a struct in their order, so that it can know what was read before. Nil
	// means that there are none.
	Names func(t reflect.Type) map[string]any

	// Start returns what a value of type t, in a map, is before its keys are
	// read. Nil means the zero value.
	Start func(t reflect.Type) any

	// Lookup returns what a reference such as ${HOME} or ${file:name}, without
	// the braces, stands for, and whether there is such a thing; see [Expand].
	// Nil means that nothing is replaced.
	Lookup func(reference string) (string, bool, error)
}

// Decode reads the one YAML document in data into the struct that into points to,
// as the func [Decode] does. Besides, there may be maps whose keys are texts,
// durations such as 1m30s, values that go by a name, and whatever implements
// [encoding.TextUnmarshaler]. What is behind a pointer, or in a map, keeps what
// it has for keys that the file leaves out; null takes away the whole of what is
// behind a pointer.
//
// A field with the tag config:"-" cannot be set.
func (r Reader) Decode(name string, data []byte, into any) *Source {
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // some editors begin a file with it
	s := &Source{
		name: name, data: data, places: make(map[string]place),
		unknown: make(map[string]bool), around: make(map[string]bool), fromElsewhere: make(map[string][]string),
	}
	d := decoder{Source: s, reader: r}
	root, err := parse(data)
	if err != nil {
		s.errs = append(s.errs, syntaxError(name, data, err))
		s.places[""] = place{broken: true}
		return s
	}
	d.value("", root, reflect.ValueOf(into).Elem())
	return s
}

// names returns what goes by a name in place of a value of type t.
func (r Reader) names(t reflect.Type) map[string]any {
	if r.Names == nil {
		return nil
	}
	return r.Names(t)
}

// settable reports whether a file can hold values of type t.
func (r Reader) settable(t reflect.Type) bool {
	switch {
	case r.names(t) != nil, isText(t):
		return true
	case t.Kind() == reflect.Pointer:
		return r.settable(t.Elem())
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				return true
			}
		}
		return false
	case t.Kind() == reflect.Map:
		return isText(t.Key()) || t.Key().Kind() == reflect.String
	case t.Kind() == reflect.Interface:
		return t.NumMethod() == 0
	}
	return t.Kind() != reflect.Func && t.Kind() != reflect.Chan && t.Kind() != reflect.UnsafePointer
}
