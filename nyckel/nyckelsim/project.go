package nyckelsim

import (
	"net/http"
	"strings"
)

// A project is a name that functions can be under. Functions do not need theirs
// to exist.
type project struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (s *Server) listProjects(w http.ResponseWriter, r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	projects, err := page(w, r, s.projects, s.cfg.PageSize)
	return mapped(projects, func(p project) project { return p }), err
}

func (s *Server) createProject(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body project
	if err := decodeBody(r, &body); err != nil {
		return nil, err
	}
	if strings.TrimSpace(body.Name) == "" {
		return nil, badRequest("A project needs a name.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	made := project{s.ids.new(projectPrefix), body.Name}
	s.projects = append(s.projects, made)
	return made, nil
}
