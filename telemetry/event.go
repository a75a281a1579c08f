package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// An Event is something an operator should know of.
type Event struct {
	// At is when it happened. [Events.Add] fills in a zero time.
	At time.Time

	// Function is the name of the function that it is about. May be "".
	Function string

	// Kind is what it is about: "breaker", "call", "config" or "action".
	Kind string

	// Text says what happened, in one line. It holds nothing of a request.
	Text string
}

// keptEvents is how many events are kept.
const keptEvents = 50

// Events keeps the last 50 events. Its zero value has none. It is safe for concurrent
// use; all methods work on a nil Events, which keeps none.
type Events struct {
	mu   sync.Mutex
	last []Event // the oldest first; guarded by mu

	failed map[failure]time.Time // when an event last told of each; guarded by mu
}

// A failure is what events about failing calls are limited by.
type failure struct {
	function string
	class    policy.Class
}

// Add adds an event, in the place of the oldest if there are 50. One without a time
// happened now.
func (e *Events) Add(event Event) {
	if e == nil {
		return
	}
	if event.At.IsZero() {
		event.At = time.Now()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.last) == keptEvents {
		e.last = slices.Delete(e.last, 0, 1)
	}
	e.last = append(e.last, event)
}

// Last returns the events, the newest first.
func (e *Events) Last() []Event {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	last := slices.Clone(e.last)
	slices.Reverse(last)
	return last
}

// Failed adds an event about calls that fail, and will until somebody does something
// about it. Of a function and a class, there is one event a minute at most.
func (e *Events) Failed(function string, class policy.Class) {
	if e == nil {
		return
	}
	now, what := time.Now(), failure{function, class}
	e.mu.Lock()
	again := now.Sub(e.failed[what]) < time.Minute
	if !again {
		if e.failed == nil || len(e.failed) >= maxWarned {
			e.failed = make(map[failure]time.Time)
		}
		e.failed[what] = now
	}
	e.mu.Unlock()
	if !again {
		e.Add(Event{At: now, Function: function, Kind: "call", Text: "calls fail: " + class.String()})
	}
}

// Newest sorts the events of several sources, the newest first, and returns the first
// 50, in the memory of events.
func Newest(events []Event) []Event {
	slices.SortStableFunc(events, func(a, b Event) int { return b.At.Compare(a.At) })
	return events[:min(len(events), keptEvents)]
}

// Changed adds a change of a breaker's state.
func (e *Events) Changed(function string, tr policy.Transition) {
	text := tr.Name + ": " + tr.From.String() + " to " + tr.To.String()
	if tr.MetricsOnly {
		text = tr.Name + ": refuses nobody"
	}
	if tr.Trigger != "" {
		text += ", by " + string(tr.Trigger)
	}
	if tr.Reason != "" {
		text += " (" + tr.Reason + ")"
	}
	e.Add(Event{At: tr.At, Function: function, Kind: "breaker", Text: text})
}
