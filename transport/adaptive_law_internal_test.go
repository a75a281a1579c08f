package transport

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// newSettled returns a bound at 100, of 10 to 1000, that knows how long answers take.
func newSettled(quickest, work float64) *adaptive {
	a := newAdaptive(policy.Adaptive{Initial: 100, Min: 10, Max: 1000, Tolerance: 2.5})
	a.quickest, a.work = quickest, work
	return a
}

// Until something tells how much is too much, each prompt answer lifts the bound by one
// if four in five of it were in use, from the first on.
func TestAdaptiveLifts(t *testing.T) {
	const work = 0.1
	tests := []struct {
		name           string
		bound, ceiling float64
		took           time.Duration
		inFlight       int
		want           float64
	}{
		{"in use", 100, math.Inf(1), 100 * time.Millisecond, 80, 101},
		{"not in use", 100, math.Inf(1), 100 * time.Millisecond, 79, 100},
		{"as long as is tolerated", 100, math.Inf(1), 250 * time.Millisecond, 100, 101},
		{"longer", 100, math.Inf(1), 250*time.Millisecond + 1, 100, 100},
		{"up to the ceiling", 100, 100.5, 0, 100, 100.5},
		{"at the ceiling", 100, 100, 0, 100, 100},
		{"above the ceiling", 100, 50, 0, 100, 100},
		{"up to the maximum", 999.5, math.Inf(1), 0, 1000, 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, now := newSettled(work, work), time.Now()
			a.bound, a.ceiling = tt.bound, tt.ceiling
			a.answered(now.Add(-tt.took), now, tt.inFlight)
			assert.Equal(t, tt.want, a.bound)
		})
	}
	cold, now := newSettled(0, 0), time.Now()
	cold.answered(now.Add(-time.Hour), now, 80)
	assert.Equal(t, 101.0, cold.bound, "nobody knows what is long")
}

// Five answers or more that take as long as the work does make a window, by which the bound
// moves. Those to requests from before the last fall are not among them.
func TestAdaptiveWindows(t *testing.T) {
	a, start := newSettled(0, 0), time.Now()
	answer := func(at, took time.Duration) {
		a.answered(start.Add(at-took), start.Add(at), 1)
	}
	const s = time.Second
	for _, took := range []time.Duration{30 * s, 10 * s, 20 * s, 40 * s} {
		answer(0, took)
		assert.Zero(t, a.quickest)
	}
	answer(0, 50*s)
	assert.Equal(t, 10.0, a.quickest, "the quickest of the first window")
	assert.Equal(t, 30.0, a.work, "the average of it")

	bound := a.bound
	for range 20 {
		answer(30*s-1, 30*s)
	}
	assert.Equal(t, bound, a.bound, "the window is shorter than the work")
	answer(30*s, 30*s)
	assert.Equal(t, window{start: start.Add(30 * s)}, a.window)
	assert.Equal(t, 0.9*bound, a.bound, "it is not needed")

	a.lastFall = start.Add(time.Hour)
	for range 100 {
		answer(time.Hour+30*s-1, 30*s)
	}
	assert.Zero(t, a.window.count)
	answer(time.Hour+30*s, 30*s)
	assert.Equal(t, 1, a.window.count)
}

// What counts of a window is the most that were in flight, whoever was answered last.
func TestAdaptivePeakOfAWindow(t *testing.T) {
	a, now := newSettled(0.1, 0.1), time.Now()
	a.ceiling = a.bound
	for _, inFlight := range []int{50, 80, 50, 50, 50} {
		a.answered(now.Add(-100*time.Millisecond), now, inFlight)
	}
	assert.Equal(t, 102.0, a.bound)
}

// What a window tells of the work and of the delay, if the quickest answers took 10 and
// the work 30 milliseconds before.
func TestAdaptiveLearns(t *testing.T) {
	tests := []struct {
		name                  string
		least, average        float64
		peak                  int
		quickest, work, delay float64
	}{
		{"as before", 10, 30, 100, 10, 30, 0},
		{"quicker", 5, 20, 100, 9, 29, 0},
		{"slower, the bound in use", 20, 60, 80, 10, 32, 10},
		{"slower, the bound not in use", 20, 60, 79, 10.5, 32.05, 9.5},
		{"more work", 10, 130, 100, 10, 40, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newSettled(10, 30)
			delay := a.learn(window{count: 7, sum: 7 * tt.average, least: tt.least, peak: tt.peak})
			assert.InDelta(t, tt.delay, delay, 1e-9, "delay")
			assert.InDelta(t, tt.quickest, a.quickest, 1e-9, "quickest")
			assert.InDelta(t, tt.work, a.work, 1e-9, "work")
		})
	}
}

// A window without delay lifts a bound that is at its ceiling and in use, by one or by its
// decimal logarithm, and lowers one that is above 20 and above four times its use to the
// greater of these, by a tenth at most.
func TestAdaptiveRises(t *testing.T) {
	const far = 1e6 // a ceiling beyond reach
	tests := []struct {
		name           string
		bound, ceiling float64
		peak           int
		want           float64
	}{
		{"in use", 100, 100, 80, 102},
		{"in use, small", 5, 5, 4, 6},
		{"in use, above the ceiling", 100, 50, 80, 102},
		{"in use, below the ceiling", 100, 100.5, 100, 100},
		{"up to the maximum", 999, 999, 1000, 1000},
		{"not in use", 100, 100, 79, 100},
		{"a quarter in use", 100, far, 25, 100},
		{"less", 100, far, 24, 96},
		{"much less", 100, far, 1, 90},
		{"not needed, but always left", 22, far, 1, 20},
		{"always left", 20, far, 1, 20},
		{"less than that", 15, far, 1, 15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newSettled(0.1, 0.1)
			a.bound, a.ceiling = tt.bound, tt.ceiling
			a.rise(tt.peak)
			assert.InDelta(t, tt.want, a.bound, 1e-9)
		})
	}
	a := newSettled(0.1, 0.1)
	a.min = 95
	a.rise(1)
	assert.Equal(t, 95.0, a.bound, "not below the minimum")
}

// A window with more delay than is tolerated lowers the bound by what it is too much, by a
// fifth at most; only by windows does it rise from there.
func TestAdaptiveFalls(t *testing.T) {
	tests := []struct {
		name  string
		took  float64 // answers without delay take 0.1
		min   float64
		peak  int
		want  float64
		falls bool
	}{
		{"as long as is tolerated", 0.25, 10, 80, 100, false},
		{"longer", 0.2778, 10, 80, 90, true},
		{"much longer", 0.3125, 10, 80, 80, true},
		{"ever so long", 1000, 10, 80, 80, true},
		{"more in flight than the bound", 1000, 10, 120, 80, true},
		{"to the minimum", 1000, 85, 80, 85, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, now := newSettled(0.1, 0.1), time.Now()
			a.min, a.collapsed = tt.min, true
			if !tt.falls {
				a.episode.bound = 100 // it has fallen before
			}
			a.move(window{count: 5, sum: 5 * tt.took, least: tt.took, peak: tt.peak}, now)
			assert.InDelta(t, tt.want, a.bound, 0.01)
			assert.False(t, a.collapsed)
			if !tt.falls {
				assert.Zero(t, a.lastFall)
				assert.Zero(t, a.episode)
				return
			}
			assert.Equal(t, now, a.lastFall)
			assert.Equal(t, a.bound, a.ceiling)
			assert.Equal(t, episode{bound: 100, use: min(100, float64(tt.peak)), delay: tt.took - 0.1}, a.episode)
		})
	}
}

// A bound that has fallen to half of what was in use, while more than four fifths of the
// delay are left, was not the cause: the server has become slower. The bound goes back
// to where it was, and what is work is measured anew; but not before 20 times as long as
// answers take have passed since a timeout or a 429.
func TestAdaptiveFallsInVain(t *testing.T) {
	tests := []struct {
		name   string
		use    float64 // when the fall began at 100
		bound  float64
		delay  float64 // 2 when the fall began
		cutAgo time.Duration
		want   float64
	}{
		{"in vain", 80, 40, 1.61, time.Hour, 100},
		{"it has helped", 80, 40, 1.6, time.Hour, 32},
		{"it may still help", 80, 40.1, 2, time.Hour, 32.08},
		{"below half", 80, 39, 2, time.Hour, 100},
		{"at the minimum, above half", 15, 10, 2, time.Hour, 100},
		{"soon after a timeout", 80, 40, 2, 60 * time.Second, 32},
		{"later", 80, 40, 2, 60*time.Second + 1, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, now := newSettled(0.1, 0.1), time.Now()
			began := episode{bound: 100, use: tt.use, delay: 2}
			a.bound, a.episode, a.lastCut = tt.bound, began, now.Add(-tt.cutAgo)
			a.fall(window{count: 5, sum: 15, least: 2.5, peak: 40}, tt.delay, now)
			assert.InDelta(t, tt.want, a.bound, 1e-9)
			switch {
			case tt.want == 100:
				assert.Equal(t, 2.5, a.quickest)
				assert.Equal(t, 3.0, a.work)
				assert.Equal(t, 400.0, a.ceiling, "prompt answers lift it at once")
				assert.Zero(t, a.episode)
				assert.Zero(t, a.lastFall)
			case tt.bound > tt.use/2:
				assert.Equal(t, began, a.episode)
			default:
				assert.Equal(t, episode{bound: tt.bound, use: tt.bound, delay: tt.delay}, a.episode, "another begins")
			}
		})
	}
}

// A timeout halves the bound and a 429 takes 30 %, once for all requests that were under
// way, down to the minimum. A timeout sooner than the work takes says nothing.
func TestAdaptiveCutsOnce(t *testing.T) {
	const work = 100 * time.Millisecond
	tests := []struct {
		name      string
		throttled bool
		took      time.Duration
		bound     float64
		want      float64
		ceiling   float64
	}{
		{"timeout", false, time.Second, 100, 50, 50},
		{"timeout after as long as the work takes", false, work, 100, 50, 50},
		{"timeout sooner", false, work - 1, 100, 100, math.Inf(1)},
		{"timeout near the minimum", false, time.Second, 15, 10, 10},
		{"429", true, time.Second, 100, 70, 70},
		{"429 at once", true, 0, 100, 70, 70},
		{"429 near the minimum", true, 0, 11, 10, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, now := newSettled(0.1, work.Seconds()), time.Now()
			a.bound = tt.bound
			cut := a.timedOut
			if tt.throttled {
				cut = a.throttled
			}
			a.window.add(1)
			a.episode.bound = 1
			cut(now.Add(-tt.took), now)
			assert.InDelta(t, tt.want, a.bound, 1e-9)
			assert.Equal(t, tt.ceiling, a.ceiling)
			if tt.want == tt.bound {
				assert.Equal(t, 1, a.window.count)
				return
			}
			assert.Equal(t, window{start: now}, a.window)
			assert.Equal(t, now, a.lastFall, "answers to requests from before do not count")
			assert.Zero(t, a.episode)
			cut(now.Add(-1), now.Add(time.Hour))
			assert.InDelta(t, tt.want, a.bound, 1e-9, "again, of a request from before")
			cut(now, now.Add(time.Hour))
			assert.InDelta(t, max(10, tt.want*tt.want/tt.bound), a.bound, 1e-9, "again, of another")
		})
	}
}
