package pin

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// Records keeps comparisons until they are summed up. It must be safe for
// concurrent use.
type Records interface {
	// Add keeps a comparison.
	Add(ctx context.Context, c Comparison) error

	// SetTruth tells the true label of the inputs of a function that have the ID,
	// which must not be "". It reports how many comparisons that concerned; it may be
	// told again, and the last label holds.
	SetTruth(ctx context.Context, function, id, label string) (int, error)

	// Of returns the comparisons of a pair, the oldest first. It ends after an error.
	Of(ctx context.Context, pair Pair) iter.Seq2[Comparison, error]
}

// A Memory keeps the latest comparisons in memory. It implements [Records].
type Memory struct {
	max int

	mu      sync.Mutex
	kept    []Comparison // guarded by mu; a ring once it is full
	next    int          // guarded by mu: where the next one goes
	dropped int          // guarded by mu
}

// NewMemory returns a Memory of at most max comparisons; zero means 10,000. It
// panics if max is negative.
func NewMemory(max int) *Memory {
	if max < 0 {
		panic(fmt.Sprintf("pin: NewMemory of %d, want at least 0", max))
	}
	return &Memory{max: cmp.Or(max, 10_000)}
}

// Add implements [Records]. It drops the oldest comparison if there is no room.
func (m *Memory) Add(_ context.Context, c Comparison) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) < m.max {
		m.kept = append(m.kept, c)
		return nil
	}
	m.kept[m.next] = c
	m.next = (m.next + 1) % m.max
	m.dropped++
	return nil
}

// SetTruth implements [Records].
func (m *Memory) SetTruth(_ context.Context, function, id, label string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for i := range m.kept {
		if c := &m.kept[i]; id != "" && c.ID == id && c.Function == function {
			c.Truth = label
			n++
		}
	}
	return n, nil
}

// Of implements [Records]. It shows what there is when it begins.
func (m *Memory) Of(_ context.Context, pair Pair) iter.Seq2[Comparison, error] {
	return func(yield func(Comparison, error) bool) {
		m.mu.Lock()
		all := slices.Concat(m.kept[m.next:], m.kept[:m.next])
		m.mu.Unlock()
		for _, c := range all {
			if c.Pair == pair && !yield(c, nil) {
				return
			}
		}
	}
}

// Dropped returns how many comparisons made room for others.
func (m *Memory) Dropped() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

// CompareRecords sums up the records of a pair.
func CompareRecords(ctx context.Context, records Records, pair Pair) (Report, error) {
	var failed error
	report := Compare(pair, func(yield func(Comparison) bool) {
		for c, err := range records.Of(ctx, pair) {
			if failed = err; err != nil || !yield(c) {
				return
			}
		}
	})
	if failed != nil {
		return Report{}, fmt.Errorf("pin: read the comparisons: %w", failed)
	}
	return report, nil
}
