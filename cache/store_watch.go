package cache

import (
	"slices"
	"sync"
	"sync/atomic"
)

// watchers are told of the keys that are no longer held.
type watchers struct {
	mu  sync.Mutex // serializes changes
	all atomic.Pointer[[]*func(key)]
}

// onDrop has f told of each key under which nothing is held any more, whatever
// the reason, and of each that was to be stored and is not; what a function purge
// forgets is told when its memory goes. f runs outside all locks, so that
// something new may be held under the key already. Stop ends that.
func (s *Store) onDrop(f func(k key)) (stop func()) {
	s.watchers.change(func(all []*func(key)) []*func(key) { return append(all, &f) })
	return func() {
		s.watchers.change(func(all []*func(key)) []*func(key) {
			return slices.DeleteFunc(all, func(other *func(key)) bool { return other == &f })
		})
	}
}

func (w *watchers) change(by func(all []*func(key)) []*func(key)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*func(key)
	if old := w.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = by(all)
	w.all.Store(&all)
}

func (w *watchers) any() bool {
	all := w.all.Load()
	return all != nil && len(*all) > 0
}

func (w *watchers) tell(gone []key) {
	if len(gone) == 0 {
		return
	}
	for _, f := range *w.all.Load() {
		for _, k := range gone {
			(*f)(k)
		}
	}
}
