package transport

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// Standard returns the whole stack that s describes, as one layer. It panics if
// s is not valid; use [Build] for settings that come from data.
func Standard(s policy.Stack) Layer {
	layer, err := Build(s)
	must(err)
	return layer
}

// Build returns the whole stack that s describes, as one layer, or an error that
// names everything that is wrong with s. From the outside in:
//
//	call span and trail
//	responses         if s.Responses is set
//	fallback          if s.Fallback is set: the ladder of its rungs
//	cache             if s.Cache is set
//	total timeout     30 s
//	hedge             if s.Hedge is set
//	retry and budget  3 attempts, full jitter, 10 % of successes
//	failover          if s.Failover is set: the choice of an endpoint
//	throttle          one per host or endpoint, if s.Throttle is set
//	breaker           one per host or endpoint
//	limit             one per host or endpoint; adapts to what that can take
//	attempt span
//	streams           none that was cut short looks whole
//	attempt timeout   10 s to the first byte, 30 s between bytes
//
// All transports that the layer wraps share its budget, its cache and the figures
// of its ladder, which [Fidelity] finds. Each has throttles, breakers, limits and
// a [Failover] of its own; [Failovers] finds that.
func Build(s policy.Stack) (Layer, error) {
	a, err := assemble(s, shared{})
	if err != nil {
		return nil, err
	}
	return func(next http.RoundTripper) http.RoundTripper { return a.around(next).rt }, nil
}

// An assembly is a stack that is ready to be put around transports.
type assembly struct {
	stack   policy.Stack // with its defaults
	shared  shared
	above   []Layer // from the call span to the retry: all transports share them
	attempt Layer   // the attempt timeout, which is innermost
}

// shared is the part of a stack's state that all transports share. What is nil is
// not known yet.
type shared struct {
	activity *telemetry.Activity
	events   *telemetry.Events
	bucket   *policy.Bucket // unless the stack was given one
	hedge    *Hedge
	memo     *cache.Memo
	ladder   *fallback.Ladder
}

// assemble returns an assembly of s that goes on with the state in known. If it fails,
// it has changed nothing of that.
func assemble(s policy.Stack, known shared) (*assembly, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("transport: invalid stack: %w", err)
	}
	s = s.WithDefaults()
	rules, err := newRules(s)
	if err != nil {
		return nil, fmt.Errorf("transport: invalid stack: %w", err)
	}
	a := &assembly{shared: known}
	call := telemetryConfig(s)
	call.Activity, call.Events = a.observers()
	s.Breaker.OnTransition = reportingTo(call.Events, s.Function, s.Breaker.OnTransition)
	a.above = []Layer{telemetry.ObserveCall(call)}
	if s.Responses != nil {
		a.above = append(a.above, Responses(*s.Responses))
	}
	a.shared.memo = newMemo(s, known.memo)
	a.shared.ladder = newLadder(s, a.shared.memo, rules, known.ladder)
	if a.shared.ladder != nil {
		a.above = append(a.above, a.shared.ladder.Wrap)
	}
	if a.shared.memo != nil {
		a.above = append(a.above, a.shared.memo.Wrap)
	}
	total, attempt := timeouts(s.Total, s.Attempt)
	a.budget(&s.Retry)
	var hedge Layer
	if s.Hedge != nil && !s.Hedge.Off {
		attempt = Timeout(s.Attempt) // a hedge's context is not the call's
		hedge = a.hedgeBeside(*s.Hedge, s.Retry)
	}
	a.above = append(a.above, total, hedge, Retry(s.Retry))
	a.stack, a.attempt = s, attempt
	return a, nil
}

// observers returns what counts the calls and where events go.
func (a *assembly) observers() (*telemetry.Activity, *telemetry.Events) {
	if a.shared.activity == nil {
		a.shared.activity, a.shared.events = new(telemetry.Activity), new(telemetry.Events)
	}
	return a.shared.activity, a.shared.events
}

// budget gives the retry layer its bucket.
func (a *assembly) budget(retry *policy.Retry) {
	switch {
	case retry.Bucket != nil:
		return
	case a.shared.bucket == nil:
		a.shared.bucket = policy.NewBucket(retry.Budget)
	default:
		a.shared.bucket.Change(retry.Budget, time.Now())
	}
	retry.Bucket = a.shared.bucket
}

// hedgeBeside returns the layer that hedges, on one budget with retries.
func (a *assembly) hedgeBeside(hedge policy.Hedge, retry policy.Retry) Layer {
	if hedge.Bucket == nil {
		hedge.Bucket = retry.Bucket
	}
	if a.shared.hedge == nil {
		a.shared.hedge = NewHedge(hedge)
	} else {
		a.shared.hedge = a.shared.hedge.With(hedge)
	}
	return a.shared.hedge.Wrap
}

// A chain is a stack around one transport.
type chain struct {
	rt      http.RoundTripper // all of it
	servers http.RoundTripper // from the choice of a server on
}

// around returns the stack around a transport.
func (a *assembly) around(next http.RoundTripper) *chain {
	c := &chain{servers: toEndpoints(a.stack)(Chain(next, a.attempt))}
	c.rt = Chain(c.servers, a.above...)
	return c
}

// newMemo returns the cache of s, nil if it has none. Where there is a ladder, that
// says whether and when an answer past its lifetime makes up for a failure.
func newMemo(s policy.Stack, known *cache.Memo) *cache.Memo {
	if s.Cache == nil || s.Cache.Off {
		return nil
	}
	cfg := cache.PredictionsConfig{Cache: *s.Cache}
	if s.Fallback != nil {
		cfg.Codec, cfg.HandOnFailures = s.Fallback.Codec, true
	}
	if known != nil {
		return known.With(cfg)
	}
	return cache.NewMemo(cfg)
}

// newRules returns what answers by the rules of s, nil if it has none.
func newRules(s policy.Stack) (*fallback.Fallback, error) {
	if s.Fallback == nil || len(s.Fallback.Rules) == 0 && s.Fallback.Static == nil {
		return nil, nil
	}
	return fallback.New(*s.Fallback)
}

// newLadder returns the ladder of the rungs that s sets up, in their order, nil if it
// has none.
func newLadder(s policy.Stack, memo *cache.Memo, rules *fallback.Fallback, known *fallback.Ladder) *fallback.Ladder {
	if s.Fallback == nil {
		return nil
	}
	cfg := fallback.LadderConfig{
		Function: s.Function,
		Fidelity: s.Fallback.Fidelity,
		Codec:    s.Fallback.Codec,
		Classify: s.Fallback.Classify,
	}
	for _, name := range s.LadderRungs() {
		switch name {
		case policy.RungStale:
			cfg.Rungs = append(cfg.Rungs, fallback.Rung{Name: name, Answer: memo.Stale})
		case policy.RungSimilar:
			cfg.Rungs = append(cfg.Rungs, fallback.Rung{Name: name, Answer: memo.Similar})
		case policy.RungRules:
			cfg.Rungs = append(cfg.Rungs, rules.Rules())
		case policy.RungStatic:
			cfg.Rungs = append(cfg.Rungs, rules.Static())
		}
	}
	if known != nil {
		return known.With(cfg)
	}
	return fallback.NewLadder(cfg)
}

// Fidelity returns how the rungs of the fallback ladders among the layers of rt
// compare with the service: see [fallback.Ladder.Fidelity] and [Inspect]. Ladders
// that [PerKey] keeps are not among them. It returns nil if there are none, or
// nothing has been compared yet.
func Fidelity(rt http.RoundTripper) []fallback.FidelityFigure {
	var figures []fallback.FidelityFigure
	for rt := range walk(rt) {
		if ladder, ok := rt.(interface {
			Fidelity() []fallback.FidelityFigure
		}); ok {
			figures = append(figures, ladder.Fidelity()...)
		}
	}
	return figures
}

// SimilarStats returns what the caches among the layers of rt found out about
// answers to similar questions: see [cache.Memo.SimilarStats] and [Inspect].
// Caches that [PerKey] keeps are not among them. It returns nil if there are none
// that look for such answers, or nothing was asked yet.
func SimilarStats(rt http.RoundTripper) []cache.SimilarStats {
	var stats []cache.SimilarStats
	for rt := range walk(rt) {
		if memo, ok := rt.(interface {
			SimilarStats() []cache.SimilarStats
		}); ok {
			stats = append(stats, memo.SimilarStats()...)
		}
	}
	return stats
}

// toEndpoints returns what stands around attempts on their way to a host: layers for
// each, or for each endpoint if there is a failover.
func toEndpoints(s policy.Stack) Layer {
	if s.Failover == nil {
		return toHosts(s, telemetryConfig(s))
	}
	endpoints := make(map[string]policy.Endpoint, len(s.Failover.Endpoints))
	for _, e := range s.Failover.Endpoints {
		endpoints[e.Name] = e
	}
	return func(next http.RoundTripper) http.RoundTripper {
		servers := make(map[string]*server, len(endpoints))
		f := NewFailover(*s.Failover, func(name string) Layer {
			e := endpoints[name]
			own := s.ForEndpoint(e)
			attempt := telemetryConfig(own)
			if len(endpoints) > 1 {
				attempt.Endpoint = name
			}
			if e.URL == "" { // it may have several hosts
				return toHosts(own, attempt)
			}
			servers[name] = newServer(own, nil)
			return join(servers[name].Wrap, onTheWire(own, attempt))
		})
		f.noEndpoint, f.servers = toHosts(s, telemetryConfig(s)), servers
		return f.Wrap(next)
	}
}

// toHosts returns the layers around requests that go to any host.
func toHosts(s policy.Stack, attempt telemetry.Config) Layer {
	var servers Layer
	if throttles := s.Throttle != nil && !s.Throttle.Off; throttles || !s.Breaker.Off || !s.Limit.Off {
		servers = perKeyOf(Authority, func(authority string, known *server) (Layer, *server) {
			sv := newServer(s.ForEndpoint(policy.Endpoint{Name: authority}), known)
			return sv.Wrap, sv
		})
	}
	return join(servers, onTheWire(s, attempt))
}

// onTheWire returns the layers around an attempt that is sent.
func onTheWire(s policy.Stack, attempt telemetry.Config) Layer {
	return join(telemetry.ObserveAttempt(attempt), Streams(*s.Streams))
}

func join(layers ...Layer) Layer {
	return func(next http.RoundTripper) http.RoundTripper { return Chain(next, layers...) }
}

func telemetryConfig(s policy.Stack) telemetry.Config {
	return telemetry.Config{
		Function: s.Function, Logger: s.Logger, Classify: s.Classify,
		Traceparent: s.Traceparent, RequestDuration: s.RequestDuration,
	}
}

// Failovers returns the failovers among the layers of rt, outermost first: to look
// at the state of their endpoints, or to probe them. See [Inspect]; those that
// [PerKey] keeps are not among them.
func Failovers(rt http.RoundTripper) []*Failover {
	var all []*Failover
	for rt := range walk(rt) {
		if f, ok := rt.(*failover); ok {
			all = append(all, f.Failover)
		}
	}
	return all
}

// reportingTo returns a hook that records a breaker's changes among the events that an
// operator sees, and then calls the one given, which may be nil.
func reportingTo(events *telemetry.Events, function string, hook func(context.Context, policy.Transition)) func(context.Context, policy.Transition) {
	return func(ctx context.Context, tr policy.Transition) {
		events.Changed(function, tr)
		if hook != nil {
			hook(ctx, tr)
		}
	}
}
