package transport

import (
	"slices"
	"time"
)

// A waiter is a request that waits at a gate.
type waiter struct {
	priority  int
	patience  time.Duration // how long it waits at most
	ready     chan error    // gets nil when it is let in, or a refusal; holds one
	admission               // set when it is let in
}

// waitlist is the queue of a gate: the higher priority first, within one
// priority in the order of arrival. Its zero value is empty.
type waitlist struct{ waiters []*waiter }

func (l *waitlist) len() int { return len(l.waiters) }

// before returns how many would be let in before a newcomer of that priority.
func (l *waitlist) before(priority int) int {
	n, _ := slices.BinarySearchFunc(l.waiters, priority, func(w *waiter, priority int) int {
		if w.priority >= priority {
			return -1
		}
		return 1
	})
	return n
}

func (l *waitlist) add(w *waiter) {
	l.waiters = slices.Insert(l.waiters, l.before(w.priority), w)
}

// last returns the youngest of the lowest priority. Somebody must be waiting.
func (l *waitlist) last() *waiter { return l.waiters[len(l.waiters)-1] }

func (l *waitlist) pop() *waiter {
	w := l.waiters[0]
	l.waiters = slices.Delete(l.waiters, 0, 1)
	return w
}

// remove takes a waiter out and reports whether it was still there.
func (l *waitlist) remove(w *waiter) bool {
	i := slices.Index(l.waiters, w)
	if i < 0 {
		return false
	}
	l.waiters = slices.Delete(l.waiters, i, i+1)
	return true
}
