package jobs

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The attributes of what is measured.
const (
	keyQueue  = attribute.Key("sparekey.queue.name")
	keyState  = attribute.Key("sparekey.job.state")
	keyEnding = attribute.Key("sparekey.job.ending")
	keyNew    = attribute.Key("sparekey.job.new")
)

// jobStates are those in which jobs are counted.
var jobStates = [...]string{"ready", "scheduled", "running", "dead"}

// A measure is what a queue is measured with: attribute sets, which cost more to make
// than to measure with. It does not change.
type measure struct {
	add     []metric.AddOption
	record  []metric.RecordOption
	observe []metric.ObserveOption

	settled [len(endingNames)][]metric.AddOption
	states  [len(jobStates)][]metric.ObserveOption
}

func newMeasure(queue string) *measure {
	name := keyQueue.String(queue)
	plain := newSet(name)
	m := &measure{add: []metric.AddOption{plain}, record: []metric.RecordOption{plain}, observe: []metric.ObserveOption{plain}}
	for i, ending := range endingNames {
		m.settled[i] = []metric.AddOption{newSet(name, keyEnding.String(ending))}
	}
	for i, state := range jobStates {
		m.states[i] = []metric.ObserveOption{newSet(name, keyState.String(state))}
	}
	return m
}

// ending returns what a delivery that ended so is counted with.
func (m *measure) ending(e Ending) []metric.AddOption {
	if int(e) >= len(m.settled) {
		e = 0
	}
	return m.settled[e]
}

func newSet(attributes ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attributes...)) //nolint:forbidigo // made once
}

// maxMeasures bounds how many queues have a measure that is kept. One more has its
// own made each time.
const maxMeasures = 512

// measures are those of queues. The zero value has none. It is safe for concurrent
// use.
type measures struct {
	mu   sync.RWMutex
	made map[string]*measure // guarded by mu
}

// of returns the measure of a queue.
func (ms *measures) of(queue string) *measure {
	ms.mu.RLock()
	m, ok := ms.made[queue]
	ms.mu.RUnlock()
	if ok {
		return m
	}
	m = newMeasure(queue)
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.made == nil {
		ms.made = make(map[string]*measure)
	}
	if len(ms.made) < maxMeasures {
		ms.made[queue] = m
	}
	return m
}
