package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Faults sets what goes wrong on purpose, so that one can see how all that stands
// above takes it. Its zero value lets nothing go wrong by itself; faults that a
// request's context asks for still strike.
type Faults struct {
	// Off lets every request pass, whatever else is asked for.
	Off bool

	// Seed sets one trace of faults apart from another: see [Faults.Fate].
	Seed uint64

	// Mix is what may go wrong, each fault at its Rate. The rates sum up to at
	// most 1; the rest of the requests pass unharmed.
	Mix []Fault

	// Choose decides about a request itself: with true, its fault strikes, which
	// is none if it has no Kind; with false, the Mix decides. It must be safe
	// for concurrent use and must not change the request. Nil means that the Mix
	// decides always.
	Choose func(*http.Request) (Fault, bool)

	// OnFault is called with each fault before it strikes, on the goroutine of
	// the request and outside any lock. Nil means nothing.
	OnFault func(context.Context, Fault)
}

// A Fault is one thing that goes wrong. Fields that its Kind does not use must be
// zero. The zero Fault is none.
type Fault struct {
	// Kind is what goes wrong.
	Kind FaultKind

	// Rate is how likely the fault is in a Mix, 0 to 1. It does not count
	// elsewhere.
	Rate float64

	// Delay is waited before the header or the error comes, beside the time that
	// the server takes. Any kind may have it; FaultLatency must.
	Delay time.Duration

	// Sent makes the request reach the server before a FaultReset or FaultStatus
	// strikes in place of the server's answer, as when a gateway fails once the
	// work is done.
	Sent bool

	// Status is the status of a FaultStatus, 200 to 599. Zero means 503.
	Status int

	// Header and Body are the rest of its answer.
	Header map[string]string
	Body   string

	// Bytes is where in the body the fault strikes: after that many bytes. Zero
	// means before the first. A body that is no longer than that comes whole; of
	// one with exactly that many and no announced length, the end is missing.
	//
	// For FaultDrip it is how many bytes come at once, where zero means 1. For
	// FaultLength it is how many bytes more are announced than come; where that
	// is negative, fewer; zero means 1.
	Bytes int64

	// Every is the wait before each of the drops of a FaultDrip. Zero means
	// 100 ms.
	Every time.Duration
}

// A FaultKind names what goes wrong.
type FaultKind string

// The kinds of faults. Unless their comments say otherwise the request reaches
// the server, and an answer that does not get through is thrown away. The class
// is what [Classify] says of the attempt.
const (
	// NoFault: the request passes unharmed.
	NoFault FaultKind = ""

	// FaultRefused: the connection is refused. The request does not reach the
	// server. Unreachable.
	FaultRefused FaultKind = "refused"

	// FaultReset: the connection is reset, before the request is written or, with
	// Sent, after it. Interrupted, as nobody can tell the one from the other.
	FaultReset FaultKind = "reset"

	// FaultEOF: the connection is closed without an answer. Interrupted.
	FaultEOF FaultKind = "eof"

	// FaultStatus: the answer is another one. Only with Sent does the request
	// reach the server. The class is that of the answer.
	FaultStatus FaultKind = "status"

	// FaultLatency: the header comes later. OK.
	FaultLatency FaultKind = "latency"

	// FaultStall: no header ever comes; only the end of the request's context
	// ends the wait. TimedOut where a time limit does so.
	FaultStall FaultKind = "stall"

	// FaultDrip: the body comes in drops. OK.
	FaultDrip FaultKind = "drip"

	// FaultTruncate: the body ends too early. Truncated.
	FaultTruncate FaultKind = "truncate"

	// FaultStallBody: the body stalls. Only the end of the request's context, or
	// closing the body, ends the wait. TimedOut where a time limit does so.
	FaultStallBody FaultKind = "stall_body"

	// FaultResetBody: the connection is reset in the body. Interrupted.
	FaultResetBody FaultKind = "reset_body"

	// FaultLength: the announced length of the body is wrong. Truncated if more
	// is announced than comes. If less is, the body is cut there, and OK: nobody
	// can tell. A body of unknown length comes as it is.
	FaultLength FaultKind = "length"
)

// FaultKinds returns every kind but NoFault.
func FaultKinds() []FaultKind {
	return []FaultKind{
		FaultRefused, FaultReset, FaultEOF, FaultStatus, FaultLatency, FaultStall,
		FaultDrip, FaultTruncate, FaultStallBody, FaultResetBody, FaultLength,
	}
}

// ReachesServer reports whether the request reaches the server all the same.
func (f Fault) ReachesServer() bool {
	switch f.Kind {
	case FaultRefused:
		return false
	case FaultReset, FaultStatus:
		return f.Sent
	}
	return true
}

// Fate returns the fault of the Mix that strikes the nth request, or the zero
// Fault. It is a function of Seed, Mix and n alone, and the same in every
// version of this package. A fault that is added to the end of the Mix strikes
// requests that passed unharmed before, and no others.
func (f Faults) Fate(n uint64) Fault {
	u := draw(f.Seed, n)
	for _, fault := range f.Mix {
		if u < fault.Rate {
			return fault
		}
		u -= fault.Rate
	}
	return Fault{}
}

// draw returns the nth number in [0, 1) of the sequence that seed begins: a
// SplitMix64 whose start is itself mixed, so that neighboring seeds have nothing
// in common.
func draw(seed, n uint64) float64 {
	const gamma = 0x9e3779b97f4a7c15
	return float64(splitMix(splitMix(seed+gamma)+n*gamma)>>11) / (1 << 53)
}

// splitMix is the finalizer of SplitMix64: each bit of x changes about half of
// the result's.
func splitMix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// WithDefaults returns a copy of f with the zero fields of its faults filled.
func (f Faults) WithDefaults() Faults {
	f.Mix = slices.Clone(f.Mix)
	for i, fault := range f.Mix {
		f.Mix[i] = fault.WithDefaults()
	}
	return f
}

// WithDefaults returns a copy of f with those zero fields filled that its Kind
// uses.
func (f Fault) WithDefaults() Fault {
	switch f.Kind {
	case FaultStatus:
		f.Status = cmp.Or(f.Status, http.StatusServiceUnavailable)
	case FaultDrip:
		f.Bytes = cmp.Or(f.Bytes, 1)
		f.Every = cmp.Or(f.Every, 100*time.Millisecond)
	case FaultLength:
		f.Bytes = cmp.Or(f.Bytes, 1)
	}
	return f
}

// Validate reports everything that is wrong with f, a zero field being right.
func (f Faults) Validate() error {
	var errs []error
	sum := 0.0
	for i, fault := range f.Mix {
		name := fmt.Sprintf("Faults.Mix[%d]", i)
		errs = append(errs,
			check(fault.Kind != NoFault, name+".Kind", `""`, "one"),
			check(fault.Rate >= 0 && fault.Rate <= 1, name+".Rate", fault.Rate, "0 to 1"),
			fault.validate(name))
		sum += fault.Rate
	}
	if sum > 1+1e-9 { // ten tenths may come out a little above
		errs = append(errs, fmt.Errorf("policy: the rates of Faults.Mix sum up to %v, want at most 1", sum))
	}
	return errors.Join(errs...)
}

// Validate reports everything that is wrong with f, a zero field being right. It
// does not look at Rate.
func (f Fault) Validate() error { return f.validate("Fault") }

func (f Fault) validate(name string) error {
	if f.Kind != NoFault && !slices.Contains(FaultKinds(), f.Kind) {
		return check(false, name+".Kind", fmt.Sprintf("%q", f.Kind), fmt.Sprintf("one of %q", FaultKinds()))
	}
	f = f.WithDefaults()
	return errors.Join(f.checkValues(name), f.checkUnused(name))
}

func (f Fault) checkValues(name string) error {
	errs := []error{check(f.Delay >= 0, name+".Delay", f.Delay, "at least 0")}
	switch f.Kind {
	case FaultLatency:
		errs = append(errs, check(f.Delay != 0, name+".Delay", f.Delay, "above 0"))
	case FaultStatus:
		bare := f.Status == http.StatusNoContent || f.Status == http.StatusNotModified
		errs = append(errs,
			check(f.Status >= 200 && f.Status <= 599, name+".Status", f.Status, "200 to 599"),
			check(!bare || f.Body == "", name+".Body", bodySize(f.Body), fmt.Sprintf("none with Status %d", f.Status)))
	case FaultDrip:
		errs = append(errs,
			check(f.Bytes > 0, name+".Bytes", f.Bytes, "above 0"),
			check(f.Every > 0, name+".Every", f.Every, "above 0"))
	case FaultTruncate, FaultStallBody, FaultResetBody:
		errs = append(errs, check(f.Bytes >= 0, name+".Bytes", f.Bytes, "at least 0"))
	}
	return errors.Join(errs...)
}

// checkUnused finds fields that the kind does not use: most likely the kind is
// not the one that was meant.
func (f Fault) checkUnused(name string) error {
	var bytes, every, sent, status bool // are used
	switch f.Kind {
	case FaultReset:
		sent = true
	case FaultStatus:
		sent, status = true, true
	case FaultDrip:
		bytes, every = true, true
	case FaultTruncate, FaultStallBody, FaultResetBody, FaultLength:
		bytes = true
	}
	want := fmt.Sprintf("none with Kind %q", f.Kind)
	return errors.Join(
		check(f.Kind != NoFault || f.Delay == 0, name+".Delay", f.Delay, want),
		check(sent || !f.Sent, name+".Sent", f.Sent, want),
		check(status || f.Status == 0, name+".Status", f.Status, want),
		check(status || len(f.Header) == 0, name+".Header", f.Header, want),
		check(status || f.Body == "", name+".Body", bodySize(f.Body), want),
		check(bytes || f.Bytes == 0, name+".Bytes", f.Bytes, want),
		check(every || f.Every == 0, name+".Every", f.Every, want),
	)
}

func bodySize(text string) string { return fmt.Sprintf("%d bytes long", len(text)) }
