package cache

import (
	"slices"
	"sync"
	"sync/atomic"
)

// watchers are told of the keys that are no longer held.
type watchers struct {
	mu  sync.Mutex // serializes changes
	all atomic.Pointer[[]func(key)]
}

// onDrop has f told of each key under which nothing is held any more, whatever
// the reason, and of each that was to be stored and is not; what a function purge
// forgets is told when its memory goes. f runs outside all locks, so that
// something new may be held under the key already.
func (s *Store) onDrop(f func(k key)) {
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	var all []func(key)
	if old := s.watchers.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = append(all, f)
	s.watchers.all.Store(&all)
}

func (w *watchers) any() bool { return w.all.Load() != nil }

func (w *watchers) tell(gone []key) {
	if len(gone) == 0 {
		return
	}
	for _, f := range *w.all.Load() {
		for _, k := range gone {
			f(k)
		}
	}
}
