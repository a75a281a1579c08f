package nyckel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"
)

// An Annotation says what a sample is, by the name of a label or by its id.
type Annotation struct {
	LabelName string
	LabelID   string

	// Absent says that the label does not apply. It is for functions with the output
	// Tags.
	Absent bool
}

// Annotate says what a sample is, in place of what was said before. The label must
// be there: see [Handle.EnsureLabels]. If the sample is not, it is asked for once more
// after a second.
func (h *Handle) Annotate(ctx context.Context, sampleID string, a Annotation) error {
	written, err := a.write()
	if err != nil {
		return fmt.Errorf("nyckel: %s: %w", annotating, err)
	}
	return h.annotate(ctx, apiV1, sampleID, written)
}

// AnnotateTags does what [Handle.Annotate] does for a function with the output Tags,
// in the API's version 0.9.
func (h *Handle) AnnotateTags(ctx context.Context, sampleID string, tags ...Annotation) error {
	written, err := writeTags(tags)
	if err != nil {
		return fmt.Errorf("nyckel: %s: %w", annotating, err)
	}
	return h.annotate(ctx, apiV09, sampleID, written)
}

const annotating = "annotate a sample"

// annotate sends what was written of an annotation.
func (h *Handle) annotate(ctx context.Context, root, sampleID string, written any) error {
	o, err := h.orderOf(root, annotating, http.MethodPut, nil, "samples", sampleID, "annotation")
	if err != nil {
		return err
	}
	o.body = written
	_, err = onceMore(ctx, func() (obtained[struct{}], error) { return carryOut(ctx, h.c, o, unread) })
	return err
}

// DeleteAnnotation takes back what was said of a sample.
func (h *Handle) DeleteAnnotation(ctx context.Context, sampleID string) error {
	o, err := h.order("delete an annotation", http.MethodDelete, nil, "samples", sampleID, "annotation")
	if err != nil {
		return err
	}
	return remove(ctx, h.c, o)
}

// write returns what is sent of an annotation.
func (a Annotation) write() (map[string]any, error) {
	switch {
	case a.Absent:
		return nil, errors.New("only a tag can be absent")
	case a.LabelName == "" && a.LabelID == "":
		return nil, errNoLabel
	case !utf8.ValidString(a.LabelName):
		return nil, errors.New("LabelName is not valid UTF-8")
	}
	written := map[string]any{}
	if a.LabelID != "" {
		written["labelId"] = a.LabelID
	} else {
		written["labelName"] = a.LabelName
	}
	return written, nil
}

func writeTags(tags []Annotation) ([]map[string]any, error) {
	list := make([]map[string]any, len(tags))
	for i, tag := range tags {
		present := !tag.Absent
		tag.Absent = false
		written, err := tag.write()
		if err != nil {
			return nil, fmt.Errorf("tag %d: %w", i, err)
		}
		written["present"] = present
		list[i] = written
	}
	return list, nil
}
