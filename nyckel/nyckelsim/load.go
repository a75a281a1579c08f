package nyckelsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A loader makes functions of what was dumped, and checks it: the document may
// have been written by hand.
type loader struct {
	seen map[string]bool // ids
}

// id notes an id, which must have the prefix and be new.
func (l *loader) id(prefix, id string) error {
	if !strings.HasPrefix(id, prefix) || id == prefix {
		return fmt.Errorf("id %q does not begin with %q", id, prefix)
	}
	if l.seen[id] {
		return fmt.Errorf("id %q is there twice", id)
	}
	l.seen[id] = true
	return nil
}

func (l *loader) function(dumped functionState) (*function, error) {
	input, output, err := modalities(dumped.Input, dumped.Output)
	if err != nil {
		return nil, err
	}
	if err := l.id(functionPrefix, dumped.ID); err != nil {
		return nil, err
	}
	f := newFunction(dumped.ID, dumped.Name, dumped.ProjectID, input, output)
	f.shows = dumped.Shows
	for _, dumped := range dumped.Fields {
		if err := l.id(fieldPrefix, dumped.ID); err != nil {
			return nil, err
		}
		if !slices.Contains(fieldKinds, dumped.Type) {
			return nil, fmt.Errorf("field %q has the type %q", dumped.ID, dumped.Type)
		}
		f.fields = append(f.fields, &field{dumped.ID, dumped.Name, dumped.Type, dumped.Shows})
	}
	for _, dumped := range dumped.Labels {
		if err := l.id(labelPrefix, dumped.ID); err != nil {
			return nil, err
		}
		f.labels = append(f.labels, &label{
			id: dumped.ID, name: dumped.Name, description: dumped.Description, metadata: dumped.Metadata, shows: dumped.Shows,
		})
	}
	labels := map[string]*label{}
	for _, made := range f.labels {
		labels[made.id] = made
	}
	for i, dumped := range dumped.Samples {
		if err := l.sample(f, labels, dumped); err != nil {
			return nil, fmt.Errorf("sample %d: %w", i, err)
		}
	}
	for i, dumped := range dumped.Models {
		if err := l.model(f, labels, dumped); err != nil {
			return nil, fmt.Errorf("model %d: %w", i, err)
		}
	}
	if dumped.Size < 0 || dumped.Changes < 0 {
		return nil, errors.New("negative size or changes")
	}
	f.training.size, f.training.changes, f.training.overdue = dumped.Size, dumped.Changes, dumped.Overdue
	return f, nil
}

func (l *loader) sample(f *function, labels map[string]*label, dumped sampleState) error {
	if err := l.id(samplePrefix, dumped.ID); err != nil {
		return err
	}
	in, err := f.loadInput(dumped)
	if err != nil {
		return err
	}
	if f.byData[in.key] != nil {
		return errors.New("its data is there twice")
	}
	m := &sample{
		id: dumped.ID, input: in, externalID: dumped.ExternalID, sets: dumped.SampleSets,
		captured: dumped.Captured, created: dumped.Created, shows: dumped.Shows,
	}
	if dumped.Annotation != nil {
		truth, err := f.loadAnnotation(labels, *dumped.Annotation)
		if err != nil {
			return err
		}
		f.annotate(m, truth)
	}
	if dumped.Prediction != nil {
		if m.prediction, err = f.loadPrediction(labels, *dumped.Prediction); err != nil {
			return err
		}
	}
	f.add(m)
	return nil
}

func (f *function) loadAnnotation(labels map[string]*label, marks []annotationJSON) (annotation, error) {
	truth := annotation{}
	for _, dumped := range marks {
		l := labels[dumped.LabelID]
		if l == nil || dumped.Present == nil || truth.about(l) {
			return nil, fmt.Errorf("its annotation has the label %q, which is unknown, twice there, or not said to be present or not", dumped.LabelID)
		}
		truth = append(truth, mark{l, *dumped.Present})
	}
	if !f.learns() || f.output == classification && (len(truth) != 1 || !truth[0].present) {
		return nil, fmt.Errorf("its annotation is none for %s", f.output)
	}
	return truth, nil
}

func (f *function) loadPrediction(labels map[string]*label, list []predictionJSON) ([]ranked, error) {
	prediction := []ranked{}
	for _, dumped := range list {
		l := labels[dumped.LabelID]
		if l == nil {
			return nil, fmt.Errorf("its prediction has the unknown label %q", dumped.LabelID)
		}
		prediction = append(prediction, ranked{l, dumped.Confidence})
	}
	if !f.learns() || f.output == classification && len(prediction) != 1 {
		return nil, fmt.Errorf("its prediction is none for %s", f.output)
	}
	return prediction, nil
}

func (l *loader) model(f *function, labels map[string]*label, dumped modelState) error {
	if err := l.id(modelPrefix, dumped.ID); err != nil {
		return err
	}
	m := &model{id: dumped.ID}
	for _, id := range dumped.Labels {
		known := labels[id]
		if known == nil {
			known = &label{id: id} // deleted since
		}
		m.labels = append(m.labels, known)
	}
	if (dumped.Classifier != nil) != f.learns() {
		return fmt.Errorf("it has a classifier or none, unlike others for %s", f.output)
	}
	if dumped.Classifier != nil {
		var err error
		if m.classifier, err = dumped.Classifier.classifier(len(m.labels), f.output == tags); err != nil {
			return err
		}
	}
	f.training.models = append(f.training.models, m)
	return nil
}
