package transport

import (
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// An Operator does by hand what the people who watch a program ask for, to the
// stacks of some transports, each one function's, as in [Snapshot]. It knows
// functions and breakers by the names that they have there; where several have the
// same name, it means all of them. It is safe for concurrent use, and is what a
// telemetry/console needs to act.
type Operator []http.RoundTripper

// Isolate isolates a breaker of a function: see [Breaker.Isolate]. It reports
// whether there is one. A breaker of a host exists from the first request to that
// host.
func (o Operator) Isolate(function, breaker, reason string, until time.Time) bool {
	return o.each(function, breaker, func(b *Breaker) { b.Isolate(reason, until) })
}

// Release ends the isolation of a breaker: see [Breaker.Release]. It reports whether
// there is such a breaker.
func (o Operator) Release(function, breaker string) bool {
	return o.each(function, breaker, (*Breaker).Release)
}

// Purge makes the caches of a function's stack forget its answers, and those to
// calls that name no function: with those of others where they share a store. It
// reports whether there is such a function with a cache.
func (o Operator) Purge(function string) bool {
	found := false
	for _, rt := range o {
		if functionOf(rt) != function {
			continue
		}
		for layer := range everyLayer(rt) {
			if memo, ok := layer.(interface{ Forget(function string) }); ok {
				memo.Forget(function)
				found = true
			}
		}
	}
	return found
}

// each calls do for the breakers of that name, and reports whether there are any.
func (o Operator) each(function, breaker string, do func(*Breaker)) bool {
	found := false
	for _, rt := range o {
		if functionOf(rt) != function {
			continue
		}
		for _, b := range Breakers(rt) {
			if b.cfg.Name == breaker {
				do(b)
				found = true
			}
		}
	}
	return found
}

// functionOf returns the name of the function that a stack is for, as its snapshot
// has it.
func functionOf(rt http.RoundTripper) string {
	for layer := range everyLayer(rt) {
		if part, _ := describe(layer); part.Kind == policy.KindCall && part.Name != "" {
			return part.Name
		}
	}
	return ""
}
