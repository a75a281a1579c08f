package nyckelsim

import (
	"encoding/json"
	"net/http"
	"slices"
)

// A mark says of a label that it is true of a sample, or that it is not.
type mark struct {
	label   *label
	present bool
}

// An annotation is what is true of a sample: one mark that is present for
// Classification, any for Tags. None of a label that is not in it is known.
// It does not change.
type annotation []mark

// about reports whether the annotation says anything of the label.
func (a annotation) about(l *label) bool {
	return slices.ContainsFunc(a, func(m mark) bool { return m.label == l })
}

// present returns the labels that are true of the sample.
func (a annotation) present() []*label {
	var labels []*label
	for _, m := range a {
		if m.present {
			labels = append(labels, m.label)
		}
	}
	return labels
}

// annotationJSON names a label and, for Tags, says whether it is there. Requests
// give the id or the name, answers the id only.
type annotationJSON struct {
	LabelID   string `json:"labelId,omitempty"`
	LabelName string `json:"labelName,omitempty"`
	Present   *bool  `json:"present,omitempty"`
}

// annotationJSON returns the annotation as answers have it.
func (f *function) annotationJSON(a annotation) any {
	if f.output != tags {
		return annotationJSON{LabelID: a[0].label.id}
	}
	return mapped(a, func(m mark) annotationJSON { return annotationJSON{LabelID: m.label.id, Present: &m.present} })
}

// annotated returns the label that a request names. It creates none.
func (f *function) annotated(a annotationJSON) (*label, error) {
	if a.LabelID == "" && a.LabelName == "" {
		return nil, badRequest(`An annotation needs "labelName" or "labelId".`)
	}
	if a.LabelID == "" {
		l := first(visible(f.labels), func(l *label) bool { return l.name == a.LabelName })
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

// parseAnnotation reads the annotation of a sample: an object for
// Classification, an array for Tags.
func (f *function) parseAnnotation(raw []byte) (annotation, error) {
	if !f.learns() {
		return nil, badRequest("The simulator takes no annotations for output %q.", f.output)
	}
	var marks []annotationJSON
	if f.output == tags {
		if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &marks) != nil {
			return nil, badRequest(`The annotation of output "Tags" is an array of "labelName" or "labelId", and "present".`)
		}
		return f.tagged(marks)
	}
	var one annotationJSON
	if err := decode(raw, &one); err != nil {
		return nil, err
	}
	l, err := f.annotated(one)
	if err != nil {
		return nil, err
	}
	return annotation{{l, true}}, nil
}

// tagged returns the annotation that marks make: labels they leave out are not
// present.
func (f *function) tagged(marks []annotationJSON) (annotation, error) {
	present := map[*label]bool{}
	for _, m := range marks {
		l, err := f.annotated(m)
		if err != nil {
			return nil, err
		}
		if _, twice := present[l]; twice {
			return nil, badRequest("The annotation has label %q twice.", l.name)
		}
		present[l] = m.Present == nil || *m.Present
	}
	a := annotation{}
	for _, l := range f.labels {
		a = append(a, mark{l, present[l]})
	}
	return a, nil
}

// annotate sets what is true of the sample; nil removes it.
func (f *function) annotate(m *sample, truth annotation) {
	if (m.annotation == nil) == (truth == nil) && slices.Equal(m.annotation, truth) {
		return
	}
	for _, l := range m.annotation.present() {
		l.samples--
	}
	for _, l := range truth.present() {
		l.samples++
	}
	m.annotation = truth
	f.training.changes++
}

// forget takes a label out of a sample's annotation and prediction.
func (f *function) forget(m *sample, l *label) {
	if i := slices.IndexFunc(m.annotation, func(m mark) bool { return m.label == l }); i >= 0 {
		var rest annotation // nil, if there was but one
		rest = append(rest, m.annotation[:i]...)
		f.annotate(m, append(rest, m.annotation[i+1:]...))
	}
	if i := slices.IndexFunc(m.prediction, func(r ranked) bool { return r.label == l }); i >= 0 {
		m.prediction = slices.Concat(m.prediction[:i], m.prediction[i+1:]) // nil, if there was but one
	}
}

func (s *Server) annotate(_ http.ResponseWriter, r *http.Request) (any, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return s.withSample(r, func(f *function, m *sample) (any, error) {
		truth, err := f.parseAnnotation(body)
		if err != nil {
			return nil, err
		}
		f.annotate(m, truth)
		return f.annotationJSON(truth), nil
	})
}

func (s *Server) removeAnnotation(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withSample(r, func(f *function, m *sample) (any, error) {
		f.annotate(m, nil)
		return struct{}{}, nil
	})
}
