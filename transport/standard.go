package transport

import (
	"cmp"
	"fmt"
	"iter"
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
//	throttle          one per host, if s.Throttle is set
//	breaker           one per host
//	limit             one per host; adapts to what the host can take
//	attempt span
//	streams           none that was cut short looks whole
//	attempt timeout   10 s to the first byte, 30 s between bytes
//
// All transports that the layer wraps share its budget, its cache and the figures
// of its ladder, which [Fidelity] finds. Each has
// throttles, breakers and limits of its own.
func Build(s policy.Stack) (Layer, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("transport: invalid stack: %w", err)
	}
	s = s.WithDefaults()
	observed := telemetry.Config{Function: s.Function, Logger: s.Logger, Classify: s.Classify}
	layers := []Layer{telemetry.ObserveCall(observed)}
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
	layers = append(layers,
		total,
		hedge,
		Retry(s.Retry),
		throttlePerHost(s.Throttle),
		perHost(s.Breaker, s.Limit),
		telemetry.ObserveAttempt(observed),
		Streams(*s.Streams),
		attempt,
	)
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

// walk yields the layers of rt, outermost first, and what they stand on.
func walk(rt http.RoundTripper) iter.Seq[http.RoundTripper] {
	return func(yield func(http.RoundTripper) bool) {
		for range maxWalk {
			if rt == nil || !yield(rt) {
				return
			}
			_, rt, _ = look(rt)
		}
	}
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

// perHost returns a layer with a breaker and a limiter for each host.
func perHost(breaker policy.Breaker, limit policy.Limit) Layer {
	if breaker.Off && limit.Off {
		return nil
	}
	return PerKey(Authority, func(authority string) Layer {
		b, l := breaker, limit
		b.Name, l.Name = cmp.Or(b.Name, authority), cmp.Or(l.Name, authority)
		layers := []Layer{NewBreaker(b).Wrap, NewLimiter(l).Wrap}
		return func(next http.RoundTripper) http.RoundTripper { return Chain(next, layers...) }
	})
}
