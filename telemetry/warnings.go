package telemetry

import (
	"sync"
	"time"
)

const (
	// warningInterval is how long there is no second warning about a function.
	warningInterval = 10 * time.Second

	// maxWarned bounds how many functions are remembered, in [Events] how many of their
	// failures; then all are forgotten.
	maxWarned = 1024
)

// warnings limits how often there is one: about each function the first comes at once,
// and then at most one in warningInterval, which says how many events it stands for. Its
// zero value is ready to use. It is safe for concurrent use.
type warnings struct {
	mu         sync.Mutex
	byFunction map[string]*warned // guarded by mu
}

type warned struct {
	at    time.Time
	since int // events that no warning told of yet
}

// due counts an event and reports whether to warn of it. Since is how many events there
// were since the last warning then, this one included.
func (w *warnings) due(function string, now time.Time) (since int, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.byFunction[function]
	if last == nil {
		if w.byFunction == nil || len(w.byFunction) >= maxWarned {
			w.byFunction = make(map[string]*warned)
		}
		last = &warned{}
		w.byFunction[function] = last
	}
	last.since++
	if now.Sub(last.at) < warningInterval { // the zero time is long ago
		return 0, false
	}
	since, last.at, last.since = last.since, now, 0
	return since, true
}
