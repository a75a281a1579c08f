package cache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestMemoJitter(t *testing.T) {
	tests := []struct {
		jitter, random float64
		pinned         bool
		want           time.Duration
	}{
		{0, 0, false, 90 * time.Second}, // 0.1 by default
		{0, 0.5, false, 100 * time.Second},
		{0, 0.75, false, 105 * time.Second},
		{0.5, 0, false, 50 * time.Second},
		{0.5, 0, true, 500 * time.Second},
		{-1, 0, false, 100 * time.Second},
		{-1, 0.999, false, 100 * time.Second},
	}
	for _, tt := range tests {
		m := NewMemo(PredictionsConfig{Cache: policy.Cache{TTL: 100 * time.Second, PinnedTTL: 1000 * time.Second, Jitter: tt.jitter}})
		m.random = func() float64 { return tt.random }
		assert.Equal(t, tt.want, m.lifetime(tt.pinned), "jitter %v at %v", tt.jitter, tt.random)
	}
}
