package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Failover sets how the traffic is shared among several endpoints, and what
// becomes of it when one of them fails.
type Failover struct {
	// Endpoints are those that can answer, 1 to 64, in the order of preference.
	Endpoints []Endpoint

	// Strategy says who is asked first. Zero means [Ordered].
	Strategy Strategy

	// Key returns what [Sticky] goes by: a conversation, a user. Requests of one
	// key go to one endpoint while it is well. It must be safe for concurrent use. It
	// must be set with Sticky, and is not used otherwise.
	Key func(*http.Request) string

	// Region is where we are: endpoints of another region are asked first only
	// while none of this one is in rotation. "" means that all regions are alike.
	Region string

	// Ejection takes endpoints that fail out of the rotation for a while.
	Ejection Ejection

	// Probe asks endpoints that are ejected whether they are back. Zero asks
	// nobody: an endpoint comes back when its time is up.
	Probe Probe

	// Budget bounds the extra requests. It is used by calls that are not made
	// through a retry layer; others draw on that layer's.
	Budget Budget

	// IsSecret reports whether a header field or a query parameter is meant only
	// for the endpoint that the caller addressed. Nil means the func [IsSecret]. It
	// must be safe for concurrent use.
	IsSecret func(name string) bool

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier

	// Random returns numbers in [0, 1) to choose by. Nil means
	// math/rand/v2.Float64. It must be safe for concurrent use.
	Random func() float64
}

// A Strategy says which of the endpoints in rotation is asked first.
type Strategy uint8

const (
	// Ordered asks the first one, always.
	Ordered Strategy = iota
	// RoundRobin asks one after the other.
	RoundRobin
	// Weighted asks them in proportion to their weights, evenly mixed (smooth weighted
	// round robin).
	Weighted
	// LeastLatency picks two at random and asks the one that answers sooner (the power
	// of two choices), by the requests under way and by an average of the latency that
	// jumps to a slow answer and falls gradually (a peak EWMA). An endpoint ten times
	// slower gets few requests, enough to see that it has become quick again.
	LeastLatency
	// Sticky asks the one that Failover.Key stands for by rendezvous hashing: each gets
	// keys in proportion to its weight, and when one goes, the keys of the others stay
	// where they are.
	Sticky
)

// String returns the name in lower case, such as "round robin".
func (s Strategy) String() string {
	names := [...]string{"ordered", "round robin", "weighted", "least latency", "sticky"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("strategy %d", uint8(s))
}

// Ejection sets when an endpoint is taken out of the rotation, and for how long. A
// fault is an outcome that tells of an outage; for an endpoint with its own
// credentials, wrong ones or a quota that is used up count, too. A caller's deadline is
// none if the endpoint usually needs more time than it left. A 429 is no fault, but the
// endpoint rests as long as it asks for, at most 60 s, while others are there.
type Ejection struct {
	// Off never ejects.
	Off bool

	// Faults is how many in a row eject an endpoint. Zero means 5.
	Faults int

	// SlowerThan is how many times longer than those of the quickest other one the
	// answers of an endpoint may take to their header: than nine in ten of those do,
	// and than they do now. Faults in a row that take longer, and more than 10 ms, put
	// it out like faults, but for one thing: it is still asked when nobody else is
	// left. With [Ordered], where the others may not be asked at all, they must take
	// that much longer than was usual of the endpoint itself, too; [LeastLatency] has
	// its own way. Zero means 5; negative means that slowness puts nobody out, for
	// endpoints that differ by their nature, or in what they are asked.
	SlowerThan float64

	// For is how long an endpoint stays out. It doubles with each time in a row,
	// up to MaxFor: who comes back and fails at once is out again. Zero means 10 s.
	For time.Duration

	// MaxFor bounds For as it grows. Zero means 2 min, or For if that is more.
	MaxFor time.Duration

	// MaxShare is the greatest share of endpoints that are out at a time; one of
	// several may always be. Zero means 0.7.
	MaxShare float64

	// PanicBelow is the share of endpoints that are well below which nobody is
	// held to be out: if almost all fail, it is better to ask all than to
	// overwhelm the few that are left. Zero means 0.3; negative means never.
	PanicBelow float64

	// SlowStart is the time over which an endpoint that comes back gets its full
	// share of traffic, from a tenth on. Zero means 10 s; negative means at once.
	SlowStart time.Duration
}

// Probe sets how endpoints that are ejected are asked whether they are back. It is
// for the methods of a failover that probe; nothing probes by itself.
type Probe struct {
	// Path is what a probe GETs, below the endpoint's URL, best something that
	// costs nothing: a list of models. A status below 400 means that the endpoint
	// is back. "" means that there are no probes.
	Path string

	// Timeout bounds a probe. Zero means 5 s.
	Timeout time.Duration

	// Every is the time between two probes of one endpoint. Zero means 10 s.
	Every time.Duration

	// PerDay bounds the probes of one endpoint in 24 h from the first, for a Path
	// that is billed. Zero means no bound.
	PerDay int
}

// WithDefaults returns a copy of f with its zero fields filled.
func (f Failover) WithDefaults() Failover {
	f.Endpoints = slices.Clone(f.Endpoints)
	for i := range f.Endpoints {
		f.Endpoints[i].Weight = cmp.Or(f.Endpoints[i].Weight, 1)
	}
	f.Ejection = f.Ejection.withDefaults()
	f.Probe.Timeout = cmp.Or(f.Probe.Timeout, 5*time.Second)
	f.Probe.Every = cmp.Or(f.Probe.Every, 10*time.Second)
	f.Budget = f.Budget.withDefaults()
	if f.IsSecret == nil {
		f.IsSecret = IsSecret
	}
	return f
}

func (e Ejection) withDefaults() Ejection {
	e.Faults = cmp.Or(e.Faults, 5)
	e.SlowerThan = cmp.Or(e.SlowerThan, 5)
	e.For = cmp.Or(e.For, 10*time.Second)
	e.MaxFor = cmp.Or(e.MaxFor, max(e.For, 2*time.Minute))
	e.MaxShare = cmp.Or(e.MaxShare, 0.7)
	e.PanicBelow = cmp.Or(e.PanicBelow, 0.3)
	e.SlowStart = cmp.Or(e.SlowStart, 10*time.Second)
	return e
}

// ForEjection returns how long the nth ejection in a row lasts, counted from 1.
func (e Ejection) ForEjection(n int) time.Duration {
	e = e.withDefaults()
	d := e.For
	for ; n > 1 && d < e.MaxFor; n-- {
		d = times(d, 2)
	}
	return min(d, e.MaxFor)
}

// Validate reports everything that is wrong with f, a zero field being right but
// for Endpoints.
func (f Failover) Validate() error {
	f = f.WithDefaults()
	errs := []error{
		check(len(f.Endpoints) >= 1 && len(f.Endpoints) <= 64, "Failover.Endpoints", len(f.Endpoints), "1 to 64"),
		check(f.Strategy <= Sticky, "Failover.Strategy", f.Strategy, "one that exists"),
		check(f.Strategy != Sticky || f.Key != nil, "Failover.Key", "nil", "a func, since Strategy is sticky"),
		f.Ejection.validate(),
		check(!strings.Contains(f.Probe.Path, "?"), "Failover.Probe.Path", "one with a query", "a path; the query of an endpoint's URL is added to it"),
		check(f.Probe.Timeout > 0, "Failover.Probe.Timeout", f.Probe.Timeout, "above 0"),
		check(f.Probe.Every > 0, "Failover.Probe.Every", f.Probe.Every, "above 0"),
		check(f.Probe.PerDay >= 0, "Failover.Probe.PerDay", f.Probe.PerDay, "at least 0"),
		f.Budget.validate("Failover.Budget"),
	}
	names := map[string]bool{}
	for i, e := range f.Endpoints {
		field := fmt.Sprintf("Failover.Endpoints[%d]", i)
		errs = append(errs, e.validate(field), check(!names[e.Name], field+".Name", strconv.Quote(e.Name), "one that no other has"))
		names[e.Name] = true
	}
	return errors.Join(errs...)
}

func (f *Failover) validate() error {
	if f == nil {
		return nil
	}
	return f.Validate()
}

func (e Ejection) validate() error {
	return errors.Join(
		check(e.Faults >= 1, "Failover.Ejection.Faults", e.Faults, "at least 1"),
		check(e.SlowerThan < 0 || e.SlowerThan > 1 && isFinite(e.SlowerThan), "Failover.Ejection.SlowerThan", e.SlowerThan, "above 1 and finite, or negative"),
		check(e.For > 0, "Failover.Ejection.For", e.For, "above 0"),
		check(e.MaxFor >= e.For, "Failover.Ejection.MaxFor", e.MaxFor, fmt.Sprintf("at least For, %v", e.For)),
		check(e.MaxShare > 0 && e.MaxShare <= 1, "Failover.Ejection.MaxShare", e.MaxShare, "above 0, at most 1"),
		check(e.PanicBelow <= 1, "Failover.Ejection.PanicBelow", e.PanicBelow, "at most 1"),
	)
}
