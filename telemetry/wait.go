package telemetry

import (
	"slices"
	"time"
)

// A wait is one of the retry layer's, before an attempt that has not begun.
type wait struct {
	branch *Branch // that waits, nil for a call that has none
	lasts  time.Duration
	due    time.Time
}

// waitsLocked takes note of a wait that begins now, in place of an earlier one of the
// same branch that no attempt came after.
func (t *trouble) waitsLocked(b *Branch, d time.Duration) {
	t.takeWaitLocked(b)
	t.waited += d
	if t.pending == nil {
		t.pending = t.pendingRoom[:0]
	}
	t.pending = append(t.pending, wait{b, d, time.Now().Add(d)})
}

// takeWaitLocked returns how long the attempt of a branch waited that begins now.
func (t *trouble) takeWaitLocked(b *Branch) time.Duration {
	for i, w := range t.pending {
		if w.branch == b {
			t.pending = slices.Delete(t.pending, i, i+1)
			return w.lasts
		}
	}
	return 0
}

// stopWaitsLocked ends the waits that are still under way: what is left of them is none.
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
