package predictions

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWilson(t *testing.T) {
	tests := []struct {
		k, n      int
		low, high float64 // as tables have them
	}{
		{0, 0, 0, 1},
		{0, 10, 0, 0.2775},
		{10, 10, 0.7225, 1},
		{8, 10, 0.4902, 0.9433},
		{500, 1000, 0.4691, 0.5309},
	}
	for _, tt := range tests {
		low, high := Wilson(tt.k, tt.n)
		assert.InDelta(t, tt.low, low, 5e-5, "%d of %d", tt.k, tt.n)
		assert.InDelta(t, tt.high, high, 5e-5, "%d of %d", tt.k, tt.n)
	}
}

func TestPSI(t *testing.T) {
	assert.Zero(t, psi([][2]int{{7, 7}, {3, 3}}), "the same")
	q, p := 10.5/21, 5.5/21 // ten and ten, then five and fifteen
	want := (p-q)*math.Log(p/q) + (q-p)*math.Log((1-p)/(1-q))
	assert.InDelta(t, want, psi([][2]int{{10, 5}, {10, 15}}), 1e-12)
	assert.False(t, math.IsInf(psi([][2]int{{10, 0}, {0, 10}}), 0), "what is gone has a logarithm")
}

func TestNewID(t *testing.T) {
	at := time.UnixMilli(0x0123456789ab)
	id := newID(at)
	assert.Regexp(t, "^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", id)
	assert.Less(t, id, newID(at.Add(time.Millisecond)), "later ids are greater")
	assert.NotEqual(t, id, newID(at))
}

func TestPeriod(t *testing.T) {
	scope := Scope{Step: 24 * time.Hour, From: time.UnixMicro(5)}
	start, from, to := scope.period(6)
	assert.True(t, start.Equal(time.Unix(0, 0)))
	assert.Equal(t, [2]int64{5, 86_400_000_000}, [2]int64{from, to})
	scope.From = time.Time{}
	start, from, _ = scope.period(-1)
	assert.True(t, start.Equal(time.Unix(-86_400, 0)), "before 1970, too")
	assert.Equal(t, int64(-86_400_000_000), from)
}

// However many truths are set at once, they take few locks, which are those of each by
// itself, in one order.
func TestLockKeys(t *testing.T) {
	var subjects []subject
	for i := range 10_000 {
		subjects = append(subjects, subject{"f", strconv.Itoa(i)})
	}
	keys := lockKeys(subjects)
	assert.Len(t, keys, maxLocks)
	assert.IsIncreasing(t, keys)
	for _, about := range subjects[:100] {
		assert.Subset(t, keys, lockKeys([]subject{about}))
	}
}
