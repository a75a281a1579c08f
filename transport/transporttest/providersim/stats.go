package providersim

import "maps"

// Stats is what a [Server] has counted since it was made.
type Stats struct {
	// Calls is how many requests came in.
	Calls int

	// Billed is how many of them were worked on, and so cost money, whether or not
	// the client got an answer.
	Billed int

	// ByStatus counts the statuses that were sent, whatever became of the body.
	ByStatus map[int]int

	// ByFault counts the faults that struck.
	ByFault map[Fault]int
}

// Stats returns a copy of the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.ByStatus, stats.ByFault = maps.Clone(stats.ByStatus), maps.Clone(stats.ByFault)
	return stats
}
