package nyckelsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// stateVersion is raised when what [Server.Dump] writes changes its meaning.
const stateVersion = 1

// A state is all that an account holds, as JSON.
type state struct {
	Version   int               `json:"version"`
	Seed      uint64            `json:"seed,string"`
	IDs       map[string]uint64 `json:"ids"` // how many were handed out, by prefix
	Invokes   int               `json:"invokes"`
	Projects  []project         `json:"projects,omitempty"`
	Functions []functionState   `json:"functions"`
}

type functionState struct {
	functionJSON
	Shows   time.Time     `json:"shows,omitzero"`
	Fields  []fieldState  `json:"fields,omitempty"`
	Labels  []labelState  `json:"labels,omitempty"`
	Samples []sampleState `json:"samples,omitempty"`
	Models  []modelState  `json:"models,omitempty"`
	Size    int           `json:"size,omitempty"`
	Changes int           `json:"changes,omitempty"`
	Overdue bool          `json:"overdue,omitempty"`
}

type fieldState struct {
	fieldJSON
	Shows time.Time `json:"shows,omitzero"`
}

type labelState struct {
	labelJSON
	Shows time.Time `json:"shows,omitzero"`
}

type sampleState struct {
	ID         string            `json:"id"`
	ExternalID string            `json:"externalId,omitempty"`
	SampleSets []sampleSetJSON   `json:"sampleSets,omitempty"`
	Data       any               `json:"data"`
	Input      *inputState       `json:"input,omitempty"` // nil for a text, which is Data
	Annotation *[]annotationJSON `json:"annotation,omitempty"`
	Prediction *[]predictionJSON `json:"prediction,omitempty"`
	Captured   bool              `json:"captured,omitempty"`
	Created    time.Time         `json:"created"`
	Shows      time.Time         `json:"shows,omitzero"`
}

// Dump writes all that the account holds as one JSON document: projects,
// functions, samples, models and how many invokes were charged, but neither
// tokens, faults, stats nor configuration. A Server into which it is loaded
// gives the same answers, and the same ids to what is created next.
//
// It is consistent, as of one moment, whatever calls are in flight.
func (s *Server) Dump(w io.Writer) error {
	s.mu.Lock()
	dumped := state{
		Version:   stateVersion,
		Seed:      s.cfg.Seed,
		IDs:       maps.Clone(s.ids.next),
		Invokes:   s.invokes,
		Projects:  slices.Clone(s.projects),
		Functions: mapped(s.functions, (*function).state),
	}
	s.mu.Unlock()
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(dumped); err != nil {
		return fmt.Errorf("nyckelsim: dump: %w", err)
	}
	return nil
}

// state copies what changes of the function. What does not is shared.
func (f *function) state() functionState {
	return functionState{
		functionJSON: f.json(),
		Shows:        f.shows,
		Fields:       mapped(f.fields, func(f *field) fieldState { return fieldState{f.json(), f.shows} }),
		Labels:       mapped(f.labels, func(l *label) labelState { return labelState{l.json(), l.shows} }),
		Samples:      mapped(f.samples, f.sampleState),
		Models:       mapped(f.training.models, (*model).state),
		Size:         f.training.size,
		Changes:      f.training.changes,
		Overdue:      f.training.overdue,
	}
}

func (f *function) sampleState(m *sample) sampleState {
	dumped := sampleState{
		ID: m.id, ExternalID: m.externalID, SampleSets: m.sets, Data: m.data,
		Captured: m.captured, Created: m.created, Shows: m.shows,
	}
	if f.input != textInput {
		dumped.Input = m.state()
	}
	if m.annotation != nil {
		marks := mapped(m.annotation, func(m mark) annotationJSON {
			return annotationJSON{LabelID: m.label.id, Present: &m.present}
		})
		dumped.Annotation = &marks
	}
	if m.prediction != nil {
		list := mapped(m.prediction, func(r ranked) predictionJSON { return predictionJSON{r.label.id, r.confidence} })
		dumped.Prediction = &list
	}
	return dumped
}

// Load puts what [Server.Dump] has written in place of all that the account
// holds. It fails, and nothing has changed then, if that is not such a document,
// is of another version, or of another [Config.Seed] than this Server's.
func (s *Server) Load(r io.Reader) error {
	var read state
	dec := json.NewDecoder(r)
	if err := dec.Decode(&read); err != nil {
		return fmt.Errorf("nyckelsim: load: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("nyckelsim: load: there is more after the document")
	}
	switch {
	case read.Version != stateVersion:
		return fmt.Errorf("nyckelsim: load: version %d, not %d", read.Version, stateVersion)
	case read.Seed != s.cfg.Seed:
		return fmt.Errorf("nyckelsim: load: seed %d, not this server's, %d", read.Seed, s.cfg.Seed)
	case read.Invokes < 0:
		return fmt.Errorf("nyckelsim: load: %d invokes", read.Invokes)
	}
	loader := loader{seen: map[string]bool{}}
	functions := make([]*function, 0, len(read.Functions))
	for i, dumped := range read.Functions {
		f, err := loader.function(dumped)
		if err != nil {
			return fmt.Errorf("nyckelsim: load: function %d: %w", i, err)
		}
		functions = append(functions, f)
	}
	ids := newIDs(s.cfg.Seed)
	maps.Copy(ids.next, read.IDs)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids, s.invokes, s.projects, s.functions = ids, read.Invokes, read.Projects, functions
	return nil
}
