package nyckel

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

var readField = identified("a field", func(f *Field) string { return f.ID })

// Fields yields the fields of a function that reads tables.
func (h *Handle) Fields(ctx context.Context) iter.Seq2[Field, error] {
	o, err := h.order("list fields", http.MethodGet, nil, "fields")
	if err != nil {
		return failed[Field](err)
	}
	return list(ctx, h.c, o, "fields", false, func(f Field) string { return f.ID })
}

// LearnFields asks for the fields of the function, against which each [Tabular] is
// checked from then on, with names sent as ids. [Handle.CreateSample] does so by
// itself, since large functions know samples by the ids of their fields only.
func (h *Handle) LearnFields(ctx context.Context) error {
	var fields []Field
	for f, err := range h.Fields(ctx) {
		if err != nil {
			return err
		}
		fields = append(fields, f)
	}
	h.f.fields.Store(newFieldTable(fields))
	return nil
}

// Field returns one field.
func (h *Handle) Field(ctx context.Context, id string) (*Field, error) {
	o, err := h.order("get a field", http.MethodGet, nil, "fields", id)
	if err != nil {
		return nil, err
	}
	got, err := carryOut(ctx, h.c, o, readField)
	return got.value, err
}

// CreateField makes a field and waits until the service shows it: for 5 s at most,
// after which the error matches [ErrNotVisible]. Space around its name is taken off.
// What was learnt of the function's fields is forgotten.
func (h *Handle) CreateField(ctx context.Context, name string, kind FieldType) (*Field, error) {
	const what = "create a field"
	name, err := trimmed(what, name)
	if err != nil {
		return nil, err
	}
	if !kind.is(FieldText) && !kind.is(FieldNumber) && !kind.is(FieldImage) {
		return nil, fmt.Errorf("nyckel: %s: its type is %q, want Text, Number or Image", what, kind)
	}
	o, err := h.order(what, http.MethodPost, nil, "fields")
	if err != nil {
		return nil, err
	}
	o.body = Field{Name: name, Type: kind}
	defer h.f.fields.Store(nil)
	made, err := carryOut(ctx, h.c, o, readField)
	if err != nil {
		return nil, err
	}
	return made.value, untilVisible(ctx, what, pollPart, func(ctx context.Context) error {
		_, err := h.Field(ctx, made.value.ID)
		return err
	})
}

// DeleteField deletes a field. What was learnt of the function's fields is forgotten.
func (h *Handle) DeleteField(ctx context.Context, id string) error {
	o, err := h.order("delete a field", http.MethodDelete, nil, "fields", id)
	if err != nil {
		return err
	}
	defer h.f.fields.Store(nil)
	return remove(ctx, h.c, o)
}
