package nyckel

import (
	"fmt"
	"reflect"
	"slices"
)

// TabularOf makes a [Tabular] of a struct or a pointer to one. The exported fields
// of the struct become the row's, under the name or id in their tag "nyckel", or else
// their own name. A field with the tag "-" is left out, so are nil pointers.
func TabularOf(row any) (Tabular, error) {
	v := reflect.ValueOf(row)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil, fmt.Errorf("nyckel: TabularOf wants a struct, not %T", row)
	}
	table := Tabular{}
	var out [][]int // the fields that are left out, with all in them
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, tagged := f.Tag.Lookup("nyckel")
		if !tagged {
			name = f.Name
		}
		if name == "-" {
			out = append(out, f.Index)
		}
		if !f.IsExported() || isPart(f) || slices.ContainsFunc(out, func(of []int) bool {
			return len(of) <= len(f.Index) && slices.Equal(of, f.Index[:len(of)])
		}) {
			continue
		}
		value, err := v.FieldByIndexErr(f.Index)
		if err != nil { // in a struct that is embedded as a nil pointer
			continue
		}
		if value.Kind() == reflect.Pointer {
			if value.IsNil() {
				continue
			}
			value = value.Elem()
		}
		if _, ok := table[name]; ok || name == "" {
			return nil, fmt.Errorf("nyckel: TabularOf: the field %s of %T is called %q, which is empty or taken", f.Name, row, name)
		}
		table[name] = value.Interface()
	}
	return table, nil
}

// isPart reports whether a field is an embedded struct of which the fields count, each by
// itself.
func isPart(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return f.Anonymous && t.Kind() == reflect.Struct && t != reflect.TypeFor[Image]()
}
