package cache

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// A store tells of what it drops those who still look for similar questions, and
// nobody else, however often the settings change.
func TestMemoWithWatchesOnce(t *testing.T) {
	with := func(target float64) PredictionsConfig {
		return PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{Target: target}}}
	}
	watchers := func(m *Memo) int { return len(*m.store.watchers.all.Load()) }
	first := NewMemo(with(0.9))
	require.Equal(t, 1, watchers(first))

	same := first.With(with(0.9))
	assert.Same(t, first.alike.similar, same.alike.similar, "what was found out is kept")
	assert.Equal(t, 1, watchers(same))

	other := same.With(with(0.8))
	assert.NotSame(t, same.alike.similar, other.alike.similar, "it was found out for another target")
	assert.InDelta(t, 0.8, other.alike.similar.cfg.Target, 0)
	assert.Equal(t, 1, watchers(other))

	none := other.With(PredictionsConfig{})
	assert.Nil(t, none.alike)
	assert.Zero(t, watchers(none))
	assert.Equal(t, 1, watchers(none.With(with(0.9))))
}

// A store that was given to a Memo tells nobody of whom another has taken the place.
func TestMemoWithLeavesAStore(t *testing.T) {
	store, others := NewStore(StoreConfig{}), NewStore(StoreConfig{})
	with := func(store *Store) PredictionsConfig {
		return PredictionsConfig{Store: store, Cache: policy.Cache{Similar: &policy.Similar{}}}
	}
	watchers := func(s *Store) int { return len(*s.watchers.all.Load()) }
	m := NewMemo(with(store))
	NewMemo(with(store)) // is told on
	for range 3 {
		m = m.With(with(store))
		assert.Equal(t, 2, watchers(store))
	}
	m = m.With(with(others))
	assert.Equal(t, 1, watchers(store))
	assert.Equal(t, 1, watchers(others))
	m = m.With(with(nil))
	assert.Zero(t, watchers(others))
	own := m.store
	require.Equal(t, 1, watchers(own))
	m.With(with(others))
	assert.Zero(t, watchers(own))
}

// Another codec counts from the next answer on.
func TestMemoWithAnotherCodec(t *testing.T) {
	type own struct{ policy.Classification }
	cfg := PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}}
	m := NewMemo(cfg)
	assert.Equal(t, policy.Classification{}, m.alike.codec)
	cfg.Codec = own{}
	m = m.With(cfg)
	assert.Equal(t, own{}, m.alike.codec)
	cfg.Codec = nil
	assert.Equal(t, policy.Classification{}, m.With(cfg).alike.codec)
}
