package telemetry

import (
	"slices"
	"time"
)

// A wait is one of the retry layer's before an attempt that has not begun.
type wait struct {
	branch *Branch // the one that waits, nil for a call without branches
	lasts  time.Duration
	due    time.Time // its end
}

// waitsLocked notes a wait that begins now. It takes the place of an earlier one of the
// same branch after which no attempt was made.
func (t *trouble) waitsLocked(b *Branch, d time.Duration) {
	t.takeWaitLocked(b)
	t.waited += d
	if t.pending == nil {
		t.pending = t.pendingRoom[:0]
	}
	t.pending = append(t.pending, wait{b, d, time.Now().Add(d)})
}

// takeWaitLocked returns how long a branch waited whose next attempt begins now, and
// forgets that wait.
func (t *trouble) takeWaitLocked(b *Branch) time.Duration {
	for i, w := range t.pending {
		if w.branch == b {
			t.pending = slices.Delete(t.pending, i, i+1)
			return w.lasts
		}
	}
	return 0
}

// stopWaitsLocked ends the waits that are still under way. What is left of them does not
// count as waited.
func (t *Trail) stopWaitsLocked(now time.Time) {
	met := t.troubles
	if met == nil {
		return
	}
	for _, w := range met.pending {
		met.waited -= max(0, w.due.Sub(now))
	}
	met.pending = nil
}
