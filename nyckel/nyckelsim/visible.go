package nyckelsim

import (
	"slices"
	"time"
)

// shows returns from when on what is created now shows.
func (s *Server) shows() time.Time {
	if s.cfg.Delay == 0 {
		return time.Time{}
	}
	return time.Now().Add(s.cfg.Delay)
}

// visible returns the items that show by now. Those do not that a read right
// after their creation misses.
func visible[T interface{ showsAt() time.Time }](items []T) []T {
	now := time.Now()
	hidden := func(item T) bool { return item.showsAt().After(now) }
	if !slices.ContainsFunc(items, hidden) {
		return items
	}
	return slices.DeleteFunc(slices.Clone(items), hidden)
}

func (f *function) showsAt() time.Time { return f.shows }
func (l *label) showsAt() time.Time    { return l.shows }
func (f *field) showsAt() time.Time    { return f.shows }
func (m *sample) showsAt() time.Time   { return m.shows }
