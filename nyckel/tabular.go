package nyckel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Tabular is an input for functions that read rows of a table. Its keys are names
// or ids of fields; its values are texts, numbers and images: a string or [Text], a
// number of any of Go's types or a [json.Number], an [Image]. A field without a
// value is left out.
//
// Where the fields are known ([Function.Fields]), a key that
// is none of them is an error, so is a value of another type than its field's, and
// names are sent as ids.
type Tabular map[string]any

func (t Tabular) data(ctx context.Context, e *encoder) (any, error) {
	if len(t) == 0 {
		return nil, errors.New("the row has no field")
	}
	row := make(map[string]any, len(t))
	for _, key := range slices.Sorted(maps.Keys(t)) {
		name, kind, err := e.fields.find(key)
		if err != nil {
			return nil, err
		}
		if _, ok := row[name]; ok {
			return nil, fmt.Errorf("field %q is there by its name and by its id", key)
		}
		value, err := cell(ctx, e, t[key], kind)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", key, err)
		}
		row[name] = value
	}
	return row, nil
}

// cell returns the JSON value of a field of that type, which is "" if unknown.
func cell(ctx context.Context, e *encoder, value any, kind FieldType) (any, error) {
	wrong := func(given string) error { return fmt.Errorf("it is of the type %s, but has %s", kind, given) }
	switch v := value.(type) {
	case nil:
		return nil, errors.New("it has no value; leave it out")
	case Image:
		if kind != "" && !kind.is(FieldImage) {
			return nil, wrong("an image")
		}
		return v.text(ctx, e, maxFieldSide)
	case json.Number:
		if _, err := v.Float64(); err != nil || !json.Valid([]byte(v)) {
			return nil, fmt.Errorf("%q is no number", string(v))
		}
		if kind != "" && !kind.is(FieldNumber) {
			return nil, wrong("a number")
		}
		return v, nil
	}
	switch v := reflect.ValueOf(value); {
	case v.Kind() == reflect.String:
		switch {
		case !utf8.ValidString(v.String()):
			return nil, errors.New("its text is not valid UTF-8")
		case kind.is(FieldNumber):
			return nil, wrong("a text")
		}
		return v.String(), nil
	case v.CanInt(), v.CanUint(), v.CanFloat():
		switch {
		case v.CanFloat() && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)):
			return nil, fmt.Errorf("%v is no number that JSON knows", value)
		case kind != "" && !kind.is(FieldNumber):
			return nil, wrong("a number")
		}
		return plainNumber(v), nil
	}
	return nil, fmt.Errorf("a value of the Go type %T is no text, number or image", value)
}

// plainNumber returns a number without the methods of its type, by which it could
// write itself as a text.
func plainNumber(v reflect.Value) any {
	switch {
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return v.Uint()
	case v.Kind() == reflect.Float32:
		return float32(v.Float()) // which is written with fewer digits
	}
	return v.Float()
}

// A FieldType says what a field of a table holds.
type FieldType string

// The types of fields. A function has one field of images at most.
const (
	FieldText   FieldType = "Text"
	FieldNumber FieldType = "Number"
	FieldImage  FieldType = "Image"
)

// is compares types without case.
func (t FieldType) is(other FieldType) bool { return strings.EqualFold(string(t), string(other)) }

// A Field is a column of a function that reads tables.
type Field struct {
	ID   string    `json:"id,omitempty"`
	Name string    `json:"name"`
	Type FieldType `json:"type"`
}

// A fieldTable finds the fields of a function by name and by id. Nil is that of a
// function whose fields are not known.
type fieldTable struct {
	names []string // sorted
	by    map[string]Field
}

func newFieldTable(fields []Field) *fieldTable {
	t := &fieldTable{by: make(map[string]Field, 2*len(fields))}
	for _, f := range fields {
		if f.ID != "" {
			t.by[bareID(f.ID)] = f
		}
	}
	for _, f := range fields { // a name goes before an id that is the same
		t.by[f.Name] = f
		t.names = append(t.names, f.Name)
	}
	slices.Sort(t.names)
	return t
}

// find returns the key under which a field is sent, and its type.
func (t *fieldTable) find(key string) (name string, kind FieldType, err error) {
	if !utf8.ValidString(key) || key == "" {
		return "", "", fmt.Errorf("%w: %q; a key must be valid UTF-8 and not empty", errNoField, key)
	}
	if t == nil {
		return key, "", nil
	}
	f, ok := t.by[key]
	if !ok {
		f, ok = t.by[bareID(key)]
	}
	switch {
	case !ok && len(t.names) == 0:
		return "", "", fmt.Errorf("%w: %q; the function has none", errNoField, key)
	case !ok:
		return "", "", fmt.Errorf("%w: %q; there are: %s", errNoField, key, strings.Join(t.names, ", "))
	case f.ID == "":
		return f.Name, f.Type, nil
	}
	return f.ID, f.Type, nil
}

var errNoField = errors.New("unknown field")
