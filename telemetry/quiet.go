package telemetry

import (
	"sync"
	"time"
)

const (
	// quietFor is how long there is no other warning about one function.
	quietFor = 10 * time.Second

	// maxQuiet bounds how many functions are told apart.
	maxQuiet = 1024
)

// quiet keeps warnings from coming one per call: the first comes at once, and then
// one in quietFor at most, with how many there would have been. Its zero value is
// ready to use. It is safe for concurrent use.
type quiet struct {
	mu   sync.Mutex
	last map[string]*warned // by function; guarded by mu
}

type warned struct {
	at    time.Time
	since int // events that no warning told of yet
}

// tell takes note of an event, and reports whether to warn of it: then since is how
// many it was since the last warning, this one included.
func (q *quiet) tell(function string, now time.Time) (since int, due bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.last[function]
	if w == nil {
		if q.last == nil || len(q.last) >= maxQuiet {
			q.last = make(map[string]*warned)
		}
		w = &warned{}
		q.last[function] = w
	}
	w.since++
	if !w.at.IsZero() && now.Sub(w.at) < quietFor {
		return 0, false
	}
	since, w.at, w.since = w.since, now, 0
	return since, true
}
