package nyckelsim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"sync"
	"time"
)

// Faults say what goes wrong. The zero value is a healthy service.
//
// RateLimited to Reset are probabilities from 0 to 1, each of a fault that
// strikes an invoke; their sum is at most 1. Truncate strikes when the input
// has been captured and the quota charged, the others before.
//
// Which fault strikes is a pure function of [Config.Seed], Name, the function's
// id, the input, and how many times that input has arrived, with a good token
// and within the limits, since [Server.SetFaults]. Hence two servers of equal
// seed and with equal functions treat their clients alike, in whatever order and
// however concurrently inputs arrive.
type Faults struct {
	// Name sets one set of faults apart from another: under a new name, other
	// inputs are struck.
	Name string

	RateLimited float64 // 429
	Unavailable float64 // 503
	Internal    float64 // 500
	BadGateway  float64 // 502 with a page of HTML, as from a proxy
	Stall       float64 // no answer until the client leaves
	Truncate    float64 // 200 with part of the body, then the connection is cut
	Reset       float64 // the connection is reset before any byte of the answer

	// Latency is how long every invoke waits before it is processed or a fault
	// strikes.
	Latency time.Duration

	// LatencyFactor multiplies [Config.Latency]. Zero means 1.
	LatencyFactor float64

	// Refuse turns every request away, not invokes only. An [Instance] closes
	// its port, so that the kernel refuses connections; a Server used as a
	// handler can only drop those it is given.
	Refuse bool
}

// A FaultKind names a fault in [Stats].
type FaultKind string

// The kinds of faults.
const (
	FaultRateLimited FaultKind = "rate_limited"
	FaultUnavailable FaultKind = "unavailable"
	FaultInternal    FaultKind = "internal"
	FaultBadGateway  FaultKind = "bad_gateway"
	FaultStall       FaultKind = "stall"
	FaultTruncate    FaultKind = "truncate"
	FaultReset       FaultKind = "reset"
	FaultRefuse      FaultKind = "refuse" // by the handler; an Instance's kernel does not count
)

// A chance is how likely a fault is.
type chance struct {
	kind        FaultKind
	probability float64
}

func (f Faults) chances() []chance {
	return []chance{
		{FaultRateLimited, f.RateLimited},
		{FaultUnavailable, f.Unavailable},
		{FaultInternal, f.Internal},
		{FaultBadGateway, f.BadGateway},
		{FaultStall, f.Stall},
		{FaultTruncate, f.Truncate},
		{FaultReset, f.Reset},
	}
}

func (f Faults) validate() error {
	sum := 0.0
	for _, c := range f.chances() {
		if !(c.probability >= 0 && c.probability <= 1) { // NaN fails too
			return fmt.Errorf("faults %q: probability of %s is %v, not from 0 to 1", f.Name, c.kind, c.probability)
		}
		sum += c.probability
	}
	if sum > 1+1e-9 { // ten tenths may come out a little above
		return fmt.Errorf("faults %q: the probabilities sum to %v, above 1", f.Name, sum)
	}
	if f.Latency < 0 {
		return fmt.Errorf("faults %q: negative Latency: %v", f.Name, f.Latency)
	}
	if !(f.LatencyFactor >= 0) || math.IsInf(f.LatencyFactor, 1) {
		return fmt.Errorf("faults %q: LatencyFactor is %v, not a number from 0 up", f.Name, f.LatencyFactor)
	}
	return nil
}

// pick returns the fault at u, a number from 0 up to but excluding 1, or "" for
// none.
func (f Faults) pick(u float64) FaultKind {
	for _, c := range f.chances() {
		if u < c.probability {
			return c.kind
		}
		u -= c.probability
	}
	return ""
}

// serviceTime returns how long an invoke takes whose usual time is usual.
func (f Faults) serviceTime(usual time.Duration) time.Duration {
	if f.LatencyFactor == 0 {
		return usual
	}
	return time.Duration(min(float64(usual)*f.LatencyFactor, math.MaxInt64/2))
}

// Faults returns the faults in force.
func (s *Server) Faults() Faults {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.Faults
}

// SetFaults puts f in force in place of the faults so far and forgets which
// inputs have arrived. It returns when every [Instance] refuses connections or
// accepts them, as f says.
//
// It fails if f is not valid, and nothing has changed then; or if an Instance
// cannot have its port again, and that one keeps refusing then.
func (s *Server) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return fmt.Errorf("nyckelsim: %w", err)
	}
	s.switching.Lock()
	defer s.switching.Unlock()
	s.faults.set(f)
	var errs []error
	for i := range s.instances {
		if f.Refuse {
			i.refuse()
		} else {
			errs = append(errs, i.listen())
		}
	}
	return errors.Join(errs...)
}

// faultState holds the faults in force. It is safe for concurrent use.
type faultState struct {
	mu sync.Mutex
	Faults
	arrivals map[uint64]uint64 // by input, since set
}

func (s *faultState) set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Faults = f
	s.arrivals = map[uint64]uint64{}
}

func (s *faultState) refusing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Refuse
}

// next returns the fault that this arrival of the input meets, "" for none, and
// the faults in force as it arrived.
func (s *faultState) next(seed uint64, function, input string) (FaultKind, Faults) {
	identity := hash(function, input)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals[identity]++
	return s.pick(fate(seed, s.Name, identity, s.arrivals[identity])), s.Faults
}

// fate maps the nth arrival of an input to a number from 0 up to but excluding
// 1. Any change to one argument gives another number, as if by chance.
func fate(seed uint64, name string, identity, n uint64) float64 {
	x := mix(seed)
	x = mix(x ^ hash(name))
	x = mix(x ^ identity)
	x = mix(x + n)
	return float64(x>>11) / (1 << 53)
}

// hash returns a hash of the parts that depends on where each one ends.
func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum64()
}

// mix is SplitMix64's finaliser: each bit of x changes about half of the result's.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
