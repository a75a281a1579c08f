package nyckelsim

import (
	"net/http"
	"slices"
	"time"
)

// A function has labels or fields, samples and models.
type function struct {
	id        string
	name      string
	projectID string
	input     string // with output, fixed at creation
	output    string
	shows     time.Time
	fields    []*field  // in order of creation
	labels    []*label  // in order of creation
	samples   []*sample // in order of creation
	byID      map[string]*sample
	byData    map[string]*sample // by key of their input
	training  training
}

// functionJSON is a function on the wire, both ways.
type functionJSON struct {
	ID        string `json:"id,omitempty"`
	Name      string `json:"name,omitempty"`
	ProjectID string `json:"projectId,omitempty"`
	Input     string `json:"input,omitempty"`
	Output    string `json:"output,omitempty"`
}

func (f *function) json() functionJSON {
	return functionJSON{ID: f.id, Name: f.name, ProjectID: f.projectID, Input: f.input, Output: f.output}
}

// addFunctionLocked creates a function, which shows at once.
func (s *Server) addFunctionLocked(name, projectID, input, output string) *function {
	f := newFunction(s.ids.new(functionPrefix), name, projectID, input, output)
	s.functions = append(s.functions, f)
	return f
}

func newFunction(id, name, projectID, input, output string) *function {
	return &function{
		id:        id,
		name:      name,
		projectID: projectID,
		input:     input,
		output:    output,
		byID:      map[string]*sample{},
		byData:    map[string]*sample{},
		training:  newTraining(),
	}
}

// functionLocked returns the function with an id, which may lack its prefix, or
// else the first one with that name.
func (s *Server) functionLocked(key string) (*function, error) {
	id := withPrefix(functionPrefix, key)
	functions := visible(s.functions)
	for _, f := range functions {
		if f.id == id {
			return f, nil
		}
	}
	for _, f := range functions {
		if f.name == key && key != "" {
			return f, nil
		}
	}
	return nil, notFound("function", key)
}

// withFunction calls do with the function in the request's path, under the
// server's lock.
func (s *Server) withFunction(r *http.Request, do func(f *function) (any, error)) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.functionLocked(r.PathValue("function"))
	if err != nil {
		return nil, err
	}
	return do(f)
}

func (s *Server) createFunction(_ http.ResponseWriter, r *http.Request) (any, error) {
	q := query{values: r.URL.Query()}
	untilReady := q.boolean("waitUntilReady", false)
	if q.err != nil {
		return nil, q.err
	}
	var body functionJSON
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	input, output, err := modalities(body.Input, body.Output)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	f := s.addFunctionLocked(body.Name, body.ProjectID, input, output)
	f.shows = s.shows()
	made := f.json()
	s.mu.Unlock()
	if untilReady {
		wait(r.Context(), s.cfg.Delay)
	}
	return made, nil
}

// listFunctions gives all in one page unless asked for less.
func (s *Server) listFunctions(w http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	functions, err := page(w, r, visible(s.functions), len(s.functions))
	return mapped(functions, (*function).json), err
}

func (s *Server) getFunction(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) { return f.json(), nil })
}

func (s *Server) updateFunction(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body functionJSON
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	return s.withFunction(r, func(f *function) (any, error) {
		if now := f.json(); body.Input != "" && body.Input != now.Input || body.Output != "" && body.Output != now.Output {
			return nil, badRequest("The input and output of a function cannot change.")
		}
		f.name, f.projectID = body.Name, body.ProjectID
		return f.json(), nil
	})
}

func (s *Server) deleteFunction(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.withFunction(r, func(f *function) (any, error) {
		s.functions = slices.DeleteFunc(s.functions, func(other *function) bool { return other == f })
		return struct{}{}, nil
	})
}
