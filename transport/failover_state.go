package transport

import "time"

// An EndpointState is what an endpoint of a [Failover] looks like at one moment.
type EndpointState struct {
	Name, Region string

	// Ejected is until when it is out of the rotation, zero if it is in. When all
	// are asked for want of good ones, those that are out are, too.
	Ejected time.Time

	// Slow reports whether it is out because it is slow, and so still asked when
	// nobody else is left.
	Slow bool

	// Resting is until when it asked for no requests, zero if it did not.
	Resting time.Time

	// Latency is what an answer takes to its header now, zero if that is not known.
	Latency time.Duration

	// InFlight is how many requests are under way, bodies included.
	InFlight int

	// Asked is how many requests went to it, those included that its own layers
	// refused. Billed is how many of them may have been processed, as far as the
	// verdicts tell that; Faults how many were faults.
	Asked, Billed, Faults int64

	// Spent is Billed times the endpoint's price.
	Spent float64
}

// State returns what the endpoints look like now, in their order.
func (f *Failover) State() []EndpointState {
	now := time.Now()
	r := f.rotation
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make([]EndpointState, len(r.members))
	for i := range r.members {
		m, e := r.members[i], f.endpoints[i]
		m.returnLocked(now, r.cfg.Ejection)
		states[i] = EndpointState{
			Name: e.Name, Region: e.Region, Ejected: m.ejectedUntil, Slow: m.slow,
			InFlight: m.inFlight, Asked: m.asked, Billed: m.billed, Faults: m.faulty,
			Spent: float64(m.billed) * e.Price,
		}
		if m.latency > 0 {
			states[i].Latency = time.Duration(max(m.latency, m.latencyLocked(now)))
		}
		if now.Before(m.restUntil) {
			states[i].Resting = m.restUntil
		}
	}
	return states
}
