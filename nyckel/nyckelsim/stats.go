package nyckelsim

import (
	"maps"
	"net/http"
	"sync"
)

// Stats counts what a [Server] has received since it was made.
type Stats struct {
	// Requests is how many requests came in, those for tokens included.
	Requests int `json:"requests"`

	// Invokes is how many of them were invokes that came with a good token and
	// within the limits, whatever became of them.
	Invokes int `json:"invokes"`

	// ByStatus counts complete answers.
	ByStatus map[int]int `json:"byStatus"`

	// Aborted is how many requests ended without a complete answer: cut by a
	// fault, or left by the client.
	Aborted int `json:"aborted"`

	// ByFault counts the faults that struck.
	ByFault map[FaultKind]int `json:"byFault"`

	// InFlight is how many requests are being handled now.
	InFlight int `json:"inFlight"`
}

// Stats returns a copy of the counts.
func (s *Server) Stats() Stats {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	stats := s.counts.Stats
	stats.ByStatus = maps.Clone(stats.ByStatus)
	stats.ByFault = maps.Clone(stats.ByFault)
	return stats
}

// counts is the live form of Stats. It is safe for concurrent use.
type counts struct {
	mu sync.Mutex
	Stats
}

func newCounts() counts {
	return counts{Stats: Stats{ByStatus: map[int]int{}, ByFault: map[FaultKind]int{}}}
}

func (c *counts) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Requests++
	c.InFlight++
}

// end counts a request that was answered with status, or with none if it is 0.
func (c *counts) end(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.InFlight--
	if status == 0 {
		c.Aborted++
	} else {
		c.ByStatus[status]++
	}
}

func (c *counts) invoke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Invokes++
}

func (c *counts) fault(kind FaultKind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ByFault[kind]++
}

// A statusWriter remembers the status that was written. Unwrap lets
// [http.ResponseController] reach the writer below.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
