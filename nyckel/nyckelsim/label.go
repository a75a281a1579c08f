package nyckelsim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// A label is one of the answers that a function can give.
type label struct {
	id          string
	name        string
	description string
	metadata    map[string]string // never written to
	samples     int               // how many are annotated with it
	shows       time.Time
}

// labelJSON is a label on the wire, both ways.
type labelJSON struct {
	ID          string            `json:"id,omitempty"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

func (l *label) json() labelJSON {
	return labelJSON{ID: l.id, Name: l.name, Description: l.description, Metadata: l.metadata}
}

// addLabelLocked creates a label, which shows at once. Its name must be new.
func (s *Server) addLabelLocked(f *function, name string) *label {
	l := &label{id: s.ids.new(labelPrefix), name: name}
	f.labels = append(f.labels, l)
	return l
}

// label returns the label with an id, which may lack its prefix, or nil.
func (f *function) label(id string) *label {
	id = withPrefix(labelPrefix, id)
	return first(visible(f.labels), func(l *label) bool { return l.id == id })
}

// labelNamed returns the label with exactly that name, shown yet or not, or nil.
func (f *function) labelNamed(name string) *label {
	return first(f.labels, func(l *label) bool { return l.name == name })
}

// first returns the first item that has the property, or nil.
func first[T any](items []*T, has func(*T) bool) *T {
	if i := slices.IndexFunc(items, has); i >= 0 {
		return items[i]
	}
	return nil
}

// decodeLabel reads a label and checks its name.
func decodeLabel(r *http.Request) (labelJSON, error) {
	var body labelJSON
	if err := decodeBody(r, &body); err != nil {
		return body, err
	}
	if strings.TrimSpace(body.Name) == "" {
		return body, badRequest("A label needs a name.")
	}
	return body, nil
}

func (s *Server) createLabel(_ http.ResponseWriter, r *http.Request) (any, error) {
	body, err := decodeLabel(r)
	if err != nil {
		return nil, err
	}
	return s.withFunction(r, func(f *function) (any, error) {
		if f.labelNamed(body.Name) != nil {
			return nil, failf(http.StatusConflict, "There is a label %q already.", body.Name)
		}
		l := s.addLabelLocked(f, body.Name)
		l.description, l.metadata, l.shows = body.Description, body.Metadata, s.shows()
		return l.json(), nil
	})
}

func (s *Server) listLabels(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		labels, err := page(w, r, visible(f.labels), s.cfg.PageSize)
		return mapped(labels, (*label).json), err
	})
}

// withLabel calls do with the function and label in the request's path, under
// the server's lock.
func (s *Server) withLabel(r *http.Request, do func(f *function, l *label) (any, error)) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		id := r.PathValue("label")
		l := f.label(id)
		if l == nil {
			return nil, notFound("label", id)
		}
		return do(f, l)
	})
}

func (s *Server) getLabel(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withLabel(r, func(_ *function, l *label) (any, error) { return l.json(), nil })
}

func (s *Server) updateLabel(_ http.ResponseWriter, r *http.Request) (any, error) {
	body, err := decodeLabel(r)
	if err != nil {
		return nil, err
	}
	return s.withLabel(r, func(f *function, l *label) (any, error) {
		if other := f.labelNamed(body.Name); other != nil && other != l {
			return nil, failf(http.StatusConflict, "There is a label %q already.", body.Name)
		}
		l.name, l.description, l.metadata = body.Name, body.Description, body.Metadata
		return l.json(), nil
	})
}

// deleteLabel keeps the samples that had the label.
func (s *Server) deleteLabel(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withLabel(r, func(f *function, l *label) (any, error) {
		f.training.overdue = f.training.overdue || l.samples > 0
		for _, sample := range f.samples {
			f.forget(sample, l)
		}
		f.labels = slices.DeleteFunc(f.labels, func(other *label) bool { return other == l })
		return struct{}{}, nil
	})
}
