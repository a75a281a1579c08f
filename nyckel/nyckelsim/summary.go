package nyckelsim

import (
	"net/http"
)

// summaryJSON is the answer of GET summary.
type summaryJSON struct {
	SampleCount          int            `json:"sampleCount"`
	AnnotatedSampleCount int            `json:"annotatedSampleCount"`
	LabelCounts          map[string]int `json:"labelCounts"` // by name
}

func (s *Server) summary(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		samples := visible(f.samples)
		sum := summaryJSON{SampleCount: len(samples), LabelCounts: f.labelCounts(samples)}
		for _, m := range samples {
			if m.annotation != nil {
				sum.AnnotatedSampleCount++
			}
		}
		return sum, nil
	})
}

// labelCounts returns of how many of the samples each label is true that shows, by name.
func (f *function) labelCounts(samples []*sample) map[string]int {
	counts := map[string]int{}
	for _, l := range visible(f.labels) {
		counts[l.name] = 0
	}
	for _, m := range samples {
		for _, l := range m.annotation.present() {
			counts[l.name]++
		}
	}
	return counts
}

// metricsJSON is the answer of GET metrics.
type metricsJSON struct {
	SampleCount     int            `json:"sampleCount"`
	PredictionCount int            `json:"predictionCount"`
	IsTraining      bool           `json:"isTraining"`
	Counts          map[string]int `json:"annotatedLabelCounts,omitzero"`
	PositiveCounts  map[string]int `json:"positiveAnnotatedLabelCounts,omitzero"`
	ModelID         string         `json:"modelId,omitempty"`
}

// metrics trains a model if one is due, so that a client that polls for the end
// of training gets there.
func (s *Server) metrics(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withTrained(r, func(f *function) (any, error) {
		samples := visible(f.samples)
		m := metricsJSON{SampleCount: len(samples), PredictionCount: len(samples)}
		if f.output == tags {
			m.PositiveCounts = f.labelCounts(samples)
		} else {
			m.Counts = f.labelCounts(samples)
		}
		if newest := f.training.newest(); newest != nil {
			m.ModelID = newest.id
		}
		return m, nil
	})
}

// withTrained is withFunction once a model has been trained that is due.
func (s *Server) withTrained(r *http.Request, do func(f *function) (any, error)) (any, error) {
	f, err := s.function(r.PathValue("function"))
	if err != nil {
		return nil, err
	}
	if err := s.ensureTrained(r.Context(), f, (*function).due); err != nil {
		panic(http.ErrAbortHandler) // the client has left
	}
	return s.withFunction(r, do)
}

// A modelJSON is one item of GET models.
type modelJSON struct {
	ID                 string `json:"id"`
	TrainingPercentage int    `json:"trainingPercentage"`
}

// listModels lists models, oldest first. All are ready.
func (s *Server) listModels(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.withTrained(r, func(f *function) (any, error) {
		models, err := page(w, r, f.training.models, s.cfg.PageSize)
		return mapped(models, func(m *model) modelJSON { return modelJSON{m.id, 100} }), err
	})
}

// stateJSON is a function as v0.9 has it.
type stateJSON struct {
	functionJSON
	State string `json:"state"`
}

// getFunctionState says of a function whether it is trained: Browsing, or
// Tuning while there is something to learn. Before that it is Annotating.
func (s *Server) getFunctionState(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withTrained(r, func(f *function) (any, error) {
		state := "Annotating"
		if f.training.newest() != nil {
			state = "Browsing"
		}
		if state == "Browsing" && f.changed() {
			state = "Tuning"
		}
		return stateJSON{f.json(), state}, nil
	})
}
