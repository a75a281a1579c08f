package nyckel

import (
	"fmt"
	"reflect"
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
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, tagged := f.Tag.Lookup("nyckel")
		if !tagged {
			name = f.Name
		}
		if !f.IsExported() || f.Anonymous || name == "-" {
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
