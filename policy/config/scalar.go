package config

import (
	"encoding"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// scalar reads a single value into v.
func (d *decoder) scalar(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.ScalarNode || isNull(node) {
		d.report(path, node, "is %s, want %s", d.kindOf(node), wanted(v))
		return
	}
	ok := false
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		ok = setDuration(node, v)
	default:
		ok = setScalar(node, v)
	}
	if !ok {
		d.report(path, node, "is %s, want %s", d.kindOf(node), wanted(v))
	}
}

// setScalar gives v what node says, and reports whether it is of v's kind.
func setScalar(node *yaml.Node, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String: // as it is written: 007 is "007"
		v.SetString(node.Value)
		return true
	case reflect.Interface:
		return setAny(node, v)
	case reflect.Bool:
		return node.ShortTag() == "!!bool" && node.Load(v.Addr().Interface()) == nil
	case reflect.Int, reflect.Int64:
		return node.ShortTag() == "!!int" && !isOctal(node.Value) && node.Load(v.Addr().Interface()) == nil
	case reflect.Float64:
		return isNumber(node) && !isOctal(node.Value) && node.Load(v.Addr().Interface()) == nil && isFinite(v.Float())
	}
	return false
}

// isOctal reports whether text is a number that some take for an octal one: 010 is
// 8 to YAML 1.1, and 10 to YAML 1.2 and people.
func isOctal(text string) bool {
	text = strings.TrimLeft(text, "+-")
	return len(text) > 1 && text[0] == '0' && (text[1] >= '0' && text[1] <= '9' || text[1] == '_') && !strings.Contains(text, ".")
}

func isFinite(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }

// setDuration reads durations as package time writes them. Zero needs no unit.
func setDuration(node *yaml.Node, v reflect.Value) bool {
	duration, err := time.ParseDuration(node.Value)
	v.SetInt(int64(duration))
	return err == nil
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// text reads a value that has a text of its own.
func (d *decoder) text(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.ScalarNode || isNull(node) {
		d.report(path, node, "is %s, want a text", d.kindOf(node))
		return
	}
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(node.Value))
	switch {
	case err != nil && d.expanded[node] != "":
		d.report(path, node, "is what %s holds, which is not known", d.expanded[node])
	case err != nil:
		d.report(path, node, "has an %s", withoutPackage(err))
	}
}

// withoutPackage returns the text of err without the name of a package before it.
func withoutPackage(err error) string {
	name, rest, found := strings.Cut(err.Error(), ": ")
	if found && !strings.ContainsAny(name, " \"") {
		return rest
	}
	return err.Error()
}

// isText reports whether values of type t have a text of their own.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// named reads a value that goes by a name.
func (d *decoder) named(path string, node *yaml.Node, v reflect.Value, names map[string]any) {
	isName := node.Kind == yaml.ScalarNode && !isNull(node)
	if value, ok := names[node.Value]; ok && isName {
		v.Set(reflect.ValueOf(value))
		return
	}
	known := slices.Sorted(maps.Keys(names))
	switch {
	case !isName:
		d.report(path, node, "is %s, want a name%s", d.kindOf(node), Suggest("", known))
	case d.expanded[node] != "":
		d.report(path, node, "is what %s holds, which is not known%s", d.expanded[node], Suggest("", known))
	default:
		d.report(path, node, "is %q, which is not known%s", clip(node.Value), Suggest(node.Value, known))
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
	case isNumber(node) && !isOctal(node.Value):
		var n int
		if tag == "!!int" && node.Load(&n) == nil {
			v.Set(reflect.ValueOf(n))
			return true
		}
		var f float64
		err := node.Load(&f)
		v.Set(reflect.ValueOf(f))
		return err == nil && isFinite(f)
	}
	return false
}

func isNumber(node *yaml.Node) bool {
	tag := node.ShortTag()
	return tag == "!!int" || tag == "!!float"
}

// wanted says what v takes.
func wanted(v reflect.Value) string {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return "a duration such as 500ms, 10s or 1m30s"
	}
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

// kindOf says what node is. It does not tell what came from elsewhere.
func (d *decoder) kindOf(node *yaml.Node) string {
	switch {
	case d.expanded[node] != "":
		return "what " + d.expanded[node] + " holds"
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
	return clip(node.Value)
}
