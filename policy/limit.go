package policy

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Limit sets how much traffic a limiter lets through at once and
// per second, and who waits when it is too much. Its zero value limits the
// requests in flight, to as many as the server can take: see Adaptive.
type Limit struct {
	// Off leaves the limiter out.
	Off bool

	// Name tells limiters apart in errors.
	Name string

	// PerSecond bounds the rate of requests. Zero or negative means no bound.
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

// Adaptive sets a bound on the requests in flight that finds its own height: it
// rises while answers come about as quickly as at their best, falls when they
// take longer, and is cut when attempts time out.
type Adaptive struct {
	// Initial is where the bound starts. Zero means 200.
	Initial int

	// Min and Max are the least and the greatest bound. Zero means 2 and 1000.
	Min, Max int

	// Tolerance is how much longer than at their best answers may take, as a
	// factor. Zero means 2.5.
	Tolerance float64
}

// WithDefaults returns a copy of l with its zero fields filled.
func (l Limit) WithDefaults() Limit {
	l.Adaptive.Initial = cmp.Or(l.Adaptive.Initial, 200)
	l.Adaptive.Min = cmp.Or(l.Adaptive.Min, min(2, l.Adaptive.Initial))
	l.Adaptive.Max = cmp.Or(l.Adaptive.Max, max(1000, l.Adaptive.Initial))
	l.Adaptive.Tolerance = cmp.Or(l.Adaptive.Tolerance, 2.5)
	if l.PerSecond > 0 {
		l.Burst = cmp.Or(l.Burst, max(1, int(l.PerSecond)))
	}
	l.MaxQueue = cmp.Or(l.MaxQueue, 1000)
	l.MaxWait = cmp.Or(l.MaxWait, 5*time.Second)
	return l
}

// Validate reports everything that is wrong with l, a zero field being right.
func (l Limit) Validate() error {
	l = l.WithDefaults()
	a := l.Adaptive
	return errors.Join(
		check(l.Burst >= 0, "Limit.Burst", l.Burst, "at least 0"),
		check(a.Min >= 1, "Limit.Adaptive.Min", a.Min, "at least 1"),
		check(a.Initial >= a.Min && a.Initial <= a.Max, "Limit.Adaptive.Initial", a.Initial, fmt.Sprintf("Min to Max, %d to %d", a.Min, a.Max)),
		check(a.Tolerance > 1, "Limit.Adaptive.Tolerance", a.Tolerance, "above 1"),
	)
}
