package nyckelsim

import (
	"net/http"
	"slices"
)

// A function is a classifier with its labels, samples and models.
type function struct {
	id        string
	name      string
	projectID string
	labels    []*label  // in order of creation
	samples   []*sample // in order of creation
	byID      map[string]*sample
	byData    map[string]*sample // no two samples hold the same text
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
	return functionJSON{ID: f.id, Name: f.name, ProjectID: f.projectID, Input: "Text", Output: "Classification"}
}

// addFunctionLocked creates a function.
func (s *Server) addFunctionLocked(name, projectID string) *function {
	f := &function{
		id:        s.ids.new(functionPrefix),
		name:      name,
		projectID: projectID,
		byID:      map[string]*sample{},
		byData:    map[string]*sample{},
		training:  newTraining(),
	}
	s.functions = append(s.functions, f)
	return f
}

// functionLocked returns the function with an id, which may lack its prefix, or
// else the first one with that name.
func (s *Server) functionLocked(key string) (*function, error) {
	id := withPrefix(functionPrefix, key)
	for _, f := range s.functions {
		if f.id == id {
			return f, nil
		}
	}
	for _, f := range s.functions {
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
	q.boolean("waitUntilReady", false) // it always is
	if q.err != nil {
		return nil, q.err
	}
	var body functionJSON
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	if body.Input != "Text" || body.Output != "Classification" {
		return nil, badRequest("The simulator only does input Text with output Classification yet, not %q with %q.",
			body.Input, body.Output)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addFunctionLocked(body.Name, body.ProjectID).json(), nil
}

func (s *Server) listFunctions(http.ResponseWriter, *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return mapped(s.functions, (*function).json), nil
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
