package telemetry

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// labels are what a measurement is made with. Those that are zero are left out.
// They must come from bounded sets.
type labels struct {
	function string
	status   int
	more     [3]label
}

type label struct {
	key   attribute.Key
	value string
}

func (l labels) attributes() []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 2+len(l.more))
	if l.function != "" {
		attributes = append(attributes, keyFunction.String(l.function))
	}
	if l.status != 0 {
		attributes = append(attributes, keyStatus.Int(l.status))
	}
	for _, m := range l.more {
		if m.value != "" {
			attributes = append(attributes, m.key.String(m.value))
		}
	}
	return attributes
}

// A counter is an instrument that adds, and what it has added with.
type counter struct {
	metric.Int64Counter
	sets
}

func (c *counter) count(ctx context.Context, l labels) {
	if c.Enabled(ctx) {
		c.Add(ctx, 1, c.of(l).add...)
	}
}

// A histogram is an instrument that records durations in seconds, and what it has
// recorded with.
type histogram struct {
	metric.Float64Histogram
	sets
}

// maxSets bounds how many attribute sets an instrument remembers: as many as
// OpenTelemetry's SDK keeps series of it. What exceeds it is made anew each time.
const maxSets = 2000

// A memo remembers what was made of labels, since to make an attribute set costs
// more than to record with it. Its zero value is empty. It is safe for concurrent use.
type memo[K comparable, V any] struct {
	mu   sync.RWMutex
	made map[K]V // guarded by mu
}

// of returns what makes returned for l, an earlier time if it is remembered.
func (m *memo[K, V]) of(l K, makes func(K) V) V {
	m.mu.RLock()
	found, ok := m.made[l]
	m.mu.RUnlock()
	if ok {
		return found
	}
	found = makes(l)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made == nil {
		m.made = make(map[K]V)
	}
	if len(m.made) < maxSets {
		m.made[l] = found
	}
	return found
}

// sets remembers the attribute sets of labels. Its zero value is empty. It is safe for
// concurrent use.
type sets struct {
	last atomic.Pointer[set] // most calls end like the one before
	made memo[labels, *set]
}

// A set is what labels come to, as options. It does not change.
type set struct {
	labels labels
	add    []metric.AddOption
	record []metric.RecordOption
}

// of returns the options to measure with. They must not be changed.
func (s *sets) of(l labels) *set {
	if last := s.last.Load(); last != nil && last.labels == l {
		return last
	}
	found := s.made.of(l, newSet)
	s.last.Store(found)
	return found
}

func newSet(l labels) *set {
	option := metric.WithAttributeSet(attribute.NewSet(l.attributes()...)) //nolint:forbidigo // made once
	return &set{labels: l, add: []metric.AddOption{option}, record: []metric.RecordOption{option}}
}
