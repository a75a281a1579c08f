package config

import (
	"encoding"
	"fmt"
	"reflect"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// table reads node into a map. What v holds already stays as it is, for others
// may share it; the map in its place has all of it and what node says.
func (d *decoder) table(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.report(path, node, "is %s, want keys with values", d.kindOf(node))
		return
	}
	whole := reflect.MakeMap(v.Type())
	for _, key := range v.MapKeys() {
		whole.SetMapIndex(key, v.MapIndex(key))
	}
	v.Set(whole)
	for key, value := range d.pairs(path, node) {
		if d.full {
			return
		}
		name := reflect.New(v.Type().Key()).Elem()
		if err := setKey(key.Value, name); err != nil {
			d.misread(path)
			d.add(path, key, "has the key %q: %s", clip(key.Value), withoutPackage(err))
			continue
		}
		item := d.start(v.Type().Elem(), whole.MapIndex(name))
		d.item(fmt.Sprintf("%s[%s]", path, key.Value), value, item)
		whole.SetMapIndex(name, item)
	}
}

// item reads a value of a map. One text is a list of texts, too.
func (d *decoder) item(path string, node *yaml.Node, v reflect.Value) {
	what := behind(node)
	if v.Type() != reflect.TypeFor[[]string]() || what.Kind == yaml.SequenceNode || isNull(what) {
		d.value(path, node, v)
		return
	}
	if what.Kind != yaml.ScalarNode {
		d.report(path, node, "is %s, want a text or a list of texts", d.kindOf(what))
		return
	}
	var one string
	d.value(path, node, reflect.ValueOf(&one).Elem())
	v.Set(reflect.ValueOf([]string{one}))
}

// start returns what a value of type t in a map begins as: what is there, or what
// the reader says.
func (d *decoder) start(t reflect.Type, there reflect.Value) reflect.Value {
	v := reflect.New(t).Elem()
	switch {
	case there.IsValid():
		v.Set(there)
	case d.reader.Start != nil:
		if first := d.reader.Start(t); first != nil {
			v.Set(reflect.ValueOf(first))
		}
	}
	return v
}

// setKey gives v the key.
func setKey(key string, v reflect.Value) error {
	if isText(v.Type()) {
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(key))
	}
	for _, r := range key {
		if !isKeyRune(r) {
			return fmt.Errorf("want letters, digits and any of -_.:/@")
		}
	}
	switch {
	case key == "":
		return fmt.Errorf("want a name")
	case utf8.RuneCountInString(key) > maxKey:
		return fmt.Errorf("want at most %d characters", maxKey)
	}
	v.SetString(key)
	return nil
}
