package config

import (
	"reflect"

	"go.yaml.in/yaml/v4"
)

// scalar reads a single value into v.
func (d *decoder) scalar(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null" {
		d.report(path, node, "is %s, want %s", kindOf(node), wanted(v))
		return
	}
	ok := false
	switch v.Kind() {
	case reflect.String: // as it is written: 007 is "007"
		v.SetString(node.Value)
		ok = true
	case reflect.Interface:
		ok = setAny(node, v)
	case reflect.Bool:
		ok = node.ShortTag() == "!!bool" && node.Load(v.Addr().Interface()) == nil
	case reflect.Int, reflect.Int64:
		ok = node.ShortTag() == "!!int" && node.Load(v.Addr().Interface()) == nil
	case reflect.Float64:
		ok = isNumber(node) && node.Load(v.Addr().Interface()) == nil
	}
	if !ok {
		d.report(path, node, "is %s, want %s", kindOf(node), wanted(v))
	}
}

// setAny gives v a string, a bool, an int or a float64.
func setAny(node *yaml.Node, v reflect.Value) bool {
	switch tag := node.ShortTag(); {
	case tag == "!!str", tag == "!!timestamp":
		v.Set(reflect.ValueOf(node.Value))
		return true
	case tag == "!!bool":
		var b bool
		err := node.Load(&b)
		v.Set(reflect.ValueOf(b))
		return err == nil
	case isNumber(node):
		var n int
		if tag == "!!int" && node.Load(&n) == nil {
			v.Set(reflect.ValueOf(n))
			return true
		}
		var f float64
		err := node.Load(&f)
		v.Set(reflect.ValueOf(f))
		return err == nil
	}
	return false
}

func isNumber(node *yaml.Node) bool {
	tag := node.ShortTag()
	return tag == "!!int" || tag == "!!float"
}

// wanted says what v takes.
func wanted(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Interface:
		return "a text, a number or a boolean"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a text"
}

// kindOf says what node is.
func kindOf(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind == yaml.AliasNode:
		return "an alias"
	case node.ShortTag() == "!!null":
		return "empty"
	case node.ShortTag() == "!!str":
		return "a text"
	}
	return node.Value
}
