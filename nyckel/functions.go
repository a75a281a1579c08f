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
	"strings"
)

// A Modality is what a function reads or what it answers. Case does not count when
// two are compared, see [Modality.Is].
type Modality string

// What functions read, and what they answer. Not every pair exists.
const (
	InputText    Modality = "Text"
	InputImage   Modality = "Image"
	InputTabular Modality = "Tabular"

	OutputClassification Modality = "Classification"
	OutputDetection      Modality = "Detection"
	OutputSearch         Modality = "Search"
	OutputOCR            Modality = "Ocr"
	OutputLocalization   Modality = "Localization"
	OutputTags           Modality = "Tags"
	OutputBoxDetect      Modality = "BoxDetect"
)

// Is reports whether two are the same but for their case: the service is not always
// of one mind.
func (m Modality) Is(other Modality) bool { return strings.EqualFold(string(m), string(other)) }

// A FunctionInfo is a function as the service knows it.
type FunctionInfo struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"` // "" if never set
	ProjectID string   `json:"projectId"`
	Input     Modality `json:"input"`
	Output    Modality `json:"output"`
}

// writableFunction is what can be set of a function; what is "" is left out.
type writableFunction struct {
	ProjectID string   `json:"projectId,omitempty"`
	Name      string   `json:"name,omitempty"`
	Input     Modality `json:"input"`
	Output    Modality `json:"output"`
}

var readFunction = identified("a function", func(f *FunctionInfo) string { return f.ID })

// A NewFunction is a function to be made.
type NewFunction struct {
	// Name and ProjectID may be "".
	Name      string
	ProjectID string

	// Input and Output are fixed once and for all.
	Input  Modality
	Output Modality

	// WaitUntilReady has the service answer when the function can be used.
	WaitUntilReady bool
}

// ListFunctions yields all functions of the account. See [Client.Functions] for the
// names of those that are configured.
func (c *Client) ListFunctions(ctx context.Context) iter.Seq2[FunctionInfo, error] {
	o := order{what: "list functions", method: http.MethodGet, url: c.address([]string{apiV1}, nil)}
	return list(ctx, c, o, "functions", false, func(f FunctionInfo) string { return f.ID })
}

// CreateFunction makes a function and waits until the service shows it: for 5 s at
// most, after which the error matches [ErrNotVisible]. [Client.FunctionByID] has the
// calls that fill it.
func (c *Client) CreateFunction(ctx context.Context, f NewFunction) (*FunctionInfo, error) {
	const what = "create a function"
	if f.Input == "" || f.Output == "" {
		return nil, errors.New("nyckel: " + what + ": it needs an Input and an Output")
	}
	query := url.Values{}
	if f.WaitUntilReady {
		query.Set("waitUntilReady", "true")
	}
	o := order{what: what, method: http.MethodPost, url: c.address([]string{apiV1}, query)}
	o.body = writableFunction{f.ProjectID, strings.TrimSpace(f.Name), f.Input, f.Output}
	made, err := carryOut(ctx, c, o, readFunction)
	if err != nil {
		return nil, err
	}
	return made.value, untilVisible(ctx, what, pollFunction, func(ctx context.Context) error {
		_, err := c.FunctionByID(made.value.ID).Info(ctx)
		return err
	})
}

// Info returns the function as the service knows it.
func (h *Handle) Info(ctx context.Context) (*FunctionInfo, error) {
	o, err := h.order("get the function", http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	got, err := carryOut(ctx, h.c, o, readFunction)
	return got.value, err
}

// Summary returns the counts of samples and labels as the service's JSON, of which
// the form is not documented.
func (h *Handle) Summary(ctx context.Context) (json.RawMessage, error) {
	o, err := h.order("get the summary", http.MethodGet, nil, "summary")
	if err != nil {
		return nil, err
	}
	got, err := carryOut(ctx, h.c, o, func(content []byte) (json.RawMessage, error) {
		members, err := asJSON[map[string]json.RawMessage]("a summary", "object")(content)
		if err != nil || members == nil {
			return nil, cmp.Or(err, errors.New("it has no summary"))
		}
		return content, nil
	})
	return got.value, err
}

// Update sets the function's name and project; what is "" is left out. Its input and
// output cannot be changed, but go with it.
func (h *Handle) Update(ctx context.Context, name, projectID string) (*FunctionInfo, error) {
	info, err := h.Info(ctx)
	if err != nil {
		return nil, err
	}
	o, err := h.order("update the function", http.MethodPut, nil)
	if err != nil {
		return nil, err
	}
	o.body = writableFunction{projectID, strings.TrimSpace(name), info.Input, info.Output}
	got, err := carryOut(ctx, h.c, o, readFunction)
	return got.value, err
}

// Delete deletes the function with all that belongs to it.
func (h *Handle) Delete(ctx context.Context) error {
	o, err := h.order("delete the function", http.MethodDelete, nil)
	if err != nil {
		return err
	}
	return remove(ctx, h.c, o)
}

// Metrics is how far a function has come.
type Metrics struct {
	SampleCount     int             `json:"sampleCount"`
	PredictionCount int             `json:"predictionCount"`
	IsTraining      bool            `json:"isTraining"`
	LabelCounts     json.RawMessage `json:"annotatedLabelCounts"` // one entry per label, in the service's form

	// All is the service's whole document.
	All json.RawMessage `json:"-"`
}

// Metrics returns how far the function has come, from the API's version 0.9.
func (h *Handle) Metrics(ctx context.Context) (*Metrics, error) {
	o, err := h.orderOf(apiV09, "get the metrics", http.MethodGet, nil, "metrics")
	if err != nil {
		return nil, err
	}
	got, err := carryOut(ctx, h.c, o, func(content []byte) (*Metrics, error) {
		m, err := asJSON[*Metrics]("metrics", "object")(content)
		if err != nil || m == nil {
			return nil, cmp.Or(err, errors.New("it has no metrics"))
		}
		m.All = content
		return m, nil
	})
	return got.value, err
}

// A Model is a model of a function that was or is being trained.
type Model struct {
	ID string `json:"id"`

	// TrainingPercentage is 100 when it is ready.
	TrainingPercentage float64 `json:"trainingPercentage"`
}

// Models yields the function's models. The call is documented nowhere and not served
// to everybody; the id of a model is told by the console.
func (h *Handle) Models(ctx context.Context) iter.Seq2[Model, error] {
	o, err := h.order("list models", http.MethodGet, nil, "models")
	if err != nil {
		return failed[Model](err)
	}
	return list(ctx, h.c, o, "models", false, func(m Model) string { return m.ID })
}

// A Project is a group of functions.
type Project struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Projects yields the projects of the account, from the API's version 0.9.
func (c *Client) Projects(ctx context.Context) iter.Seq2[Project, error] {
	o := order{what: "list projects", method: http.MethodGet, url: c.address([]string{"v0.9/projects"}, nil)}
	return list(ctx, c, o, "projects", false, func(p Project) string { return p.ID })
}

// CreateProject makes a project, in the API's version 0.9.
func (c *Client) CreateProject(ctx context.Context, name string) (*Project, error) {
	const what = "create a project"
	name, err := trimmed(what, name)
	if err != nil {
		return nil, err
	}
	o := order{what: what, method: http.MethodPost, url: c.address([]string{"v0.9/projects"}, nil)}
	o.body = map[string]string{"name": name}
	got, err := carryOut(ctx, c, o, identified("a project", func(p *Project) string { return p.ID }))
	return got.value, err
}

// identified reads the document of a thing, which must have an id.
func identified[T any](what string, id func(*T) string) reading[*T] {
	return func(content []byte) (*T, error) {
		value, err := asJSON[*T](what, "object")(content)
		switch {
		case err != nil:
			return nil, err
		case value == nil || id(value) == "":
			return nil, fmt.Errorf("not the JSON of %s: it has no id", what)
		}
		return value, nil
	}
}
