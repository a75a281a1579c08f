package providersim

import "fmt"

// A Fault is something that goes wrong with a call.
type Fault string

// The faults. Those that strike after the work was done are billed.
const (
	Dropped     Fault = "dropped"      // the connection is closed before the work; not billed
	RateLimited Fault = "rate_limited" // a 429 in spite of the limit; not billed
	Overloaded  Fault = "overloaded"   // 503 with the time to come back, from Anthropic 529 without; not billed
	Internal    Fault = "internal"     // 500 after the work
	Reset       Fault = "reset"        // the connection is closed after the work, in place of an answer
	Stalled     Fault = "stalled"      // silence after the work, until the client leaves
	Truncated   Fault = "truncated"    // half an answer, then the connection is closed
	Unfinished  Fault = "unfinished"   // a stream ends well, but without its last event; else none
	StreamError Fault = "stream_error" // an error event after the first half of a stream; else a 500
)

// order is that in which faults share the range of the seed's numbers.
var order = [...]Fault{Dropped, RateLimited, Overloaded, Internal, Reset, Stalled, Truncated, Unfinished, StreamError}

// Faults are the probabilities, 0 to 1, with which calls meet a fault. Their sum
// is at most 1.
type Faults map[Fault]float64

func (f Faults) validate() error {
	sum, known := 0.0, 0
	for _, kind := range order {
		p, ok := f[kind]
		if !(p >= 0 && p <= 1) { // NaN fails too
			return fmt.Errorf("probability of %s is %v", kind, p)
		}
		if sum += p; ok {
			known++
		}
	}
	if known < len(f) || sum > 1+1e-9 {
		return fmt.Errorf("unknown faults, or a sum above 1: %v", f)
	}
	return nil
}

// strike returns the fault at u, a number from 0 up to but excluding 1, "" for
// none.
func (f Faults) strike(u float64) Fault {
	for _, kind := range order {
		if u < f[kind] {
			return kind
		}
		u -= f[kind]
	}
	return ""
}

// chance maps the nth call to a number from 0 up to but excluding 1.
func chance(seed, n uint64) float64 { return float64(mix(mix(seed)+n)>>11) / (1 << 53) }

// mix is SplitMix64's finaliser: each bit of x changes about half of the result's.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
