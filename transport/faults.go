package transport

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// Faults makes things go wrong on purpose: connections that are refused or
// reset, errors in the server's name, latency, bodies that drip, stall or break
// off. Its place is innermost, so that to every other layer a fault looks like
// the server's own or the network's. What goes wrong is set by [policy.Faults],
// for one request by [WithFaults].
//
// Requests that are left to the Mix are counted as they arrive, and the nth gets
// the nth fate: see [policy.Faults.Fate]. So one caller who sends one request
// after the other meets the same faults in every run. Concurrent callers
// together meet the same faults, too, but which of them meets which is up to the
// order in which they arrive; give each a Faults of its own, as by [PerKey], to
// have that repeatable as well.
//
// One Faults is one count, shared by every transport it wraps. It is safe for
// concurrent use.
type Faults struct {
	current atomic.Pointer[faultRun]
}

// faultRun is one set of settings and the count of requests since it came into
// force.
type faultRun struct {
	cfg     policy.Faults
	arrived atomic.Uint64 // that were left to the Mix
}

// NewFaults returns a Faults. It panics if the settings are not valid.
func NewFaults(cfg policy.Faults) *Faults {
	f := &Faults{}
	must(f.Set(cfg))
	return f
}

// Set puts other settings in force and begins to count anew. Requests under way
// keep their fate. If the settings are not valid it returns why and changes
// nothing.
func (f *Faults) Set(cfg policy.Faults) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	f.current.Store(&faultRun{cfg: cfg.WithDefaults()})
	return nil
}

// Wrap is a [Layer].
func (f *Faults) Wrap(next http.RoundTripper) http.RoundTripper {
	return &faults{Faults: f, next: next}
}

type faults struct {
	*Faults
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (f *faults) CloseIdleConnections() { body.CloseIdle(f.next) }

func (f *faults) RoundTrip(req *http.Request) (*http.Response, error) {
	run := f.current.Load()
	if run.cfg.Off {
		return f.next.RoundTrip(req)
	}
	taken := false
	defer func() {
		if !taken { // an error, or a panic below, in Choose or in OnFault
			body.CloseRequest(req)
		}
	}()
	fault, err := run.fate(req)
	if err != nil {
		return nil, err
	}
	if fault.Kind != policy.NoFault && run.cfg.OnFault != nil {
		run.cfg.OnFault(req.Context(), fault)
	}
	resp, err := strike(fault, req, f.next)
	taken = true
	return resp, err
}

// fate returns the fault that strikes req, or the zero Fault.
func (r *faultRun) fate(req *http.Request) (policy.Fault, error) {
	if script, ok := req.Context().Value(faultKey{}).(*faultScript); ok {
		return script.take(), nil
	}
	if r.cfg.Choose != nil {
		if fault, ok := r.cfg.Choose(req); ok {
			if err := fault.Validate(); err != nil {
				return policy.Fault{}, fmt.Errorf("transport: Faults.Choose: %w", err)
			}
			return fault.WithDefaults(), nil
		}
	}
	return r.cfg.Fate(r.arrived.Add(1)), nil
}

type faultKey struct{}

// WithFaults returns a context whose requests meet these faults, whatever the
// settings of [Faults] are, unless those are Off: the first request the first
// fault, and so on; the last one is repeated for ever. A zero Fault lets its
// request pass, so does an empty script. Attempts of one call are requests here,
// and take from the script one by one.
//
// It panics if a fault is not valid.
func WithFaults(ctx context.Context, script ...policy.Fault) context.Context {
	s := &faultScript{}
	for _, fault := range script {
		must(fault.Validate())
		s.faults = append(s.faults, fault.WithDefaults())
	}
	return context.WithValue(ctx, faultKey{}, s)
}

// faultScript is what [WithFaults] puts into a context.
type faultScript struct {
	faults []policy.Fault
	taken  atomic.Uint64
}

func (s *faultScript) take() policy.Fault {
	if len(s.faults) == 0 {
		return policy.Fault{}
	}
	n := min(s.taken.Add(1), uint64(len(s.faults)))
	return s.faults[n-1]
}
