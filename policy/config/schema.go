package config

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Schema returns the JSON Schema (draft 2020-12) of the files that
// [Reader.Decode] reads into a struct of type t. The describe func returns what is
// said of a field of a struct, "" for nothing.
func (r Reader) Schema(t reflect.Type, describe func(of reflect.Type, field string) string) map[string]any {
	s := schema{reader: r, describe: describe, defs: map[string]any{
		// What a reference stands for is found out when the file is read.
		"reference": map[string]any{"type": "string", "pattern": `\$\{`},
	}}
	whole := maps.Clone(s.object(t))
	whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	whole["$defs"] = s.defs
	return whole
}

// A schema is one that is being made.
type schema struct {
	reader   Reader
	describe func(of reflect.Type, field string) string
	defs     map[string]any // by the names of types
}

func (s *schema) of(t reflect.Type) map[string]any {
	names := s.reader.names(t)
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case t.Kind() == reflect.Pointer:
		return anyOf(s.of(t.Elem()), map[string]any{"type": "null"})
	case names != nil && t.Kind() != reflect.Struct:
		return s.scalar(map[string]any{"enum": slices.Sorted(maps.Keys(names))})
	case isText(t):
		return s.scalar(texts(t))
	case t.Kind() == reflect.Struct:
		return s.ref(t)
	case t.Kind() == reflect.Map:
		return s.table(t)
	case t.Kind() == reflect.Slice:
		items := s.of(t.Elem())
		if t.Elem().Kind() == reflect.Struct && s.reader.names(t.Elem()) != nil {
			items = anyOf(items, map[string]any{"type": "string"})
		}
		return map[string]any{"type": "array", "items": items}
	}
	return s.scalar(plain(t))
}

// anyText is the schema of a text, which may be any single value.
var anyText = map[string]any{"type": []string{"string", "number", "boolean"}}

// scalar lets a reference stand in the place of a value that is no text.
func (s *schema) scalar(of map[string]any) map[string]any {
	if s.reader.Lookup == nil || reflect.DeepEqual(of, anyText) {
		return of
	}
	return anyOf(of, map[string]any{"$ref": "#/$defs/reference"})
}

// plain returns the schema of what a file writes by itself.
func plain(t reflect.Type) map[string]any {
	if t == reflect.TypeFor[time.Duration]() {
		return anyOf(map[string]any{"const": 0}, map[string]any{
			"type": "string", "pattern": `^[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$`,
		})
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return anyText
}

// texts returns the schema of a type that has a text of its own: the texts, if it is
// a list of named values.
func texts(t reflect.Type) map[string]any {
	var known []string
	if t.Kind() == reflect.Uint8 {
		for i := range 256 {
			value := reflect.New(t)
			value.Elem().SetUint(uint64(i))
			marshaler, ok := value.Interface().(encoding.TextMarshaler)
			if !ok {
				break
			}
			text, err := marshaler.MarshalText()
			again := reflect.New(t)
			if err == nil && again.Interface().(encoding.TextUnmarshaler).UnmarshalText(text) == nil {
				known = append(known, string(text))
			}
		}
	}
	if known == nil {
		return anyText
	}
	return map[string]any{"enum": known}
}

func (s *schema) table(t reflect.Type) map[string]any {
	table := map[string]any{"type": "object"}
	if isText(t.Key()) {
		table["propertyNames"] = texts(t.Key())
	} else {
		table["propertyNames"] = map[string]any{"pattern": `^[\p{L}\p{Nd}_.:/@-]+$`, "maxLength": maxKey}
	}
	values := s.of(t.Elem())
	if t.Elem() == reflect.TypeFor[[]string]() {
		values = anyOf(values, s.of(t.Elem().Elem()))
	}
	table["additionalProperties"] = values
	return table
}

// ref puts the schema of a struct beside the others.
func (s *schema) ref(t reflect.Type) map[string]any {
	name := t.Name()
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = nil // a struct may have others of its type
		s.defs[name] = s.object(t)
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

func (s *schema) object(t reflect.Type) map[string]any {
	properties := make(map[string]any)
	fields, _ := s.reader.fieldsOf(t)
	for key, index := range fields {
		field := t.FieldByIndex(index)
		of := maps.Clone(s.of(field.Type))
		if text := s.describe(owner(t, index), field.Name); text != "" {
			of["description"] = text
		}
		properties[key] = of
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

// owner returns the struct that has the field at index, t or one embedded in it.
func owner(t reflect.Type, index []int) reflect.Type {
	for _, i := range index[:len(index)-1] {
		t = t.Field(i).Type
	}
	return t
}

// anyOf returns the schema of what one of several allows.
func anyOf(several ...map[string]any) map[string]any {
	var all []any
	for _, one := range several {
		if inner, ok := one["anyOf"].([]any); ok && len(one) == 1 {
			all = append(all, inner...)
			continue
		}
		all = append(all, one)
	}
	return map[string]any{"anyOf": all}
}
