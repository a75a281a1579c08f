package nyckelsim

import "net/http"

// annotationJSON names a sample's true label. Requests give either field,
// answers the id only.
type annotationJSON struct {
	LabelID   string `json:"labelId,omitempty"`
	LabelName string `json:"labelName,omitempty"`
}

// annotated returns the label that a request names. It creates none.
func (f *function) annotated(a annotationJSON) (*label, error) {
	if a.LabelID == "" && a.LabelName == "" {
		return nil, badRequest(`An annotation needs "labelName" or "labelId".`)
	}
	if a.LabelID == "" {
		l := f.labelNamed(a.LabelName)
		if l == nil {
			return nil, badRequest("There is no label named %q.", a.LabelName)
		}
		return l, nil
	}
	l := f.label(a.LabelID)
	if l == nil {
		return nil, badRequest("There is no label %q.", a.LabelID)
	}
	if a.LabelName != "" && a.LabelName != l.name {
		return nil, badRequest("The label %q is not named %q.", a.LabelID, a.LabelName)
	}
	return l, nil
}

// annotate sets the sample's true label; nil removes it.
func (f *function) annotate(m *sample, truth *label) {
	if m.annotation == truth {
		return
	}
	if m.annotation != nil {
		m.annotation.samples--
	}
	if truth != nil {
		truth.samples++
	}
	m.annotation = truth
	f.training.changes++
}

func (s *Server) annotate(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body annotationJSON
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	return s.withSample(r, func(f *function, m *sample) (any, error) {
		truth, err := f.annotated(body)
		if err != nil {
			return nil, err
		}
		f.annotate(m, truth)
		return annotationJSON{LabelID: truth.id}, nil
	})
}

func (s *Server) removeAnnotation(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withSample(r, func(f *function, m *sample) (any, error) {
		f.annotate(m, nil)
		return struct{}{}, nil
	})
}
