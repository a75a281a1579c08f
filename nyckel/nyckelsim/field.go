package nyckelsim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Types of fields.
const (
	textField   = "Text"
	numberField = "Number"
	imageField  = "Image"
)

var fieldKinds = []string{textField, numberField, imageField}

// A field is one column of a function with tabular input.
type field struct {
	id    string
	name  string
	kind  string
	shows time.Time
}

// fieldJSON is a field on the wire, both ways.
type fieldJSON struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	Type string `json:"type"`
}

func (f *field) json() fieldJSON { return fieldJSON{f.id, f.name, f.kind} }

// field returns the field with an id, which may lack its prefix, or else a name;
// or nil.
func (f *function) field(key string) *field {
	fields := visible(f.fields)
	id := withPrefix(fieldPrefix, key)
	if found := first(fields, func(f *field) bool { return f.id == id }); found != nil {
		return found
	}
	return first(fields, func(f *field) bool { return f.name == key })
}

func (s *Server) createField(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body fieldJSON
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	kind := slices.IndexFunc(fieldKinds, func(k string) bool { return strings.EqualFold(k, body.Type) })
	if kind < 0 || strings.TrimSpace(body.Name) == "" {
		return nil, badRequest(`A field needs a name, and "Text", "Number" or "Image" as type.`)
	}
	return s.withFunction(r, func(f *function) (any, error) {
		same := func(other *field) bool { return other.name == body.Name }
		image := func(other *field) bool { return other.kind == imageField }
		switch {
		case f.input != tabularInput:
			return nil, badRequest("Only a function with input Tabular has fields.")
		case first(f.fields, same) != nil:
			return nil, failf(http.StatusConflict, "There is a field %q already.", body.Name)
		case fieldKinds[kind] == imageField && first(f.fields, image) != nil:
			return nil, badRequest("There is a field of type Image already.")
		}
		made := &field{s.ids.new(fieldPrefix), body.Name, fieldKinds[kind], s.shows()}
		f.fields = append(f.fields, made)
		return made.json(), nil
	})
}

func (s *Server) listFields(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		fields, err := page(w, r, visible(f.fields), s.cfg.PageSize)
		return mapped(fields, (*field).json), err
	})
}

// withField calls do with the function and field in the request's path, under
// the server's lock.
func (s *Server) withField(r *http.Request, do func(f *function, found *field) (any, error)) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		id := r.PathValue("field")
		found := first(visible(f.fields), func(f *field) bool { return f.id == withPrefix(fieldPrefix, id) })
		if found == nil {
			return nil, notFound("field", id)
		}
		return do(f, found)
	})
}

func (s *Server) getField(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withField(r, func(_ *function, found *field) (any, error) { return found.json(), nil })
}

// deleteField keeps the samples as they are, values of the field included.
func (s *Server) deleteField(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withField(r, func(f *function, found *field) (any, error) {
		f.fields = slices.DeleteFunc(f.fields, func(other *field) bool { return other == found })
		return struct{}{}, nil
	})
}
