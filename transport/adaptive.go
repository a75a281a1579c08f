package transport

import (
	"math"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// adaptive is a bound on the requests in flight that finds its own height. It
// compares how long the quickest answers take with how long they take at best:
// a queue delays them all, while some are slow by nature. By Little's law a queue at the server that is ours shrinks when the bound falls; if the
// answers stay slow all the same, the server has become slower, and what is
// best is measured anew. A timeout hides how long the answer would have taken,
// so it counts by itself, and halves the bound.
//
// It is not safe for concurrent use.
type adaptive struct {
	min, max  float64
	tolerance float64

	bound   float64
	ceiling float64       // up to which the bound doubles; above it goes step by step
	best    time.Duration // the least time an answer took, slowly forgotten
	lastCut time.Time     // when a timeout last halved the bound

	collapsed bool // timeouts have cut the bound, and no window of answers has come since

	window  window
	episode episode
}

// A window gathers answers to requests that began in it, for about as long as
// one answer takes, so that they show what the present bound does.
type window struct {
	start time.Time
	least time.Duration
	count int
	peak  int // most requests in flight
}

// An episode is a time of falling, remembered to see whether it helped.
type episode struct {
	bound float64 // at its start; zero if there is none
	least time.Duration
}

// The figures of the bound's movements, found by simulation: see the overload
// table in overload_test.go.
const (
	minSamples   = 5    // answers that make a window
	farTooSlow   = 1.3  // over the tolerance: falls by a factor, not by a step
	fastestFall  = 0.8  // per window
	enough       = 4    // how much the bound must fall to see whether it helps
	helped       = 0.8  // what that must make of the time, at least
	saturated    = 0.8  // share of the bound that must be in use for it to rise
	headroom     = 4    // times the use that the bound is kept at, at most
	forgetting   = 2e-4 // per window
	patientAfter = 20   // answers after a timeout before best is measured anew
	neededAlways = 20.0 // up to which headroom does not count
	halved       = 0.5  // what a timeout leaves of the bound
)

func newAdaptive(cfg policy.Adaptive) *adaptive {
	return &adaptive{
		min: float64(cfg.Min), max: float64(cfg.Max), tolerance: cfg.Tolerance,
		bound: float64(cfg.Initial), ceiling: math.Inf(1),
	}
}

// allowed returns how many requests may be in flight.
func (a *adaptive) allowed() int { return int(a.bound) }

// timedOut takes note of a request that had no answer in its time.
func (a *adaptive) timedOut(began, now time.Time) {
	if began.Before(a.lastCut) {
		return // it began under a bound that has been cut since
	}
	if !a.collapsed { // only the first of several cuts tells how much was too much
		a.ceiling = max(a.min, a.bound*halved)
		a.collapsed = true
	}
	a.bound = max(a.min, a.bound*halved)
	a.lastCut = now
	a.episode = episode{}
	a.window = window{start: now}
}

// throttled takes note of a server that said that it gets too much.
func (a *adaptive) throttled(began, now time.Time) {
	if began.Before(a.lastCut) {
		return
	}
	a.bound = max(a.min, a.bound*slowdown)
	a.ceiling = a.bound
	a.lastCut = now
	a.window = window{start: now}
}

// answered takes note of an answer, and of how many requests were in flight when
// it began.
func (a *adaptive) answered(began, now time.Time, inFlight int) {
	w := &a.window
	took := now.Sub(began)
	if w.start.IsZero() {
		w.start = began
	}
	if a.best == 0 || took < a.best {
		a.best = took
	}
	if !began.Before(w.start) {
		w.count++
		if w.least == 0 || took < w.least {
			w.least = took
		}
	}
	w.peak = max(w.peak, inFlight)
	passed := now.Sub(w.start)
	if passed < a.best || w.count < minSamples && passed < 10*a.best || w.count == 0 {
		return
	}
	a.move(*w, now)
	a.window = window{start: now}
}

// move sets the bound by what a window has shown.
func (a *adaptive) move(w window, now time.Time) {
	a.collapsed = false
	a.best += time.Duration(float64(w.least-a.best) * forgetting)
	target := time.Duration(float64(a.best) * a.tolerance)
	use := float64(w.peak)
	switch {
	case w.least > time.Duration(float64(target)*farTooSlow):
		a.fall(w.least, target, now)
		return
	case w.least > target:
		a.bound = max(a.min, a.bound-1)
		return
	}
	a.episode = episode{}
	switch {
	case a.bound > headroom*use && a.bound > neededAlways:
		a.bound = max(neededAlways, headroom*use, a.bound*0.9)
	case use < saturated*a.bound:
	case a.bound < a.ceiling:
		a.bound = min(a.max, 2*a.bound)
	default:
		a.bound = min(a.max, a.bound+max(1, math.Log10(a.bound)))
	}
}

// fall lowers the bound, unless lowering it has not helped so far.
func (a *adaptive) fall(least, target time.Duration, now time.Time) {
	if a.episode.bound == 0 {
		a.episode = episode{bound: a.bound, least: least}
	}
	if a.bound <= max(a.min, a.episode.bound/enough) {
		unchanged := least > time.Duration(helped*float64(a.episode.least))
		if unchanged && now.Sub(a.lastCut) > patientAfter*least {
			a.best = least
			a.bound = a.episode.bound
			a.ceiling = headroom * a.bound
			a.episode = episode{}
			return
		}
		a.episode = episode{bound: a.bound, least: least}
	}
	a.bound = max(a.min, a.bound*max(fastestFall, float64(target)/float64(least)))
	a.ceiling = a.bound
}
