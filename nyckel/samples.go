package nyckel

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"
)

// A Sample is an input that the service keeps.
type Sample struct {
	ID         string
	ExternalID string // "" if it has none

	// Data is the input as JSON: a text, the URL or data URI of an image, which was
	// encoded anew, or an object by ids of fields. The URL of an image is good for 20
	// minutes. It is nil if it was not asked for.
	Data json.RawMessage

	// Annotations say what the sample is: one at most, but for functions with the
	// output Tags. As a rule they have the label's id only.
	Annotations []Annotation

	// Predictions say what the service takes it for, likewise.
	Predictions []LabelConfidence

	// SampleSets are the ids of the sets that it is in.
	SampleSets []string

	// Existing says that [Handle.CreateSample] found the sample there already. Only ID
	// is set then.
	Existing bool
}

// UnmarshalJSON reads a sample as the service writes it; absent and null are the same.
func (s *Sample) UnmarshalJSON(content []byte) error {
	var wire struct {
		ID         string           `json:"id"`
		Data       json.RawMessage  `json:"data"`
		ExternalID optional[string] `json:"externalId"`
		Annotation json.RawMessage  `json:"annotation"`
		Prediction json.RawMessage  `json:"prediction"`
		SampleSets optional[[]struct {
			ID string `json:"sampleSetId"`
		}] `json:"sampleSets"`
	}
	if err := json.Unmarshal(content, &wire); err != nil {
		return err
	}
	*s = Sample{ID: wire.ID, ExternalID: wire.ExternalID.value, Data: present(wire.Data)}
	for _, a := range oneOrMany[struct {
		LabelName string `json:"labelName"`
		LabelID   string `json:"labelId"`
		Present   *bool  `json:"present"`
	}](wire.Annotation) {
		if a.LabelName != "" || a.LabelID != "" {
			s.Annotations = append(s.Annotations, Annotation{a.LabelName, a.LabelID, a.Present != nil && !*a.Present})
		}
	}
	for _, p := range oneOrMany[LabelConfidence](wire.Prediction) {
		if p.LabelName != "" || p.LabelID != "" {
			s.Predictions = append(s.Predictions, p)
		}
	}
	for _, set := range wire.SampleSets.value {
		s.SampleSets = append(s.SampleSets, set.ID)
	}
	return nil
}

// oneOrMany reads an object or a list of them, and nothing of what is neither.
func oneOrMany[T any](text json.RawMessage) []T {
	var many []T
	if present(text) == nil || json.Unmarshal(text, &many) == nil {
		return many
	}
	one := make([]T, 1)
	if json.Unmarshal(text, &one[0]) != nil {
		return nil
	}
	return one
}

var readSample = identified("a sample", func(s *Sample) string { return s.ID })

// A NewSample is a sample to be made.
type NewSample struct {
	Input      Input
	ExternalID string // "" for none

	// Annotation says what the sample is. Zero means that nobody knows.
	Annotation Annotation

	// Tags say so of a sample of a function with the output Tags, in place of
	// Annotation. Labels that are left out do not apply.
	Tags []Annotation

	// SampleSets are the ids of sets that it is to be in.
	SampleSets []string
}

// CreateSample makes a sample. A function never holds the same data twice: if it
// does already, that sample is returned, with Existing set. It keeps its annotation;
// [Handle.Annotate] sets another.
func (h *Handle) CreateSample(ctx context.Context, s NewSample) (*Sample, error) {
	const what = "create a sample"
	root, body, err := s.write()
	if err != nil {
		return nil, fmt.Errorf("nyckel: %s: %w", what, err)
	}
	data, err := h.encode(ctx, s.Input)
	if err != nil {
		return nil, fmt.Errorf("nyckel: %s: %w", what, err)
	}
	body["data"] = json.RawMessage(data)
	o, err := h.orderOf(root, what, http.MethodPost, nil, "samples")
	if err != nil {
		return nil, err
	}
	o.body, o.replayable = body, true
	got, err := carryOut(ctx, h.c, o, readSample)
	if id := existing(err); id != "" {
		return &Sample{ID: id, Existing: true}, nil
	}
	return got.value, err
}

// write returns what is sent of a sample but its data, and in which version of the API.
func (s NewSample) write() (root string, body map[string]any, err error) {
	root, body = apiV1, map[string]any{}
	switch {
	case !utf8.ValidString(s.ExternalID):
		return "", nil, errors.New("ExternalID is not valid UTF-8")
	case len(s.Tags) > 0 && s.Annotation != (Annotation{}):
		return "", nil, errors.New("Annotation and Tags exclude each other")
	case len(s.Tags) > 0:
		root = apiV09
		body["annotation"], err = writeTags(s.Tags)
	case s.Annotation != (Annotation{}):
		body["annotation"], err = s.Annotation.write()
	}
	if err != nil {
		return "", nil, err
	}
	if s.ExternalID != "" {
		body["externalId"] = s.ExternalID
	}
	if len(s.SampleSets) > 0 {
		sets := make([]map[string]string, len(s.SampleSets))
		for i, id := range s.SampleSets {
			sets[i] = map[string]string{"sampleSetId": id}
		}
		body["sampleSets"] = sets
	}
	return root, body, nil
}

// encode returns the JSON of an input, with the fields of a table by their ids.
func (h *Handle) encode(ctx context.Context, input Input) ([]byte, error) {
	if _, ok := input.(SampleID); ok {
		return nil, errors.New("a SampleID is an input for Search only")
	}
	fields := h.f.fields.Load()
	if _, ok := input.(Tabular); ok && fields == nil {
		if err := h.LearnFields(ctx); err != nil {
			return nil, err
		}
		fields = h.f.fields.Load()
	}
	return h.c.encode(ctx, fields, input)
}

// existing returns the id of the sample that stood in the way of another, or "".
func existing(err error) string {
	d, ok := errors.AsType[*declined](err)
	if !ok || d.err.Status != http.StatusConflict {
		return ""
	}
	var answer struct {
		Existing optional[string] `json:"existingSampleId"`
		ID       optional[string] `json:"id"` // in older answers
	}
	if json.Unmarshal(d.body, &answer) != nil {
		return ""
	}
	return cmp.Or(answer.Existing.value, answer.ID.value)
}

// Samples yields the function's samples that pass the filter. It asks for pages until
// the service says that there is no other, or gives one that is empty.
func (h *Handle) Samples(ctx context.Context, filter SampleFilter) iter.Seq2[Sample, error] {
	return h.samples(ctx, filter, true)
}

// samples yields those of the first page only, unless byIndex is set or a link leads on.
func (h *Handle) samples(ctx context.Context, filter SampleFilter, byIndex bool) iter.Seq2[Sample, error] {
	const what = "list samples"
	filter.PageSize = cmp.Or(filter.PageSize, 500)
	switch {
	case filter.PageSize < 0:
		return failed[Sample](fmt.Errorf("nyckel: %s: PageSize is %d, want at least 0", what, filter.PageSize))
	case filter.SortOrder != "" && filter.SortBy == "":
		return failed[Sample](fmt.Errorf("nyckel: %s: SortOrder needs SortBy", what))
	}
	o, err := h.order(what, http.MethodGet, filter.query(), "samples")
	if err != nil {
		return failed[Sample](err)
	}
	return list(ctx, h.c, o, "samples", byIndex, func(s Sample) string { return s.ID })
}

// Sample returns one sample. One that is not there is asked for once more after a
// second, since it may just have been made.
func (h *Handle) Sample(ctx context.Context, id string) (*Sample, error) {
	o, err := h.order("get a sample", http.MethodGet, nil, "samples", id)
	if err != nil {
		return nil, err
	}
	got, err := onceMore(ctx, func() (obtained[*Sample], error) { return carryOut(ctx, h.c, o, readSample) })
	return got.value, err
}

// SampleByExternalID returns the one sample with that external id. What an invoke
// left behind may take its time to show: it is asked for again for up to 5 s, after
// which the error matches [ErrNotFound]. If there are several, it matches
// [ErrAmbiguous].
func (h *Handle) SampleByExternalID(ctx context.Context, externalID string) (*Sample, error) {
	const what = "get a sample by its external id"
	if externalID == "" {
		return nil, errors.New("nyckel: " + what + ": it is empty")
	}
	for start := time.Now(); ; {
		var found *Sample
		// The first page is enough to see whether there are several.
		for s, err := range h.samples(ctx, SampleFilter{ExternalID: externalID}, false) {
			if err != nil {
				return nil, err
			}
			if found != nil && s.ID != found.ID { // pages may overlap
				return nil, fmt.Errorf("nyckel: %s: %w", what, ErrAmbiguous)
			}
			found = &s
		}
		switch {
		case found != nil:
			return found, nil
		case time.Since(start)+pollPart > visibleWithin:
			return nil, fmt.Errorf("nyckel: %s: %w", what, ErrNotFound)
		}
		if err := pause(ctx, pollPart); err != nil {
			return nil, fmt.Errorf("nyckel: %s: %w", what, err) // it may be there all the same
		}
	}
}

// DeleteSample deletes a sample.
func (h *Handle) DeleteSample(ctx context.Context, id string) error {
	o, err := h.order("delete a sample", http.MethodDelete, nil, "samples", id)
	if err != nil {
		return err
	}
	return remove(ctx, h.c, o)
}

// DeleteSamples deletes the samples with that external id.
func (h *Handle) DeleteSamples(ctx context.Context, externalID string) error {
	const what = "delete samples by their external id"
	if externalID == "" {
		return errors.New("nyckel: " + what + ": it is empty")
	}
	o, err := h.order(what, http.MethodDelete, url.Values{"externalId": {externalID}}, "samples")
	if err != nil {
		return err
	}
	return remove(ctx, h.c, o)
}
