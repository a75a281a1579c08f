package policy

import (
	"cmp"
	"log/slog"
	"time"
)

// Stack sets a whole stack of layers, in the fixed order in which they are put
// together: outermost first. Its zero value is the standard stack: a total
// timeout, retries with a budget, a circuit breaker and an adaptive limit per
// host, attempt timeouts, an eye on the ends of event streams, and telemetry around
// them; no cache, no fallback, no throttle, and errors for refusals.
type Stack struct {
	// Function names what the stack is for in spans, metrics, errors and rules.
	// It is used for requests that carry no [Call] of their own. May be "".
	Function string `config:"-"`

	// Logger gets a record for each event an operator should know of. Nil means
	// none.
	Logger *slog.Logger

	// Traceparent says that attempts carry traceparent, by which the service can tell
	// what trace they are part of. Baggage is never added.
	Traceparent bool

	// RequestDuration has attempts recorded as http.client.request.duration, too, the
	// metric of OpenTelemetry's conventions for HTTP clients. It is for programs in
	// which nothing else records that, such as otelhttp.
	RequestDuration bool

	// Responses makes responses of refusals, for an SDK above the stack. Nil means
	// that they stay errors.
	Responses *Responses

	// Fallback answers when all else failed. Nil means that the call fails.
	Fallback *Fallback

	// Cache remembers answers to POST requests marked [Call.Replayable]. Nil
	// means none.
	Cache *Cache

	// Total bounds the whole call, all attempts, waits and the body. Zero means
	// 30 s; negative means no bound.
	Total time.Duration

	// Hedge sends what takes long once more beside itself. It draws on the budget of
	// Retry, too, unless it has a Bucket of its own, and mints an Idempotency-Key if
	// Retry does. Nil means that nothing is hedged.
	Hedge *Hedge

	// Retry repeats failed attempts.
	Retry Retry

	// Failover sends each attempt to one of several endpoints, and to another one if
	// that fails. It draws on the budget of Retry, unless that is off. Each endpoint
	// has a Throttle, a Breaker and a Limit of its own, with the settings below and,
	// if it has one, its own classifier. Nil means that requests go where they are
	// addressed to.
	Failover *Failover

	// Throttle refuses a part of the requests to a host that turns many of them
	// away, for that attempt and without a retry. There is one for each host that
	// the stack meets, or for each endpoint of Failover. Nil means none.
	Throttle *Throttle

	// Breaker stops the traffic to a host that is down. There is one for each host
	// that the stack meets, or for each endpoint of Failover. Its Window, if zero, is
	// twice Attempt.FirstByte if that is more than 30 s, and its ProbeLease, if zero,
	// is Attempt.FirstByte if that is more than 15 s.
	Breaker Breaker

	// Limit bounds the requests in flight to what a host can take. There is one
	// for each host that the stack meets, or for each endpoint of Failover: its
	// bounds are an endpoint's, not those of all together.
	Limit Limit

	// Streams looks after answers that are event streams. Nil means the zero
	// [Streams], which sees to it that none that was cut short looks whole.
	Streams *Streams

	// Attempt bounds each attempt. Its FirstByte, if it is zero, is half of Total if
	// that is less than the 10 s that zero stands for.
	Attempt Timeout

	// Classify decides what an outcome means for those layers that have no
	// classifier of their own. Nil means [Classify].
	Classify Classifier
}

// Default returns the standard stack, to change some of it: that of zero fields, so that
// what follows from a field does so when it is changed. [Stack.WithDefaults] writes all of
// it out.
func Default() Stack { return Stack{} }

// WithDefaults returns a copy of s with its zero fields filled.
func (s Stack) WithDefaults() Stack {
	s.Total = cmp.Or(s.Total, 30*time.Second)
	if s.Classify == nil {
		s.Classify = Classify
	}
	givenFirstByte := s.Attempt.FirstByte != 0
	s.Attempt = s.Attempt.WithDefaults()
	if !givenFirstByte && s.Total > 0 {
		s.Attempt.FirstByte = min(s.Attempt.FirstByte, s.Total/2)
	}
	if s.Breaker.Window == 0 {
		s.Breaker.Window = max(defaultWindow, times(s.Attempt.FirstByte, 2))
	}
	if s.Breaker.ProbeLease == 0 {
		s.Breaker.ProbeLease = max(defaultProbeLease, s.Attempt.FirstByte)
	}
	s.Retry = s.Retry.WithDefaults()
	s.Retry.Classify = orClassifier(s.Retry.Classify, s.Classify)
	if s.Hedge != nil {
		hedge := s.Hedge.WithDefaults()
		hedge.Classify = orClassifier(hedge.Classify, s.Classify)
		hedge.IdempotencyKey = hedge.IdempotencyKey || s.Retry.IdempotencyKey
		s.Hedge = &hedge
	}
	if s.Failover != nil {
		failover := s.Failover.WithDefaults()
		failover.Classify = orClassifier(failover.Classify, s.Classify)
		s.Failover = &failover
	}
	s.Breaker = s.Breaker.WithDefaults()
	s.Breaker.Classify = orClassifier(s.Breaker.Classify, s.Classify)
	if s.Breaker.Logger == nil {
		s.Breaker.Logger = s.Logger
	}
	if s.Limit.MaxWait == 0 && s.Total > 0 {
		s.Limit.MaxWait = s.Total / 5
	}
	s.Limit = s.Limit.WithDefaults()
	if !s.Limit.Off && s.Limit.InFlight == 0 {
		s.Breaker.TolerateTimeouts = true
	}
	s.Limit.Classify = orClassifier(s.Limit.Classify, s.Classify)
	if s.Throttle != nil {
		throttle := s.Throttle.WithDefaults()
		throttle.Classify = orClassifier(throttle.Classify, s.Classify)
		s.Throttle = &throttle
	}
	if s.Streams == nil {
		s.Streams = &Streams{}
	}
	streams := s.Streams.WithDefaults()
	s.Streams = &streams
	if s.Cache != nil {
		cache := s.Cache.WithDefaults()
		cache.Classify = orClassifier(cache.Classify, s.Classify)
		s.Cache = &cache
	}
	if s.Responses != nil {
		responses := s.Responses.WithDefaults()
		responses.Classify = orClassifier(responses.Classify, s.Classify)
		s.Responses = &responses
	}
	if s.Fallback != nil {
		fallback := s.Fallback.WithDefaults()
		fallback.Classify = orClassifier(fallback.Classify, s.Classify)
		s.Fallback = &fallback
	}
	return s
}

// ForEndpoint returns a copy of s as it is for one endpoint: the names of throttle,
// breaker and limit, if they have none, are the endpoint's, and the classifiers are,
// if it has one.
func (s Stack) ForEndpoint(e Endpoint) Stack {
	s.Breaker.Name, s.Limit.Name = cmp.Or(s.Breaker.Name, e.Name), cmp.Or(s.Limit.Name, e.Name)
	if s.Throttle != nil {
		throttle := *s.Throttle
		throttle.Name = cmp.Or(throttle.Name, e.Name)
		s.Throttle = &throttle
	}
	if e.Classify == nil {
		return s
	}
	s.Classify, s.Breaker.Classify, s.Limit.Classify = e.Classify, e.Classify, e.Classify
	if s.Throttle != nil {
		s.Throttle.Classify = e.Classify
	}
	return s
}

func orClassifier(own, shared Classifier) Classifier {
	if own != nil {
		return own
	}
	return shared
}
