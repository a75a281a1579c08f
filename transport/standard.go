package transport

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

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
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("transport: invalid stack: %w", err)
	}
	s = s.WithDefaults()
	call := observed(s)
	call.Events = new(telemetry.Events)
	s.Breaker.OnTransition = alsoTo(call.Events, s.Function, s.Breaker.OnTransition)
	layers := []Layer{telemetry.ObserveCall(call)}
	if s.Responses != nil {
		layers = append(layers, Responses(*s.Responses))
	}
	memo := newMemo(s)
	if s.Fallback != nil {
		ladder, err := newLadder(s, memo)
		if err != nil {
			return nil, fmt.Errorf("transport: invalid stack: %w", err)
		}
		layers = append(layers, ladder.Wrap)
	}
	if memo != nil {
		layers = append(layers, memo.Wrap)
	}
	total, attempt := timeouts(s.Total, s.Attempt)
	var hedge Layer
	if s.Hedge != nil && !s.Hedge.Off {
		attempt = Timeout(s.Attempt) // a hedge's context is not the call's
		hedge = hedgeBeside(*s.Hedge, &s.Retry)
	}
	layers = append(layers, total, hedge, Retry(s.Retry), toEndpoints(s), attempt)
	return func(next http.RoundTripper) http.RoundTripper { return Chain(next, layers...) }, nil
}

// newMemo returns the cache of s, nil if it has none. Where there is a ladder, that
// says whether and when an answer past its lifetime makes up for a failure.
func newMemo(s policy.Stack) *cache.Memo {
	if s.Cache == nil || s.Cache.Off {
		return nil
	}
	cfg := cache.PredictionsConfig{Cache: *s.Cache}
	if s.Fallback != nil {
		cfg.Codec, cfg.HandOnFailures = s.Fallback.Codec, true
	}
	return cache.NewMemo(cfg)
}

// newLadder returns the ladder of the rungs that s sets up, in their order.
func newLadder(s policy.Stack, memo *cache.Memo) (*fallback.Ladder, error) {
	cfg := fallback.LadderConfig{
		Function: s.Function,
		Fidelity: s.Fallback.Fidelity,
		Codec:    s.Fallback.Codec,
		Classify: s.Fallback.Classify,
	}
	var rules *fallback.Fallback
	if len(s.Fallback.Rules) > 0 || s.Fallback.Static != nil {
		var err error
		if rules, err = fallback.New(*s.Fallback); err != nil {
			return nil, err
		}
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
	return fallback.NewLadder(cfg), nil
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

// hedgeBeside returns the layer that hedges, on one budget with retries.
func hedgeBeside(hedge policy.Hedge, retry *policy.Retry) Layer {
	if hedge.Bucket == nil {
		if retry.Bucket == nil {
			retry.Bucket = policy.NewBucket(retry.Budget)
		}
		hedge.Bucket = retry.Bucket
	}
	return NewHedge(hedge).Wrap
}

// toEndpoints returns what stands around attempts on their way to a host: layers for
// each, or for each endpoint if there is a failover.
func toEndpoints(s policy.Stack) Layer {
	if s.Failover == nil {
		return toHosts(s, observed(s))
	}
	endpoints := make(map[string]policy.Endpoint, len(s.Failover.Endpoints))
	for _, e := range s.Failover.Endpoints {
		endpoints[e.Name] = e
	}
	newLayer := func(name string) Layer {
		e := endpoints[name]
		own := observed(s.ForEndpoint(e))
		if len(endpoints) > 1 {
			own.Endpoint = name
		}
		if e.URL == "" { // it may have several hosts
			return toHosts(s.ForEndpoint(e), own)
		}
		return toHost(s.ForEndpoint(e), own)
	}
	return func(next http.RoundTripper) http.RoundTripper {
		f := NewFailover(*s.Failover, newLayer)
		f.astray = toHosts(s, observed(s))
		return f.Wrap(next)
	}
}

// toHosts returns the layers around requests that go to any host.
func toHosts(s policy.Stack, attempt telemetry.Config) Layer {
	return join(throttlePerHost(s.Throttle), perHost(s.Breaker, s.Limit), telemetry.ObserveAttempt(attempt), Streams(*s.Streams))
}

// toHost returns those around requests that go to one.
func toHost(s policy.Stack, attempt telemetry.Config) Layer {
	var throttle Layer
	if s.Throttle != nil {
		throttle = NewThrottle(*s.Throttle).Wrap
	}
	return join(throttle, NewBreaker(s.Breaker).Wrap, NewLimiter(s.Limit).Wrap, telemetry.ObserveAttempt(attempt), Streams(*s.Streams))
}

func join(layers ...Layer) Layer {
	return func(next http.RoundTripper) http.RoundTripper { return Chain(next, layers...) }
}

func observed(s policy.Stack) telemetry.Config {
	return telemetry.Config{Function: s.Function, Logger: s.Logger, Classify: s.Classify, Traceparent: s.Traceparent}
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

// alsoTo returns a hook that lets an operator know of changes, before the one that
// is given, which may be nil.
func alsoTo(events *telemetry.Events, function string, hook func(context.Context, policy.Transition)) func(context.Context, policy.Transition) {
	return func(ctx context.Context, tr policy.Transition) {
		events.Changed(function, tr)
		if hook != nil {
			hook(ctx, tr)
		}
	}
}

// perHost returns a layer with a breaker and a limiter for each host.
func perHost(breaker policy.Breaker, limit policy.Limit) Layer {
	if breaker.Off && limit.Off {
		return nil
	}
	return PerKey(Authority, func(authority string) Layer {
		b, l := breaker, limit
		b.Name, l.Name = cmp.Or(b.Name, authority), cmp.Or(l.Name, authority)
		return join(NewBreaker(b).Wrap, NewLimiter(l).Wrap)
	})
}
