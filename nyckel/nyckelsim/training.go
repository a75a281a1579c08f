package nyckelsim

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// ErrUntrainable is what [Server.Train] returns for a function that has fewer
// than two labels with two annotated samples each.
var ErrUntrainable = errors.New("nyckelsim: not enough annotated samples to train")

// retrainShare is the part of the samples that must have changed since a model
// was trained for the next to be due: one in retrainShare. Each model then costs
// as much as all before it did together, times a constant, however samples arrive.
const retrainShare = 10

// A model is what a function has learned at one time. It does not change.
type model struct {
	id         string
	classifier *classifier // nil if the function has nothing to learn
	labels     []*label    // by the classifier's class; some may have been deleted since
}

// training is what a function has learned, and what it has yet to.
type training struct {
	turn    chan struct{} // holds one element while a model is being trained
	models  []*model      // in order of creation
	size    int           // samples that the newest model has learned from
	changes int           // to annotations since they were gathered for the newest model
	overdue bool          // the next model is due whatever changes says
}

func newTraining() training { return training{turn: make(chan struct{}, 1)} }

// newest returns the newest model, or nil.
func (t *training) newest() *model {
	if len(t.models) == 0 {
		return nil
	}
	return t.models[len(t.models)-1]
}

// trainable reports whether the function has enough samples to learn from. One
// that does not learn needs none.
func (f *function) trainable() bool {
	if !f.learns() {
		return true
	}
	labels := 0
	for _, l := range f.labels {
		if l.samples >= 2 {
			labels++
		}
	}
	return labels >= 2
}

// due reports whether a new model should be trained before the next invoke.
func (f *function) due() bool {
	t := &f.training
	switch {
	case t.changes == 0 || !f.learns() || !f.trainable():
		return false
	case len(t.models) == 0 || t.overdue:
		return true
	default:
		return t.changes >= max(1, t.size/retrainShare)
	}
}

// changed reports whether training again would make a difference.
func (f *function) changed() bool {
	if !f.learns() {
		return len(f.training.models) == 0
	}
	return f.training.changes > 0 && f.trainable()
}

// ensureTrained trains a model if one is needed, or waits for the one that is
// being trained, unless ctx ends first. It must be called without the server's
// lock: invokes of this and other functions go on meanwhile if they need no
// new model.
//
// Training itself ends regardless of ctx. If it ended with the client that
// happened to ask first, impatient clients might never get a model. Nothing comes
// of it for a function that is no longer there.
func (s *Server) ensureTrained(ctx context.Context, f *function, needed func(*function) bool) error {
	s.mu.Lock()
	need := needed(f)
	s.mu.Unlock()
	if !need {
		return nil
	}
	select {
	case f.training.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-f.training.turn }()

	s.mu.Lock()
	if !slices.Contains(s.functions, f) || !needed(f) { // deleted, or another call has seen to it
		s.mu.Unlock()
		return nil
	}
	labels, examples := f.examples()
	seen := f.training.changes
	s.mu.Unlock()

	var classifier *classifier
	if f.learns() {
		classifier = learn(examples, len(labels), f.output == tags, s.cfg.Seed)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.functions, f) {
		return nil
	}
	t := &f.training
	t.models = append(t.models, &model{id: s.ids.new(modelPrefix), classifier: classifier, labels: labels})
	t.size = len(examples)
	t.changes -= seen
	t.overdue = slices.ContainsFunc(labels, func(l *label) bool { return !slices.Contains(f.labels, l) }) // deleted meanwhile
	return nil
}

// examples returns all annotated samples and the labels that they are numbered
// by. The order depends on inputs and names only, and so does what is learned.
func (f *function) examples() ([]*label, []example) {
	labels := slices.DeleteFunc(slices.Clone(f.labels), func(l *label) bool { return l.samples == 0 })
	slices.SortFunc(labels, func(a, b *label) int { return cmp.Compare(a.name, b.name) })
	class := map[*label]int{}
	for i, l := range labels {
		class[l] = i
	}
	var examples []example
	for _, m := range f.samples {
		if m.annotation != nil {
			truth := mapped(m.annotation.present(), func(l *label) int { return class[l] })
			examples = append(examples, example{&m.input, truth})
		}
	}
	slices.SortFunc(examples, func(a, b example) int { return cmp.Compare(a.input.key, b.input.key) })
	return labels, examples
}
