package policy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// Limit sets how much traffic a limiter lets through at once and per second, and who
// waits when it is too much. Its zero value limits the requests in flight, to as many
// as the server can take: see Adaptive.
type Limit struct {
	// Off leaves the limiter out.
	Off bool

	// Name tells limiters apart in errors.
	Name string

	// PerSecond bounds the rate of requests, at most 1e9. Zero or negative means no
	// bound.
	//
	// A server that says 429 lowers the rate by 30 %, or by 10 % if there was none
	// for long, once for all requests that were under way, and stops it for as long
	// as Retry-After says, up to 60 s. The rate does not fall below 0.5, or below a
	// twentieth of PerSecond if that is less. While it is used up, it climbs back to
	// where it was within the time of 200 requests, or of 50 that come one after the
	// other if that is longer, 10 s at least and 60 s at most, and from there faster
	// and faster up to PerSecond.
	//
	// Where answers tell what is left of the server's own limit, the limiter keeps
	// to that as well, whatever PerSecond is; a 429 that comes with a limit used up
	// does not lower the rate.
	PerSecond float64

	// Burst is how many requests may start at once after a pause. Zero means
	// PerSecond, at least 1.
	Burst int

	// InFlight bounds the requests in flight, from their start to the end of the
	// body. Zero means a bound that adapts; negative means no bound.
	InFlight int

	// Adaptive sets the bound that adapts. It counts if InFlight is zero.
	Adaptive Adaptive

	// MaxQueue is how many requests may wait for their turn, first come first
	// served within a priority ([Call.Priority]). When the queue is full, the
	// youngest of the lowest priority makes room for a request of a higher one.
	// Zero means 1000; negative means no queue.
	MaxQueue int

	// MaxWait is how long a request may wait. One that cannot be let through
	// before its deadline is refused at once, as far as that can be known. Zero
	// means 5 s, or a fifth of Stack.Total in a stack; negative means no waiting.
	MaxWait time.Duration

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier
}

// Adaptive sets a bound on the requests in flight that follows the server's capacity:
// it rises when it is reached and answers come without delay, falls when all of them,
// even the quickest, take longer than they did, and is cut in half when attempts time
// out. Without a bound on the rate, a 429 cuts it by 30 %. A bound above 20 falls, too,
// while answers come and less than a quarter of it is in use.
type Adaptive struct {
	// Initial is where the bound starts. Zero means 200, or what of Min to Max is
	// nearest.
	Initial int

	// Min and Max are the least and the greatest bound. Zero means 2 and 1000, or
	// Initial if that is beyond.
	Min, Max int

	// Tolerance is how much longer than without a queue at the server answers may
	// take, as a factor above 1. Zero means 2.5.
	Tolerance float64
}

const maxPerSecond = 1e9 // a request each nanosecond

// WithDefaults returns a copy of l with its zero fields filled.
func (l Limit) WithDefaults() Limit {
	l.Adaptive = l.Adaptive.withDefaults()
	if l.PerSecond > 0 {
		l.Burst = cmp.Or(l.Burst, max(1, int(min(l.PerSecond, maxPerSecond))))
	}
	l.MaxQueue = cmp.Or(l.MaxQueue, 1000)
	l.MaxWait = cmp.Or(l.MaxWait, 5*time.Second)
	return l
}

func (a Adaptive) withDefaults() Adaptive {
	const initial, least, most = 200, 2, 1000
	if a.Initial == 0 {
		a.Initial = max(initial, a.Min)
		if a.Max > 0 {
			a.Initial = min(a.Initial, a.Max)
		}
	}
	a.Min = cmp.Or(a.Min, max(1, min(least, a.Initial)))
	a.Max = cmp.Or(a.Max, max(most, a.Initial))
	a.Tolerance = cmp.Or(a.Tolerance, 2.5)
	return a
}

// Validate reports everything that is wrong with l, a zero field being right.
func (l Limit) Validate() error {
	l = l.WithDefaults()
	a := l.Adaptive
	return errors.Join(
		check(l.PerSecond <= maxPerSecond, "Limit.PerSecond", l.PerSecond, "at most 1e9"),
		check(!math.IsInf(l.PerSecond, -1), "Limit.PerSecond", l.PerSecond, "finite"),
		check(l.Burst >= 0, "Limit.Burst", l.Burst, "at least 0"),
		check(a.Min >= 1, "Limit.Adaptive.Min", a.Min, "at least 1"),
		check(a.Initial >= a.Min && a.Initial <= a.Max, "Limit.Adaptive.Initial", a.Initial, fmt.Sprintf("Min to Max, %d to %d", a.Min, a.Max)),
		check(a.Tolerance > 1 && isFinite(a.Tolerance), "Limit.Adaptive.Tolerance", a.Tolerance, "above 1 and finite"),
	)
}
