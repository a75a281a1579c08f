package policy

import "slices"

// A Kind says what a layer does.
type Kind string

// The kinds, with the type of their settings.
const (
	KindCall      Kind = "call"      // the record of a call; none
	KindResponses Kind = "responses" // [Responses]
	KindFallback  Kind = "fallback"  // [Fallback]
	KindCache     Kind = "cache"     // [Cache]
	KindTimeout   Kind = "timeout"   // [Timeout]
	KindHedge     Kind = "hedge"     // [Hedge]
	KindRetry     Kind = "retry"     // [Retry]
	KindThrottle  Kind = "throttle"  // [Throttle]
	KindFailover  Kind = "failover"  // [Failover]
	KindBreaker   Kind = "breaker"   // [Breaker]
	KindLimit     Kind = "limit"     // [Limit]
	KindAttempt   Kind = "attempt"   // the record of an attempt; none
	KindStreams   Kind = "streams"   // [Streams]
	KindFaults    Kind = "faults"    // [Faults]

	// KindForeign is a layer of which nothing is known.
	KindForeign Kind = "foreign"

	// KindBase is what the layers stand on: the transport that has no other one
	// below it, as far as can be seen.
	KindBase Kind = "base"
)

// A Part is one layer of a stack as [Lint] and [Explain] see it.
type Part struct {
	Kind Kind

	// Name tells apart what is of one kind. For a foreign layer and for the base
	// it is the Go type. May be "".
	Name string

	// Key names what the layer is kept apart by, if there is one for each host,
	// function or the like: the func that tells them apart. "" means that there
	// is one for all.
	Key string

	// Endpoint is the one of the [Failover] around whose layer it is: those of all
	// endpoints follow on the failover, one endpoint after the other, and what they
	// all stand on comes after them. "" means that it is none's.
	Endpoint string

	// Settings are the layer's, of the type that Kind tells. Nil stands for the
	// zero value.
	Settings any
}

// hostKey is the Key of what a Stack has for each host.
const hostKey = "transport.Authority"

// Parts returns the layers that s describes, outermost first, as
// [transport.Build] puts them together. Those that are off are left out.
//
// [transport.Build]: https://pkg.go.dev/github.com/sparekey/sparekey/transport#Build
func (s Stack) Parts() []Part {
	s = s.WithDefaults()
	parts := []Part{{Kind: KindCall, Name: s.Function}}
	if s.Responses != nil {
		parts = append(parts, Part{Kind: KindResponses, Settings: *s.Responses})
	}
	if s.Fallback != nil {
		parts = append(parts, Part{Kind: KindFallback, Settings: s.Fallback.ladder(s.Cache)})
	}
	if s.Cache != nil {
		parts = append(parts, Part{Kind: KindCache, Settings: *s.Cache})
	}
	if s.Total > 0 {
		total := Timeout{Scope: "total", Total: s.Total, FirstByte: -1, Idle: -1}
		parts = append(parts, Part{Kind: KindTimeout, Name: total.Scope, Settings: total})
	}
	if s.Hedge != nil {
		parts = append(parts, Part{Kind: KindHedge, Settings: *s.Hedge})
	}
	parts = append(parts, Part{Kind: KindRetry, Settings: s.Retry})
	if s.Failover == nil {
		parts = append(parts, s.wireParts(Endpoint{})...)
	} else {
		parts = append(parts, Part{Kind: KindFailover, Settings: *s.Failover})
		for _, e := range s.Failover.Endpoints {
			parts = append(parts, s.wireParts(e)...)
		}
	}
	return withoutOff(append(parts, Part{Kind: KindTimeout, Name: s.Attempt.Scope, Settings: s.Attempt}))
}

// wireParts returns the layers that each host has, or each endpoint if e is one.
func (s Stack) wireParts(e Endpoint) []Part {
	s = s.ForEndpoint(e)
	key := hostKey
	if e.URL != "" {
		key = "" // it has one host
	}
	var parts []Part
	if s.Throttle != nil {
		parts = append(parts, Part{Kind: KindThrottle, Name: s.Throttle.Name, Key: key, Settings: *s.Throttle})
	}
	parts = append(parts,
		Part{Kind: KindBreaker, Name: s.Breaker.Name, Key: key, Settings: s.Breaker},
		Part{Kind: KindLimit, Name: s.Limit.Name, Key: key, Settings: s.Limit},
		Part{Kind: KindAttempt, Name: s.Function},
		Part{Kind: KindStreams, Settings: *s.Streams},
	)
	for i := range parts {
		parts[i].Endpoint = e.Name
	}
	return parts
}

// withoutOff returns the parts that are not switched off.
func withoutOff(parts []Part) []Part {
	return slices.DeleteFunc(slices.Clone(parts), Part.isOff)
}

func (p Part) isOff() bool {
	switch settings := p.Settings.(type) {
	case Cache:
		return settings.Off
	case Timeout:
		return settings.Off
	case Hedge:
		return settings.Off
	case Retry:
		return settings.Off
	case Throttle:
		return settings.Off
	case Breaker:
		return settings.Off
	case Limit:
		return settings.Off
	case Streams:
		return settings.Off
	case Faults:
		return settings.Off
	}
	return false
}

// The settings with their defaults filled, zero ones if the part has others.

func (p Part) fallback() Fallback { return settingsOf[Fallback](p).WithDefaults() }
func (p Part) cache() Cache       { return settingsOf[Cache](p).WithDefaults() }
func (p Part) timeout() Timeout   { return settingsOf[Timeout](p).WithDefaults() }
func (p Part) hedge() Hedge       { return settingsOf[Hedge](p).WithDefaults() }
func (p Part) retry() Retry       { return settingsOf[Retry](p).WithDefaults() }
func (p Part) throttle() Throttle { return settingsOf[Throttle](p).WithDefaults() }
func (p Part) failover() Failover { return settingsOf[Failover](p).WithDefaults() }
func (p Part) breaker() Breaker   { return settingsOf[Breaker](p).WithDefaults() }
func (p Part) limit() Limit       { return settingsOf[Limit](p).WithDefaults() }
func (p Part) streams() Streams   { return settingsOf[Streams](p).WithDefaults() }
func (p Part) faults() Faults     { return settingsOf[Faults](p).WithDefaults() }

func settingsOf[T any](p Part) T {
	settings, _ := p.Settings.(T)
	return settings
}

// String names the part, for example "total timeout" or "breaker".
func (p Part) String() string {
	switch p.Kind {
	case KindTimeout:
		return p.timeout().Scope + " timeout"
	case KindForeign, KindBase:
		return p.Name
	}
	return string(p.Kind)
}
