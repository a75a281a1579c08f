package nyckelsim

import (
	"net/http"
	"slices"
)

// A sample is a text that a function knows, perhaps with its true label.
type sample struct {
	id         string
	text       string
	externalID string
	annotation *label // the truth; nil if unknown
	prediction *label // what the last invoke of the text was answered; nil if none
	confidence float64
}

// sampleJSON is a sample in an answer.
type sampleJSON struct {
	ID         string          `json:"id"`
	Data       *string         `json:"data,omitempty"`
	ExternalID string          `json:"externalId,omitempty"`
	Annotation *annotationJSON `json:"annotation,omitempty"`
	Prediction *predictionJSON `json:"prediction,omitempty"`
}

type predictionJSON struct {
	LabelID    string  `json:"labelId"`
	Confidence float64 `json:"confidence"`
}

func (m *sample) json() sampleJSON {
	j := sampleJSON{ID: m.id, Data: &m.text, ExternalID: m.externalID}
	if m.annotation != nil {
		j.Annotation = &annotationJSON{LabelID: m.annotation.id}
	}
	if m.prediction != nil {
		j.Prediction = &predictionJSON{m.prediction.id, m.confidence}
	}
	return j
}

func (m *sample) jsonWithoutData() sampleJSON {
	j := m.json()
	j.Data = nil
	return j
}

// addSampleLocked creates a sample. Its text must be new.
func (s *Server) addSampleLocked(f *function, text, externalID string) *sample {
	m := &sample{id: s.ids.new(samplePrefix), text: text, externalID: externalID}
	f.samples = append(f.samples, m)
	f.byID[m.id] = m
	f.byData[text] = m
	return m
}

// deleteSamples deletes the samples that doomed names.
func (f *function) deleteSamples(doomed func(*sample) bool) {
	f.samples = slices.DeleteFunc(f.samples, func(m *sample) bool {
		if !doomed(m) {
			return false
		}
		f.annotate(m, nil)
		delete(f.byID, m.id)
		delete(f.byData, m.text)
		return true
	})
}

// withSample calls do with the function and sample in the request's path, under
// the server's lock.
func (s *Server) withSample(r *http.Request, do func(f *function, m *sample) (any, error)) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		id := r.PathValue("sample")
		m := f.byID[withPrefix(samplePrefix, id)]
		if m == nil {
			return nil, notFound("sample", id)
		}
		return do(f, m)
	})
}

func (s *Server) createSample(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		Data       *string         `json:"data"`
		ExternalID string          `json:"externalId"`
		Annotation *annotationJSON `json:"annotation"`
		SampleSets []any           `json:"sampleSets"`
	}
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	if err := checkText(body.Data); err != nil {
		return nil, err
	}
	if len(body.SampleSets) > 0 {
		return nil, badRequest("The simulator does not do sample sets yet.")
	}
	return s.withFunction(r, func(f *function) (any, error) {
		var truth *label
		if body.Annotation != nil {
			var err error
			if truth, err = f.annotated(*body.Annotation); err != nil {
				return nil, err
			}
		}
		if twin := f.byData[*body.Data]; twin != nil {
			return nil, &failure{http.StatusConflict, "There is a sample with this data already.", twin.id}
		}
		m := s.addSampleLocked(f, *body.Data, body.ExternalID)
		f.annotate(m, truth)
		return m.json(), nil
	})
}

// checkText returns a 400 unless data can be the input of a Text function.
func checkText(data *string) error {
	if data == nil || *data == "" {
		return badRequest(`The body needs "data", a text that is not empty.`)
	}
	return nil
}

func (s *Server) listSamples(w http.ResponseWriter, r *http.Request) (any, error) {
	filter, err := parseSampleFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return s.withFunction(r, func(f *function) (any, error) {
		samples, err := page(w, r, filter.apply(f.samples), s.cfg.PageSize)
		if filter.withoutData {
			return mapped(samples, (*sample).jsonWithoutData), err
		}
		return mapped(samples, (*sample).json), err
	})
}

func (s *Server) getSample(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withSample(r, func(_ *function, m *sample) (any, error) { return m.json(), nil })
}

func (s *Server) deleteSample(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withSample(r, func(f *function, m *sample) (any, error) {
		f.deleteSamples(func(other *sample) bool { return other == m })
		return struct{}{}, nil
	})
}

// deleteSamples is the deletion by external id.
func (s *Server) deleteSamples(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		id := r.URL.Query().Get("externalId")
		if id == "" {
			return nil, badRequest(`The query parameter "externalId" is missing.`)
		}
		before := len(f.samples)
		f.deleteSamples(func(m *sample) bool { return m.externalID == id })
		if len(f.samples) == before {
			return nil, notFound("sample with external id", id)
		}
		return struct{}{}, nil
	})
}
