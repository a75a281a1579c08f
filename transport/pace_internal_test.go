package transport

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// newUsedUp returns a pace whose tokens are never enough, so that all time counts.
func newUsedUp(perSecond float64) *pace {
	p := newPace(perSecond, 1)
	p.tokens = -1e9
	return p
}

// The rate after a complaint at 100 a second, by the share x of the climb that has passed:
// 100 - 30 (1-x)³, and beyond the climb 100 + 100 (x-1)³.
func TestPaceClimbs(t *testing.T) {
	tests := []struct{ passed, want float64 }{
		{0, 70},
		{0.25, 87.34375},
		{0.5, 96.25},
		{0.75, 99.53125},
		{1, 100},
		{1.25, 101.5625},
		{1.5, 112.5},
		{2, 200},
		{2.5, 437.5},
		{3, 500}, // what is allowed
		{1e6, 500},
	}
	for _, tt := range tests {
		p, start := newUsedUp(100), time.Now()
		p.slowDown(start, start, 0)
		p.change(500, 1, start)
		assert.InDelta(t, tt.want, p.rate(start.Add(time.Duration(tt.passed*float64(leastTime)))), 1e-6, "after %g climbs", tt.passed)
	}
}

// How long a climb takes, by the rate at the complaint and the time that it took to come.
func TestPaceTimeOfAClimb(t *testing.T) {
	tests := []struct {
		perSecond float64
		trip      time.Duration
		want      time.Duration
	}{
		{1000, 0, 10 * time.Second},
		{20, 0, 10 * time.Second},
		{10, 0, 20 * time.Second}, // of 200 requests
		{4, 0, 50 * time.Second},
		{2, 0, time.Minute},
		{1000, 200 * time.Millisecond, 10 * time.Second},
		{1000, 400 * time.Millisecond, 20 * time.Second}, // of 50, one after the other
		{1000, 1100 * time.Millisecond, 55 * time.Second},
		{1000, time.Hour, time.Minute},
		{10, 300 * time.Millisecond, 20 * time.Second}, // the longer of both
		{10, 500 * time.Millisecond, 25 * time.Second},
	}
	for _, tt := range tests {
		p, start := newUsedUp(tt.perSecond), time.Now()
		p.slowDown(start.Add(-tt.trip), start, 0)
		assert.InDelta(t, 0.9625*tt.perSecond, p.rate(start.Add(tt.want/2)), 1e-6*tt.perSecond, "halfway, at %g/s after %v", tt.perSecond, tt.trip)
		assert.InDelta(t, 1.0, p.climbed(start.Add(tt.want)), 1e-9, "at %g/s after %v", tt.perSecond, tt.trip)
	}
}

// What another complaint leaves of the rate depends on when it comes, and on whether it is
// about a request that was sent since the last.
func TestPaceComplaints(t *testing.T) {
	tests := []struct {
		name        string
		began, came time.Duration // since the complaint before; the climb takes 10 s
		leaves      float64
	}{
		{"in the first half of a climb", 0, 4 * time.Second, 0.7},
		{"in the middle", 0, 5 * time.Second, 0.7},
		{"in the second half", 0, 5*time.Second + 1, 0.9},
		{"beyond the climb", 15 * time.Second, 15 * time.Second, 0.9},
		{"about an earlier request", -1, 4 * time.Second, 1},
		{"about an earlier request, late", -1, 9 * time.Second, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, start := newUsedUp(100), time.Now()
			p.slowDown(start, start, 0)
			p.change(1000, 1, start)
			came := start.Add(tt.came)
			before := p.rate(came)
			p.slowDown(start.Add(tt.began), came, 0)
			assert.InDelta(t, tt.leaves*before, p.rate(came), 1e-9)
		})
	}
}

// Complaints leave half a request a second, or a twentieth of a rate that is below ten.
func TestPaceSlowest(t *testing.T) {
	for perSecond, want := range map[float64]float64{1000: 0.5, 20: 0.5, 10: 0.5, 8: 0.4, 1: 0.05, 1e-3: 5e-5} {
		p, now := newUsedUp(perSecond), time.Now()
		for range 100 {
			p.slowDown(now, now, 0)
			assert.GreaterOrEqual(t, p.rate(now), want)
		}
		assert.InDelta(t, want, p.rate(now), 1e-9*perSecond, "of %g/s", perSecond)
	}
}

// A complaint takes away what was saved up, and whoever comes next waits for the pause
// that the server asked for, a minute at most, and for a token.
func TestPacePauses(t *testing.T) {
	const token = time.Second/70 + 1 // at 70 a second, rounded up
	tests := []struct {
		asked []time.Duration // one after the other
		want  time.Duration
	}{
		{[]time.Duration{0}, 0},
		{[]time.Duration{-time.Second}, 0},
		{[]time.Duration{time.Second}, time.Second},
		{[]time.Duration{time.Minute}, time.Minute},
		{[]time.Duration{time.Minute + 1}, time.Minute},
		{[]time.Duration{1 << 62}, time.Minute},
		{[]time.Duration{time.Second, 3 * time.Second}, 3 * time.Second},
		{[]time.Duration{3 * time.Second, time.Second, 0}, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.asked), func(t *testing.T) {
			p, now := newPace(100, 50), time.Now()
			assert.Zero(t, p.after(now, 49))
			for _, wait := range tt.asked {
				p.slowDown(now.Add(-1), now, wait) // sent before the first
			}
			assert.Equal(t, tt.want+token, p.after(now, 0))
			resumed := now.Add(tt.want)
			assert.InDelta(t, 70, p.rate(resumed), 1e-9, "it climbs only then")
			assert.Equal(t, token, p.after(resumed, 0))
			assert.Zero(t, p.after(resumed.Add(token), 0))
		})
	}
}

// What was saved up since a complaint waits for the pause, too, that a late answer to a
// request from before it asks for.
func TestPacePausesWithTokens(t *testing.T) {
	p, now := newPace(100, 50), time.Now()
	p.slowDown(now, now, 0)
	later := now.Add(time.Second)
	assert.Zero(t, p.after(later, 9))
	p.slowDown(now.Add(-1), later, 3*time.Second)
	assert.Equal(t, 3*time.Second, p.after(later, 9))
	assert.Zero(t, p.after(later.Add(3*time.Second), 9))
}

// Another rate counts from then on: what came in before came in at the earlier one.
func TestPaceChanges(t *testing.T) {
	p, now := newPace(10, 100), time.Now()
	assert.Zero(t, p.after(now, 99))
	for range 100 {
		p.take()
	}
	later := now.Add(time.Second)
	p.change(1000, 100, later)
	assert.Zero(t, p.after(later, 9))
	assert.Equal(t, time.Millisecond, p.after(later, 10))
}
