package cache

import (
	"math/rand/v2"
	"slices"
	"time"
)

// maxVariants bounds how many answers to one target are kept side by side.
const maxVariants = 16

// A shelf holds the answers to requests for one target that differ in what these
// vary by. It is not changed once it is stored.
//
// Each target has a shelf for what anybody may be given and what those get who
// show nothing of themselves. The others have a shelf each, whose key contains the
// generation of the first: when that goes, none of them is found any more.
type shelf struct {
	generation uint64
	answers    []*stored // the latest first
	dropAt     time.Time
	of         owner
}

func (sh *shelf) until() time.Time { return sh.dropAt }

func (sh *shelf) owner() owner { return sh.of }

func (sh *shelf) weight() int64 {
	n := int64(shelfOverhead)
	for _, s := range sh.answers {
		n += s.weight()
	}
	return n
}

// shelfOverhead is what a shelf weighs beside its answers, in bytes.
const shelfOverhead = 128

// pick returns the latest answer to a request, or nil. varied says that there are
// some, to other requests.
func (sh *shelf) pick(w *wanted, publicOnly bool) (found *stored, varied bool) {
	if sh == nil {
		return nil, false
	}
	for _, s := range sh.answers {
		switch {
		case publicOnly && !s.public:
		case s.matches(w.header):
			return s, false
		default:
			varied = true
		}
	}
	return nil, varied
}

// with returns the shelf with an answer to the request in the place of those that
// it makes out of date. It keeps the old one if that is later.
func (sh *shelf) with(s *stored, w *wanted, now time.Time, maxBytes int64) *shelf {
	changed := &shelf{generation: sh.generation, answers: []*stored{s}, dropAt: later(sh.dropAt, s.dropAt), of: sh.of}
	switch {
	case len(sh.answers) == 0:
		changed.of.function = w.of.function
	case w.of.function != sh.of.function:
		changed.of.function = several
	}
	for _, old := range sh.answers {
		switch {
		case old.matches(w.header) && old.born.After(s.born):
			return sh
		case old.matches(w.header), !now.Before(old.dropAt), len(changed.answers) == maxVariants:
		default:
			changed.answers = append(changed.answers, old)
		}
	}
	for len(changed.answers) > 1 && changed.weight() > maxBytes {
		changed.answers = slices.Delete(changed.answers, len(changed.answers)-1, len(changed.answers))
	}
	slices.SortStableFunc(changed.answers, func(a, b *stored) int { return b.born.Compare(a.born) })
	return changed
}

// without returns the shelf without an answer.
func (sh *shelf) without(s *stored) *shelf {
	if !slices.Contains(sh.answers, s) {
		return sh
	}
	changed := *sh
	changed.answers = slices.DeleteFunc(slices.Clone(sh.answers), func(other *stored) bool { return other == s })
	return &changed
}

// find returns the latest stored answer to a request, or nil.
func (c *httpCache) find(w *wanted, now time.Time) (found *stored, varied bool) {
	root, _ := c.store.get(w.resource, now).(*shelf)
	if root == nil {
		return nil, false
	}
	found, varied = root.pick(w, w.private)
	if w.private {
		own, _ := c.store.get(w.ownKey(root.generation), now).(*shelf)
		s, differs := own.pick(w, false)
		varied = varied || differs
		if found == nil || s != nil && !s.born.Before(found.born) {
			found = s
		}
	}
	return found, varied
}

// put stores an answer to a request, unless its target was changed or purged
// since that came. One that is too heavy only pushes out what it makes out of date.
func (c *httpCache) put(w *wanted, s *stored) {
	now := time.Now()
	shared := s.public || !w.private
	var of owner // with whose answers it is to be
	if !shared {
		of = w.of
	}
	most := c.store.heaviest(w.resource, of)
	if shelfOverhead+s.weight() > most {
		if old, _ := c.find(w, now); old != nil && !old.born.After(s.born) {
			c.takeOut(w, old)
		}
		return
	}
	var generation uint64
	current := false
	c.store.update(w.resource, w.began, now, func(old held) held {
		if w.change.Load() != w.seen {
			return old
		}
		current = true
		root, _ := old.(*shelf)
		if root == nil {
			root = &shelf{generation: rand.Uint64(), of: owner{function: vacant}}
		}
		generation = root.generation
		if shared {
			return root.with(s, w, now, most)
		}
		if !root.dropAt.Before(s.dropAt) {
			return root
		}
		lasting := *root
		lasting.dropAt = s.dropAt
		return &lasting
	})
	if !current || shared {
		return
	}
	c.store.update(w.ownKey(generation), w.began, now, func(old held) held {
		own, _ := old.(*shelf)
		if own == nil {
			own = &shelf{of: w.of}
		}
		return own.with(s, w, now, most)
	})
}

// takeOut forgets one answer to a request.
func (c *httpCache) takeOut(w *wanted, s *stored) {
	now := time.Now()
	take := func(k key) (generation uint64) {
		c.store.update(k, w.began, now, func(old held) held {
			sh, _ := old.(*shelf)
			if sh == nil {
				return nil
			}
			generation = sh.generation
			return sh.without(s)
		})
		return generation
	}
	if generation := take(w.resource); w.private {
		take(w.ownKey(generation))
	}
}
