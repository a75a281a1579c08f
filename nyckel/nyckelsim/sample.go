package nyckelsim

import (
	"net/http"
	"slices"
	"time"
)

// A sample is an input that a function knows, perhaps with what is true of it.
type sample struct {
	input
	id         string
	externalID string
	sets       []sampleSetJSON
	annotation annotation // nil if unknown
	prediction []ranked   // what its last invoke was answered; nil if none
	captured   bool       // by an invoke
	created    time.Time
	direction  direction // of a function for Search
	shows      time.Time
}

// sampleJSON is a sample in an answer.
type sampleJSON struct {
	ID         string          `json:"id"`
	Data       any             `json:"data,omitempty"`
	ExternalID string          `json:"externalId,omitempty"`
	Annotation any             `json:"annotation,omitempty"`
	Prediction any             `json:"prediction,omitempty"`
	SampleSets []sampleSetJSON `json:"sampleSets,omitempty"`
}

type predictionJSON struct {
	LabelID    string  `json:"labelId"`
	Confidence float64 `json:"confidence"`
}

func (f *function) sampleJSON(m *sample) sampleJSON {
	j := sampleJSON{ID: m.id, Data: m.data, ExternalID: m.externalID, SampleSets: m.sets}
	if m.annotation != nil {
		j.Annotation = f.annotationJSON(m.annotation)
	}
	if m.prediction != nil {
		list := mapped(m.prediction, func(r ranked) predictionJSON { return predictionJSON{r.label.id, r.confidence} })
		if j.Prediction = list; f.output != tags {
			j.Prediction = list[0]
		}
	}
	return j
}

// addSampleLocked creates a sample, which shows at once. Its input must be new.
func (s *Server) addSampleLocked(f *function, in input, externalID string) *sample {
	m := &sample{id: s.ids.new(samplePrefix), input: in, externalID: externalID, created: time.Now()}
	f.add(m)
	return m
}

// add takes a sample in.
func (f *function) add(m *sample) {
	if f.output == search {
		m.direction = newDirection(&m.input)
	}
	f.samples = append(f.samples, m)
	f.byID[m.id] = m
	f.byData[m.key] = m
}

// deleteSamples deletes the samples that doomed names.
func (f *function) deleteSamples(doomed func(*sample) bool) {
	f.samples = slices.DeleteFunc(f.samples, func(m *sample) bool {
		if !doomed(m) {
			return false
		}
		f.annotate(m, nil)
		delete(f.byID, m.id)
		delete(f.byData, m.key)
		return true
	})
}

// withSample calls do with the function and sample in the request's path, under
// the server's lock.
func (s *Server) withSample(r *http.Request, do func(f *function, m *sample) (any, error)) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		id := r.PathValue("sample")
		m := f.byID[withPrefix(samplePrefix, id)]
		if m == nil || m.shows.After(time.Now()) {
			return nil, notFound("sample", id)
		}
		return do(f, m)
	})
}

func (s *Server) createSample(_ http.ResponseWriter, r *http.Request) (any, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	c, err := parseContent(r, body)
	if err != nil {
		return nil, err
	}
	f, err := s.function(r.PathValue("function"))
	if err != nil {
		return nil, err
	}
	read, err := s.read(r.Context(), f, c)
	if err != nil {
		return nil, err
	}
	return s.withFunction(r, func(now *function) (any, error) {
		if now != f { // deleted while the data was read
			return nil, notFound("function", r.PathValue("function"))
		}
		var truth annotation
		if len(c.Annotation) > 0 && string(c.Annotation) != "null" {
			if truth, err = f.parseAnnotation(c.Annotation); err != nil {
				return nil, err
			}
		}
		if twin := f.byData[read.key]; twin != nil {
			return nil, &failure{http.StatusConflict, "There is a sample with this data already.", twin.id}
		}
		m := s.addSampleLocked(f, read.input, c.ExternalID)
		m.sets, m.shows = c.SampleSets, s.shows()
		f.annotate(m, truth)
		return f.sampleJSON(m), nil
	})
}

func (s *Server) listSamples(w http.ResponseWriter, r *http.Request) (any, error) {
	filter, err := parseSampleFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return s.withFunction(r, func(f *function) (any, error) {
		samples, err := page(w, r, filter.apply(visible(f.samples)), s.cfg.PageSize)
		return mapped(samples, func(m *sample) sampleJSON {
			j := f.sampleJSON(m)
			if filter.withoutData {
				j.Data = nil
			}
			return j
		}), err
	})
}

func (s *Server) getSample(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withSample(r, func(f *function, m *sample) (any, error) { return f.sampleJSON(m), nil })
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
		before, now := len(f.samples), time.Now()
		f.deleteSamples(func(m *sample) bool { return m.externalID == id && !m.shows.After(now) })
		if len(f.samples) == before {
			return nil, notFound("sample with external id", id)
		}
		return struct{}{}, nil
	})
}
