package telemetry

import (
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// labels are what a duration is recorded with. Those that are zero are left out.
type labels struct {
	function  string
	source    Source
	kind      string
	status    int
	errorType string
}

func (l labels) attributes() []attribute.KeyValue {
	attributes := functionAttributes(l.function)
	if l.source != "" {
		attributes = append(attributes, keySource.String(string(l.source)))
	}
	if l.kind != "" {
		attributes = append(attributes, keyKind.String(l.kind))
	}
	if l.status != 0 {
		attributes = append(attributes, keyStatus.Int(l.status))
	}
	if l.errorType != "" {
		attributes = append(attributes, keyErrorType.String(l.errorType))
	}
	return attributes
}

// maxSets bounds how many attribute sets a recorder remembers. What exceeds it is
// made anew each time.
const maxSets = 512

// sets remembers the attribute sets of labels, since to make one costs more than
// to record with it. Its zero value is empty. It is safe for concurrent use.
type sets struct {
	last atomic.Pointer[set] // most calls end like the one before

	mu   sync.RWMutex
	made map[labels]*set // guarded by mu
}

// A set is what labels come to. It does not change.
type set struct {
	labels  labels
	options []metric.RecordOption
}

// of returns the options to record with. They must not be changed.
func (s *sets) of(l labels) []metric.RecordOption {
	if last := s.last.Load(); last != nil && last.labels == l {
		return last.options
	}
	found := s.find(l)
	s.last.Store(found)
	return found.options
}

func (s *sets) find(l labels) *set {
	s.mu.RLock()
	found, ok := s.made[l]
	s.mu.RUnlock()
	if ok {
		return found
	}
	found = &set{l, []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(l.attributes()...))}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = map[labels]*set{}
	}
	if len(s.made) < maxSets {
		s.made[l] = found
	}
	return found
}
