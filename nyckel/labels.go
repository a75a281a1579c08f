package nyckel

import (
	"context"
	"iter"
	"net/http"
)

// A Label is what a function can answer.
type Label struct {
	ID          string            `json:"id,omitempty"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Metadata    map[string]string `json:"metadata"`
}

// writable is what can be set, all of it, as the service wants.
func (l Label) writable() any {
	var description any // null if unset
	if l.Description != "" {
		description = l.Description
	}
	return struct {
		Name        string            `json:"name"`
		Description any               `json:"description"`
		Metadata    map[string]string `json:"metadata"`
	}{l.Name, description, l.Metadata}
}

var readLabel = identified("a label", func(l *Label) string { return l.ID })

// Labels yields the function's labels.
func (h *Handle) Labels(ctx context.Context) iter.Seq2[Label, error] {
	o, err := h.order("list labels", http.MethodGet, nil, "labels")
	if err != nil {
		return failed[Label](err)
	}
	return list(ctx, h.c, o, "labels", false, func(l Label) string { return l.ID })
}

// Label returns one label.
func (h *Handle) Label(ctx context.Context, id string) (*Label, error) {
	o, err := h.order("get a label", http.MethodGet, nil, "labels", id)
	if err != nil {
		return nil, err
	}
	got, err := carryOut(ctx, h.c, o, readLabel)
	return got.value, err
}

// CreateLabel makes a label and waits until the service shows it: for 5 s at most,
// after which the error matches [ErrNotVisible]. Space around its name is taken off;
// its ID counts for nothing. What the service does about a name that is there already
// is not documented: see [Handle.EnsureLabels].
func (h *Handle) CreateLabel(ctx context.Context, label Label) (*Label, error) {
	const what = "create a label"
	name, err := trimmed(what, label.Name)
	if err != nil {
		return nil, err
	}
	label.Name = name
	o, err := h.order(what, http.MethodPost, nil, "labels")
	if err != nil {
		return nil, err
	}
	o.body = label.writable()
	made, err := carryOut(ctx, h.c, o, readLabel)
	if err != nil {
		return nil, err
	}
	return made.value, untilVisible(ctx, what, pollPart, func(ctx context.Context) error {
		_, err := h.Label(ctx, made.value.ID)
		return err
	})
}

// EnsureLabels makes the labels of those names that are not there yet, and returns
// all of them in the order of names. It ends with the first error, beside which it
// returns those up to there, also the one that is not visible yet ([ErrNotVisible]).
func (h *Handle) EnsureLabels(ctx context.Context, names ...string) ([]Label, error) {
	there := map[string]Label{}
	for label, err := range h.Labels(ctx) {
		if err != nil {
			return nil, err
		}
		there[label.Name] = label
	}
	labels := make([]Label, 0, len(names))
	for _, name := range names {
		name, err := trimmed("create a label", name)
		if err != nil {
			return labels, err
		}
		if _, ok := there[name]; !ok {
			made, err := h.CreateLabel(ctx, Label{Name: name})
			switch {
			case made == nil:
				return labels, err
			case err != nil:
				return append(labels, *made), err
			}
			there[name] = *made
		}
		labels = append(labels, there[name])
	}
	return labels, nil
}

// UpdateLabel sets the name, description and metadata of the label with that ID.
func (h *Handle) UpdateLabel(ctx context.Context, label Label) error {
	const what = "update a label"
	name, err := trimmed(what, label.Name)
	if err != nil {
		return err
	}
	label.Name = name
	o, err := h.order(what, http.MethodPut, nil, "labels", label.ID)
	if err != nil {
		return err
	}
	o.body = label.writable()
	_, err = carryOut(ctx, h.c, o, unread)
	return err
}

// DeleteLabel deletes a label. Samples that have it stay, without it.
func (h *Handle) DeleteLabel(ctx context.Context, id string) error {
	o, err := h.order("delete a label", http.MethodDelete, nil, "labels", id)
	if err != nil {
		return err
	}
	return remove(ctx, h.c, o)
}
