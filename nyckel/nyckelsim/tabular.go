package nyckelsim

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
)

// readTabular makes an input of values by field.
func (s *Server) readTabular(ctx context.Context, f *function, c content) (input, error) {
	var values map[string]json.RawMessage
	if c.file != nil || !bytes.HasPrefix(c.Data, []byte("{")) || json.Unmarshal(c.Data, &values) != nil {
		return input{}, badRequest(`The body needs "data", an object of values by field.`)
	}
	s.mu.Lock()
	fields, err := f.fieldsOf(values)
	s.mu.Unlock()
	if err != nil {
		return input{}, err
	}
	in := input{}
	kept := map[string]any{}
	for _, key := range slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		return bytes.Compare([]byte(fields[a].id), []byte(fields[b].id))
	}) {
		field := fields[key]
		if kept[field.id], err = s.readValue(ctx, &in, field, values[key]); err != nil {
			return input{}, err
		}
	}
	canonical, err := marshal(kept) // in order of id
	if err != nil {                 // strings and numbers always marshal
		panic(err)
	}
	in.key, in.data = string(canonical), kept
	return in, nil
}

// fieldsOf returns the field of each value that is not null, by the key of the
// value, a field's id or name.
func (f *function) fieldsOf(values map[string]json.RawMessage) (map[string]field, error) {
	fields := map[string]field{}
	seen := map[string]bool{}
	for key, value := range values {
		found := f.field(key)
		if found == nil {
			return nil, badRequest("There is no field %q.", key)
		}
		if seen[found.id] {
			return nil, badRequest("The field %q has two values, by id and by name.", found.name)
		}
		seen[found.id] = true
		if string(value) != "null" {
			fields[key] = *found
		}
	}
	if len(fields) == 0 {
		return nil, badRequest(`"data" has no value.`)
	}
	return fields, nil
}

// readValue adds a field's value to the input and returns it as it is kept.
func (s *Server) readValue(ctx context.Context, in *input, f field, value json.RawMessage) (any, error) {
	salt := hash("field", f.id)
	if f.kind == numberField {
		var n float64
		if json.Unmarshal(value, &n) != nil {
			return nil, badRequest("The field %q takes a number.", f.name)
		}
		in.numbers = append(in.numbers, number{salt, float32(max(-math.MaxFloat32, min(n, math.MaxFloat32)))})
		return n, nil
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return nil, badRequest("The field %q takes a string.", f.name)
	}
	if f.kind == textField {
		in.parts = append(in.parts, part{salt, text})
		return text, nil
	}
	image, err := s.readImage(ctx, content{Data: value})
	if err != nil {
		return nil, err
	}
	in.numbers = append(in.numbers, pictureNumbers(image.picture, salt)...)
	return image.data, nil
}
