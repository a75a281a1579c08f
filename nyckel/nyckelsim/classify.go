package nyckelsim

import (
	"cmp"
	"net/http"
	"slices"
)

// A ranked is a label and how likely it is the answer.
type ranked struct {
	label      *label
	confidence float64
}

// invokeJSON is the answer to an invoke for Classification.
type invokeJSON struct {
	LabelName        string            `json:"labelName"`
	LabelID          string            `json:"labelId"`
	LabelMetadata    map[string]string `json:"labelMetadata,omitempty"`
	Confidence       float64           `json:"confidence"`
	LabelConfidences []confidenceJSON  `json:"labelConfidences,omitempty"`
	ExternalID       string            `json:"externalId,omitempty"`
	SampleID         string            `json:"sampleId,omitempty"`
}

type confidenceJSON struct {
	LabelName  string  `json:"labelName"`
	LabelID    string  `json:"labelId"`
	Confidence float64 `json:"confidence"`
}

func (r ranked) json() confidenceJSON { return confidenceJSON{r.label.name, r.label.id, r.confidence} }

// mostLikely is the confidence from which on a tag is part of the answer.
const mostLikely = 0.5

// classify answers for Classification.
func (s *Server) classify(r *http.Request, f *function, asked invocation) (answer any, err error) {
	labels, err := s.rank(r, f, asked)
	if err != nil {
		return nil, err
	}
	err = s.finish(f, func() error {
		labels = f.remaining(labels)
		if len(labels) == 0 {
			return badRequest("The function has no label to answer with.")
		}
		a := answerLocked(labels, asked)
		if asked.capture {
			m := s.captureLocked(f, asked, labels[:1:1])
			if s.cfg.Mode == Guide {
				a.SampleID = m.id
			}
		}
		answer = a
		return nil
	})
	return answer, err
}

// tag answers for Tags: an array, which may be empty.
func (s *Server) tag(r *http.Request, f *function, asked invocation) (answer any, err error) {
	labels, err := s.rank(r, f, asked)
	if err != nil {
		return nil, err
	}
	err = s.finish(f, func() error {
		labels = slices.DeleteFunc(f.remaining(labels), func(l ranked) bool { return l.confidence < mostLikely })
		if asked.labelCount > 0 {
			labels = labels[:min(asked.labelCount, len(labels))]
		}
		answer = mapped(labels, ranked.json)
		if asked.capture {
			s.captureLocked(f, asked, labels)
		}
		return nil
	})
	return answer, err
}

// remaining leaves out labels that were deleted.
func (f *function) remaining(labels []ranked) []ranked {
	return slices.DeleteFunc(labels, func(l ranked) bool { return !slices.Contains(f.labels, l.label) })
}

// rank returns labels, best first, by the model that is asked for. It trains one
// if that is due.
func (s *Server) rank(r *http.Request, f *function, asked invocation) ([]ranked, error) {
	if asked.modelID == "" {
		if err := s.ensureTrained(r.Context(), f, (*function).due); err != nil {
			panic(http.ErrAbortHandler) // the client has left
		}
	}
	rank, err := s.ranker(f, asked.modelID)
	if err != nil {
		return nil, err
	}
	return rank(&asked.input), nil // without the lock
}

// ranker returns what ranks labels for an input: the pinned model, the newest,
// or the labels' names as long as there is no model.
func (s *Server) ranker(f *function, modelID string) (func(*input) []ranked, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := f.model(modelID)
	if err != nil {
		return nil, err
	}
	if m != nil {
		return m.rank, nil
	}
	labels := slices.Clone(visible(f.labels))
	names := mapped(labels, func(l *label) string { return l.name })
	byName := zeroShot
	if f.output == tags {
		byName = zeroShotTags
	}
	return func(in *input) []ranked { return rank(labels, byName(names, in.said())) }, nil
}

// model returns the model with an id, or the newest if that is empty, or nil if
// there is none yet.
func (f *function) model(id string) (*model, error) {
	if id == "" {
		return f.training.newest(), nil
	}
	m := first(f.training.models, func(m *model) bool { return m.id == withPrefix(modelPrefix, id) })
	if m == nil {
		return nil, badRequest("The function has no model %q.", id)
	}
	return m, nil
}

func (m *model) rank(in *input) []ranked { return rank(m.labels, m.classifier.probabilities(in)) }

// rank pairs labels with their confidences, best first.
func rank(labels []*label, confidences []float64) []ranked {
	list := make([]ranked, len(labels))
	for i, l := range labels {
		list[i] = ranked{l, confidences[i]}
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(b.confidence, a.confidence) })
	return list
}

// answerLocked writes the answer for labels, best first.
func answerLocked(labels []ranked, asked invocation) invokeJSON {
	best := labels[0]
	answer := invokeJSON{
		LabelName:  best.label.name,
		LabelID:    best.label.id,
		Confidence: best.confidence,
		ExternalID: asked.externalID,
	}
	if asked.includeMetadata {
		answer.LabelMetadata = best.label.metadata
	}
	if asked.labelCount > 1 {
		answer.LabelConfidences = mapped(labels[:min(asked.labelCount, len(labels))], ranked.json)
	}
	return answer
}
