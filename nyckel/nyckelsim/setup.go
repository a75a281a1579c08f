package nyckelsim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// AddFunction creates a Text Classification function and returns its id. Like
// the other methods that set a Server up, it needs no token and no limit
// applies to it.
func (s *Server) AddFunction(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addFunctionLocked(name, "", textInput, classification).id
}

// A Sample is a text and the name of its true label.
type Sample struct {
	Text  string
	Label string
}

// Import adds annotated samples to a function, as an upload of a file in the
// web console does. It creates the labels that are missing, in the order of
// samples. A text that is known already keeps its sample and gets the label.
//
// It fails, and nothing has changed then, if the function is unknown or not one
// of Text Classification, or if a
// text or label is blank or not valid UTF-8.
func (s *Server) Import(functionID string, samples []Sample) error {
	for i, sample := range samples {
		if blank(sample.Text) || blank(sample.Label) {
			return fmt.Errorf("nyckelsim: sample %d: text or label is blank or not valid UTF-8", i)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.functionLocked(functionID)
	if err != nil {
		return fmt.Errorf("nyckelsim: %w", err)
	}
	if f.input != textInput || f.output != classification {
		return fmt.Errorf("nyckelsim: function %q is not one of Text Classification", functionID)
	}
	labels := map[string]*label{}
	for _, l := range f.labels {
		labels[l.name] = l
	}
	for _, sample := range samples {
		truth := labels[sample.Label]
		if truth == nil {
			truth = s.addLabelLocked(f, sample.Label)
			labels[sample.Label] = truth
		}
		m := f.byData[sample.Text]
		if m == nil {
			m = s.addSampleLocked(f, newText(sample.Text), "")
		}
		f.annotate(m, annotation{{truth, true}})
	}
	return nil
}

func blank(text string) bool { return !utf8.ValidString(text) || strings.TrimSpace(text) == "" }

// Train trains a new model now and returns its id. If no annotation has changed
// since the newest model was trained, that one's id is returned instead. It
// fails with [ErrUntrainable], or if the function is unknown.
func (s *Server) Train(functionID string) (modelID string, err error) {
	f, err := s.function(functionID)
	if err != nil {
		return "", fmt.Errorf("nyckelsim: %w", err)
	}
	if err := s.ensureTrained(context.Background(), f, (*function).changed); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.functions, f) { // deleted meanwhile
		return "", fmt.Errorf("nyckelsim: %w", notFound("function", functionID))
	}
	if newest := f.training.newest(); newest != nil {
		return newest.id, nil
	}
	return "", ErrUntrainable
}

// Models returns the ids of a function's models, oldest first; none if the
// function is unknown. If a new model is due, it is trained first.
func (s *Server) Models(functionID string) []string {
	f, err := s.function(functionID)
	if err != nil {
		return nil
	}
	_ = s.ensureTrained(context.Background(), f, (*function).due) // fails only by its context
	s.mu.Lock()
	defer s.mu.Unlock()
	return mapped(f.training.models, func(m *model) string { return m.id })
}

// function is functionLocked for callers without the lock.
func (s *Server) function(key string) (*function, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.functionLocked(key)
}
