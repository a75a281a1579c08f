package lab

import (
	"io"
	"net/http"
	"sync/atomic"
)

// An Answer is what a server says to every request.
type Answer struct {
	Status int
	Body   string
}

// A Server gives the answer that is set, and counts.
type Server struct {
	answer atomic.Pointer[Answer]
	calls  atomic.Int64
}

// Answer sets the answer.
func (s *Server) Answer(a Answer) { s.answer.Store(&a) }

// Calls returns how many requests came.
func (s *Server) Calls() int64 { return s.calls.Load() }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	_, _ = io.Copy(io.Discard, r.Body) // a connection that is read to the end is used again
	a := s.answer.Load()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body) // who has left misses it
}
