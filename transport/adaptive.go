package transport

import (
	"math"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// adaptive is a limit on concurrency that follows the server's capacity: a bound on the
// requests in flight, moved by the latency of the answers.
//
// A queue at the server delays every answer, the quickest ones, too; requests
// that are more work than others do not. So the delay is how much longer the
// quickest answers of the moment take than the quickest usually do, and the rest
// of the time is work. By Little's law a queue that is ours shrinks when the
// bound falls; if the delay stays all the same, the server has become slower,
// and what is work is measured anew. A timeout hides how long the answer would
// have taken, so it counts by itself, and halves the bound.
//
// It is not safe for concurrent use.
type adaptive struct {
	min, max  float64
	tolerance float64

	bound   float64
	ceiling float64 // up to which each prompt answer lifts the bound; above it each window does

	quickest float64 // seconds that the quickest answers usually take; zero until known
	work     float64 // seconds that answers take without the delay

	window    window
	episode   episode
	lastFall  time.Time // when the bound last fell
	lastCut   time.Time // when a timeout or a 429 made it fall
	collapsed bool      // by timeouts, with no window of answers since
}

// A window gathers answers for about as long as one of them takes.
type window struct {
	start time.Time
	count int
	sum   float64 // of the seconds that the answers took
	least float64 // of them
	peak  int     // most requests in flight
}

// An episode is a time of falling, remembered to see whether it helps.
type episode struct {
	bound float64 // at its start; zero if there is none
	use   float64 // of the bound, then
	delay float64 // then
}

// The figures of the bound's movements, found by simulation: see the tables in
// overload_test.go and adaptive_test.go.
const (
	minSamples   = 5    // answers that make a window
	halved       = 0.5  // what a timeout leaves of the bound
	fastestFall  = 0.8  // what a window leaves of it, at least
	enough       = 2    // by how many times the bound must fall to see whether that helps
	helped       = 0.8  // what is left of the delay, at most, if it has helped
	patientAfter = 20   // answers after a cut before work is measured anew
	saturated    = 0.8  // share of the bound that must be in use for it to rise
	headroom     = 4    // times the use that the bound is kept at, at most
	neededAlways = 20.0 // up to which headroom does not count
	learnWork    = 0.1  // weight of a window
	learnQuicker = 0.2  // weight of one whose quickest answer was quicker than usual
	learnSlower  = 0.05 // weight of one whose quickest answer was slower
)

func newAdaptive(cfg policy.Adaptive) *adaptive {
	return &adaptive{
		min: float64(cfg.Min), max: float64(cfg.Max), tolerance: cfg.Tolerance,
		bound: float64(cfg.Initial), ceiling: math.Inf(1),
	}
}

// change sets another range and tolerance. A fall under way is forgotten: it may have
// begun outside of the range.
func (a *adaptive) change(cfg policy.Adaptive) {
	a.min, a.max, a.tolerance = float64(cfg.Min), float64(cfg.Max), cfg.Tolerance
	a.episode = episode{}
	a.bound = min(a.max, max(a.min, a.bound))
}

// allowed returns how many requests may be in flight.
func (a *adaptive) allowed() int { return int(min(a.bound, math.MaxInt32)) } // more may not fit into an int

// saturatedBy reports whether that many requests in flight come close to the bound.
func (a *adaptive) saturatedBy(inFlight int) bool { return float64(inFlight) >= saturated*a.bound }

// tooLong returns how many seconds answers may take.
func (a *adaptive) tooLong() float64 {
	if a.quickest == 0 {
		return math.Inf(1)
	}
	return a.work * a.tolerance
}

// timedOut takes note of a request that had no answer in its time. One that was
// given less than the work takes says nothing of the server.
func (a *adaptive) timedOut(began, now time.Time) {
	if began.Before(a.lastCut) || now.Sub(began).Seconds() < a.work {
		return // or it began under a bound that has been cut since
	}
	if !a.collapsed { // only the first of several cuts tells how much was too much
		a.ceiling = max(a.min, a.bound*halved)
		a.collapsed = true
	}
	a.cut(halved, now)
}

// throttled takes note of a 429.
func (a *adaptive) throttled(began, now time.Time) {
	if began.Before(a.lastCut) {
		return
	}
	a.cut(slowdown, now)
	a.ceiling = a.bound
}

func (a *adaptive) cut(leaves float64, now time.Time) {
	a.bound = max(a.min, a.bound*leaves)
	a.lastFall, a.lastCut = now, now
	a.episode = episode{}
	a.window = window{start: now}
}

// answered takes note of an answer, and of how many requests were in flight when
// it began.
func (a *adaptive) answered(began, now time.Time, inFlight int) {
	w := &a.window
	if w.start.IsZero() {
		w.start = began
	}
	w.peak = max(w.peak, inFlight)
	took := max(0, now.Sub(began).Seconds())
	if a.bound < a.ceiling && took <= a.tooLong() && a.saturatedBy(inFlight) {
		a.bound = min(a.max, a.ceiling, a.bound+1)
	}
	if began.Before(a.lastFall) {
		return // it shows an earlier bound
	}
	w.add(took)
	if w.count >= minSamples && now.Sub(w.start).Seconds() >= a.work {
		a.move(*w, now)
		a.window = window{start: now}
	}
}

func (w *window) add(took float64) {
	if w.count == 0 || took < w.least {
		w.least = took
	}
	w.count++
	w.sum += took
}

func (w *window) average() float64 { return w.sum / float64(w.count) }

// move sets the bound by what a window has shown.
func (a *adaptive) move(w window, now time.Time) {
	a.collapsed = false
	delay := a.learn(w)
	if a.work+delay > a.tooLong() {
		a.fall(w, delay, now)
		return
	}
	a.episode = episode{}
	a.rise(w.peak)
}

// learn measures what is work, and returns what is delay. While the bound is reached,
// the quickest answers may be slow because of our own requests, so they do not raise
// what is taken for quick.
func (a *adaptive) learn(w window) (delay float64) {
	switch {
	case a.quickest == 0:
		a.quickest, a.work = w.least, w.average()
		return 0
	case w.least < a.quickest:
		a.quickest += (w.least - a.quickest) * learnQuicker
	case !a.saturatedBy(w.peak):
		a.quickest += (w.least - a.quickest) * learnSlower
	}
	delay = max(0, w.least-a.quickest)
	a.work += (w.average() - delay - a.work) * learnWork
	return delay
}

// rise lifts the bound if it is used, and lowers it if it is far from that.
func (a *adaptive) rise(peak int) {
	use := float64(peak)
	switch {
	case a.bound > headroom*use && a.bound > neededAlways:
		a.bound = max(a.min, neededAlways, headroom*use, a.bound*0.9)
	case a.saturatedBy(peak) && a.bound >= a.ceiling:
		a.bound = min(a.max, a.bound+max(1, math.Log10(a.bound)))
	}
}

// fall lowers the bound, unless lowering it has not helped so far.
func (a *adaptive) fall(w window, delay float64, now time.Time) {
	if a.episode.bound == 0 {
		a.episode = episode{bound: a.bound, use: min(a.bound, float64(w.peak)), delay: delay}
	}
	if a.bound <= max(a.min, a.episode.use/enough) {
		if delay > helped*a.episode.delay && now.Sub(a.lastCut).Seconds() > patientAfter*w.average() {
			a.quickest, a.work = w.least, w.average()
			a.bound = a.episode.bound
			a.ceiling = headroom * a.bound
			a.episode = episode{}
			return
		}
		a.episode = episode{bound: a.bound, use: a.bound, delay: delay}
	}
	a.bound = max(a.min, a.bound*max(fastestFall, a.tooLong()/(a.work+delay)))
	a.ceiling = a.bound
	a.lastFall = now
}
