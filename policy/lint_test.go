package policy_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

const (
	ms   = time.Millisecond
	sec  = time.Second
	mins = time.Minute
)

// partOf returns the part with these settings, which may also be a kind.
func partOf(settings any) policy.Part {
	switch s := settings.(type) {
	case policy.Part:
		return s
	case policy.Kind:
		return policy.Part{Kind: s, Name: string(s)}
	case policy.Responses:
		return policy.Part{Kind: policy.KindResponses, Settings: s}
	case policy.Fallback:
		return policy.Part{Kind: policy.KindFallback, Settings: s}
	case policy.Cache:
		return policy.Part{Kind: policy.KindCache, Settings: s}
	case policy.Timeout:
		return policy.Part{Kind: policy.KindTimeout, Name: s.Scope, Settings: s}
	case policy.Hedge:
		return policy.Part{Kind: policy.KindHedge, Settings: s}
	case policy.Retry:
		return policy.Part{Kind: policy.KindRetry, Settings: s}
	case policy.Throttle:
		return policy.Part{Kind: policy.KindThrottle, Name: s.Name, Settings: s}
	case policy.Failover:
		return policy.Part{Kind: policy.KindFailover, Settings: s}
	case policy.Breaker:
		return policy.Part{Kind: policy.KindBreaker, Name: s.Name, Settings: s}
	case policy.Limit:
		return policy.Part{Kind: policy.KindLimit, Name: s.Name, Settings: s}
	case policy.Streams:
		return policy.Part{Kind: policy.KindStreams, Settings: s}
	case policy.Faults:
		return policy.Part{Kind: policy.KindFaults, Settings: s}
	}
	panic(fmt.Sprintf("no kind has settings of type %T", settings))
}

// chain returns parts from settings and kinds, outermost first.
func chain(all ...any) []policy.Part {
	parts := make([]policy.Part, len(all))
	for i, one := range all {
		parts[i] = partOf(one)
	}
	return parts
}

// per returns a part of which there is one for each key.
func per(key string, settings any) policy.Part {
	p := partOf(settings)
	p.Key = key
	return p
}

// of returns a part of an endpoint.
func of(endpoint string, settings any) policy.Part {
	p := partOf(settings)
	p.Endpoint = endpoint
	return p
}

// total returns a timeout of the whole call.
func total(d time.Duration) policy.Timeout {
	return policy.Timeout{Scope: "total", Total: d, FirstByte: -1, Idle: -1}
}

// Settings that say nothing but what kind they are of.
var (
	call     = policy.KindCall
	attempt  = policy.KindAttempt
	foreign  = policy.KindForeign
	cached   = policy.Cache{}
	hedge    = policy.Hedge{}
	retry    = policy.Retry{}
	throttle = policy.Throttle{}
	breaker  = policy.Breaker{}
	limit    = policy.Limit{}
	fixed    = policy.Limit{InFlight: 10}
	timeout  = policy.Timeout{}
	streams  = policy.Streams{}
	faults   = policy.Faults{}
	forSDK   = policy.Responses{}
	guesses  = policy.Fallback{Static: &policy.Answer{Label: "other"}}
	failover = policy.Failover{Endpoints: []policy.Endpoint{{Name: "eu"}, {Name: "us"}}}
	once     = policy.Retry{Attempts: 1}
	patient  = policy.Timeout{FirstByte: 20 * sec}
	patientB = policy.Breaker{Window: mins, ProbeLease: 20 * sec}
)

// badStacks are stacks whose layers defeat each other, with all that is found.
var badStacks = []struct {
	name  string
	parts []policy.Part
	want  []string // how each finding starts
}{
	// Orders.
	{"hedge around cache", chain(call, hedge, cached), []string{"hedge around cache: what the cache answers at once"}},
	{"hedge around fallback", chain(call, hedge, guesses), []string{"hedge around fallback: a guess wins"}},
	{"hedge around total", chain(call, hedge, total(30*sec), retry), []string{"hedge around total timeout: it bounds each of the requests"}},
	{"hedge inside retry", chain(call, total(30*sec), retry, hedge, breaker), []string{"retry around hedge: each attempt may become several"}},
	{"hedge inside breaker", chain(call, breaker, hedge), []string{"breaker around hedge: it sees calls"}},
	{"hedge inside throttle", chain(call, throttle, hedge), []string{"throttle around hedge: it sees calls"}},
	{"hedge inside an adaptive limit", chain(call, limit, hedge), []string{"limit around hedge: a limit that adapts"}},
	{"hedge inside attempt", chain(call, attempt, hedge), []string{"attempt around hedge: requests that go side by side"}},
	{"hedge around call", chain(hedge, call, retry), []string{"hedge around call: what it does is missing"}},
	{"faults around hedge", chain(call, faults, hedge), []string{"faults around hedge: the faults never reach it"}},
	{"two hedges", chain(call, hedge, hedge), []string{"hedge around hedge: each hedge may be hedged"}},
	{
		"a hedge after the call", policy.Stack{Total: sec, Hedge: &policy.Hedge{Delay: sec}}.Parts(),
		[]string{"Hedge.Delay 1s must be below total timeout's Total 1s"},
	},
	{
		"a hedge without a token", chain(policy.Hedge{Bucket: policy.NewBucket(policy.Budget{Burst: 0.5})}),
		[]string{"the budget of Hedge.Bucket has a Burst of 0.5"},
	},
	{
		"endpoints that hang until the call is over", policy.Stack{
			Total: sec, Attempt: policy.Timeout{FirstByte: 2 * sec}, Breaker: patientB,
			Retry: policy.Retry{Off: true}, Limit: policy.Limit{Off: true}, Failover: &failover,
		}.Parts(),
		[]string{"attempt timeout's FirstByte 2s must be below total timeout's Total 1s: no endpoint times out before the call does"},
	},
	{
		"what is wrong with each endpoint is said once", policy.Stack{Total: 10 * sec, Limit: policy.Limit{MaxWait: mins}, Failover: &failover}.Parts(),
		[]string{"Limit.MaxWait 1m0s must be below total timeout's Total 10s"},
	},
	{"retry around cache", chain(call, retry, cached, breaker), []string{"retry around cache: a stale answer"}},
	{"breaker around cache", chain(call, breaker, cached), []string{"breaker around cache: an open breaker"}},
	{"limit around cache", chain(call, fixed, cached, retry), []string{"limit around cache: what the cache answers waits"}},
	{"attempt around cache", chain(call, attempt, cached), []string{"attempt around cache: what the cache answers is recorded"}},
	{"retry around fallback", chain(call, retry, guesses), []string{"retry around fallback: a guess"}},
	{"breaker around fallback", chain(call, breaker, guesses), []string{"breaker around fallback: failures reach"}},
	{"cache around fallback", chain(call, cached, guesses, retry), []string{"cache around fallback: the cache never sees"}},
	{"limit around fallback", chain(call, fixed, guesses), []string{"limit around fallback: what the limit refuses"}},
	{"attempt around fallback", chain(call, attempt, guesses), []string{"attempt around fallback: a guess is recorded"}},
	{"throttle around cache", chain(call, retry, throttle, cached), []string{"retry around cache", "throttle around cache: it refuses what"}},
	{"throttle around fallback", chain(call, throttle, guesses), []string{"throttle around fallback: a guess hides"}},
	{"throttle around retry", chain(call, throttle, retry, breaker), []string{"throttle around retry: it sees calls"}},
	{"throttle inside breaker", chain(call, retry, breaker, throttle), []string{"breaker around throttle: the throttle refuses the probes"}},
	{"attempt around throttle", chain(call, retry, attempt, throttle), []string{"attempt around throttle: what the throttle refuses"}},
	{"failover around retry", chain(call, failover, retry), []string{"failover around retry: it asks an endpoint that fails again"}},
	{"failover around fallback", chain(call, failover, guesses), []string{"failover around fallback: a guess takes"}},
	{"breaker around failover", chain(call, retry, breaker, failover), []string{"breaker around failover: it counts for all"}},
	{"throttle around failover", chain(call, retry, throttle, failover), []string{"throttle around failover: it refuses for all"}},
	{"attempt around failover", chain(call, retry, attempt, failover), []string{"attempt around failover: what several"}},
	{"failover around call", chain(failover, call, retry), []string{"failover around call", "failover around retry"}},
	{"faults around failover", chain(call, faults, failover), []string{"faults around failover"}},
	{"throttle around call", chain(throttle, call, breaker), []string{"throttle around call"}},
	{"faults around throttle", chain(call, faults, throttle), []string{"faults around throttle"}},
	{"two throttles", chain(call, retry, throttle, throttle), []string{"throttle around throttle: both refuse a share"}},
	{"responses innermost", chain(call, guesses, cached, retry, throttle, breaker, fixed, attempt, forSDK), []string{
		"fallback around responses: it takes refusals", "cache around responses", "retry around responses", "throttle around responses",
		"breaker around responses", "limit around responses", "attempt around responses",
	}},
	{"faults around responses", chain(faults, forSDK), []string{"faults around responses"}},
	{
		"fallback innermost", chain(call, cached, retry, breaker, guesses),
		[]string{"cache around fallback", "retry around fallback", "breaker around fallback"},
	},
	{
		"cache innermost", chain(call, retry, breaker, limit, cached),
		[]string{"retry around cache", "breaker around cache", "limit around cache"},
	},
	{"breaker around retry", chain(call, total(30*sec), breaker, retry, timeout), []string{"breaker around retry: it sees calls"}},
	{"breaker per host around retry", chain(call, per("transport.Authority", breaker), retry), []string{"breaker around retry"}},
	{"adaptive limit around retry", chain(call, limit, retry, breaker), []string{"limit around retry: a limit that adapts"}},
	{"adaptive limit and rate around retry", chain(call, policy.Limit{PerSecond: 5}, retry), []string{"limit around retry"}},
	{"total inside retry", chain(call, retry, breaker, total(30*sec)), []string{"retry around total timeout: it bounds each attempt", "Breaker.ProbeLease 15s must not be below total timeout's Total 30s"}},
	{"attempt around retry", chain(call, attempt, retry, timeout), []string{"attempt around retry: a call with all"}},
	{"attempt around breaker", chain(call, retry, attempt, breaker, timeout), []string{"attempt around breaker: what the breaker refuses"}},
	{"retry around call", chain(retry, call, breaker), []string{"retry around call: what it does is missing"}},
	{"cache around call", chain(cached, call, retry), []string{"cache around call"}},
	{"fallback around call", chain(guesses, call, retry), []string{"fallback around call"}},
	{"timeout around call", chain(total(30*sec), call, retry), []string{"total timeout around call"}},
	{"breaker around call", chain(breaker, call, attempt), []string{"breaker around call"}},
	{"attempt around call", chain(attempt, call, retry), []string{"attempt around call", "attempt around retry"}},
	{"call innermost", chain(retry, breaker, call), []string{"retry around call", "breaker around call"}},
	{"faults around retry", chain(call, faults, retry), []string{"faults around retry: the faults never reach it"}},
	{"faults around attempt timeout", chain(call, retry, faults, timeout), []string{"faults around attempt timeout"}},
	{"faults around breaker", chain(call, retry, faults, breaker), []string{"faults around breaker"}},
	{"faults outermost", chain(faults, call, cached), []string{"faults around call", "faults around cache"}},
	{"faults around limit", chain(faults, limit), []string{"faults around limit"}},
	{"faults around a fallback", chain(call, faults, guesses, retry), []string{"faults around fallback", "faults around retry"}},
	{"streams around retry", chain(call, streams, retry), []string{"streams around retry: it takes a stream that was cut short for whole"}},
	{"streams around breaker", chain(call, retry, streams, breaker, attempt), []string{"streams around breaker", "streams around attempt: it takes"}},
	{"streams around throttle", chain(call, streams, throttle), []string{"streams around throttle"}},
	{"streams around call", chain(streams, call), []string{"streams around call"}},
	{"faults around streams", chain(call, attempt, faults, streams), []string{"faults around streams: the faults never reach it"}},
	{
		"streams that hold too much", chain(policy.Streams{HoldBytes: 1<<20 + 1, HoldTime: -1}),
		[]string{"Streams.HoldBytes is 1048577, want 0 to 1048576", "Streams.HoldTime is -1ns, want above 0"},
	},
	{"faults around an attempt", chain(call, retry, faults, attempt, timeout), []string{"faults around attempt: the faults never reach it", "faults around attempt timeout"}},

	// What a failover, a hedge and their neighbours do to each other.
	{"failover around cache", chain(call, failover, cached), []string{"failover around cache: a stale answer takes"}},
	{"a cache in one endpoint's layers", []policy.Part{partOf(call), partOf(failover), of("eu", cached), of("us", breaker)}, []string{"failover around cache"}},
	{"a guess in one endpoint's layers", []policy.Part{partOf(call), partOf(failover), of("eu", breaker), of("us", guesses)}, []string{"failover around fallback"}},
	{"a retry in one endpoint's layers", []policy.Part{partOf(call), partOf(failover), of("us", retry)}, []string{"failover around retry"}},
	{"failover around total", chain(call, failover, total(30*sec)), []string{"failover around total timeout: it bounds what each endpoint"}},
	{"failover around responses", chain(call, failover, forSDK), []string{"failover around responses: it takes refusals"}},
	{"adaptive limit around failover", chain(call, limit, failover), []string{"limit around failover: a limit that adapts takes"}},
	{"adaptive limit per function around retry and failover", chain(call, per("main.function", limit), retry, failover), []string{"limit around retry", "limit around failover"}},
	{"streams around failover", chain(call, streams, failover), []string{"streams around failover: it takes a stream that was cut short for whole"}},
	{"streams around hedge", chain(call, streams, hedge), []string{"streams around hedge: it takes a stream that was cut short for whole"}},
	{"streams around all that count", chain(call, streams, hedge, retry, failover, throttle, breaker, attempt), []string{
		"streams around hedge", "streams around retry", "streams around failover", "streams around throttle", "streams around breaker", "streams around attempt",
	}},
	{"a hedge with room for one", chain(call, hedge, retry, policy.Limit{InFlight: 1}), []string{"limit inside hedge lets one request be in flight: none can go beside another"}},
	{"a hedge with room for one on each host", chain(call, hedge, per("transport.Authority", policy.Limit{InFlight: 1})), []string{"limit inside hedge"}},
	{"a hedge with room that never grows beyond one", chain(call, hedge, policy.Limit{Adaptive: policy.Adaptive{Initial: 1, Max: 1}}), []string{"limit inside hedge"}},
	{"a hedge in a stack with room for one", policy.Stack{Hedge: &policy.Hedge{}, Limit: policy.Limit{InFlight: 1}}.Parts(), []string{"limit inside hedge"}},
	{
		"a hedge whose budget never grows", chain(policy.Hedge{Bucket: policy.NewBucket(policy.Budget{Ratio: -1, PerSecond: -1, Burst: 3})}),
		[]string{"the budget of Hedge.Bucket has neither Ratio nor PerSecond: after the first 3 hedges"},
	},
	{"slow calls that the call's end cuts short", chain(call, total(5*sec), retry, policy.Breaker{SlowCall: 5 * sec}), []string{"Breaker.SlowCall 5s must be below total timeout's Total 5s"}},
	{"slow calls between two limits", chain(call, total(5*sec), policy.Breaker{SlowCall: 6 * sec}, timeout), []string{"Breaker.SlowCall 6s must be below total timeout's Total 5s"}},
	{"throttle around failover per host", chain(call, retry, per("transport.Authority", throttle), failover), []string{"throttle around failover"}},
	{"breaker per function around failover", chain(call, per("main.function", breaker), failover), []string{"breaker around failover"}},
	{"hedge inside retry of one endpoint's", []policy.Part{partOf(call), partOf(retry), partOf(failover), of("eu", hedge)}, []string{"retry around hedge"}},
	{"breakers around and inside an endpoint", []policy.Part{partOf(call), partOf(retry), partOf(failover), of("eu", breaker), of("eu", breaker)}, []string{"breaker around breaker"}},
	{"an endpoint's window shorter than its attempts", []policy.Part{partOf(call), partOf(failover), of("eu", policy.Breaker{Window: sec}), of("us", breaker), partOf(timeout)}, []string{"Breaker.Window 1s must not be below"}},
	{"an endpoint's queue longer than the call", []policy.Part{partOf(call), partOf(total(sec)), partOf(failover), of("us", fixed)}, []string{"Limit.MaxWait 5s must be below total timeout's Total 1s"}},
	{"an endpoint's faults around its breaker", []policy.Part{partOf(call), partOf(failover), of("us", faults), of("us", breaker)}, []string{"faults around breaker"}},
	{"an endpoint's attempt around its breaker", []policy.Part{partOf(call), partOf(failover), of("us", attempt), of("us", breaker)}, []string{"attempt around breaker"}},
	{"hedges for all around those of an endpoint", []policy.Part{partOf(call), partOf(hedge), partOf(failover), of("eu", hedge)}, []string{"hedge around hedge"}},
	{"a cache around guesses, hedged", chain(call, cached, hedge, guesses), []string{"cache around fallback", "hedge around fallback"}},
	{"no attempt ends before the call, hedged", chain(call, total(2*sec), hedge, retry, policy.Timeout{FirstByte: 2 * sec}), []string{"attempt timeout's FirstByte 2s must be below total timeout's Total 2s"}},
	{"a call inside an endpoint", []policy.Part{partOf(call), partOf(failover), of("eu", call)}, []string{"call around call"}},

	// Twice the same.
	{"two retries", chain(call, retry, breaker, retry), []string{"retry around retry: their attempts count together", "breaker around retry"}},
	{"two retries in a row", chain(retry, policy.Retry{Attempts: 5}), []string{"retry around retry"}},
	{"two caches", chain(call, cached, policy.Cache{TTL: sec}, retry), []string{"cache around cache: each answer is kept twice"}},
	{"two fallbacks", chain(call, guesses, guesses), []string{"fallback around fallback: the inner one answers first"}},
	{"two breakers", chain(call, retry, breaker, breaker), []string{"breaker around breaker: both count the same"}},
	{"two breakers per host", chain(call, retry, per("transport.Authority", breaker), per("transport.Authority", breaker)), []string{"breaker around breaker"}},
	{"two adaptive limits", chain(call, retry, limit, breaker, limit), []string{"limit around limit: both adapt"}},
	{"two attempts", chain(call, retry, attempt, timeout, attempt), []string{"attempt around attempt: each attempt is recorded twice"}},
	{"two faults", chain(call, faults, faults), []string{"faults around faults: the outer one's"}},
	{"two calls", chain(call, timeout, call), []string{"call around call: a whole stack"}},
	{"a stack within a stack", append(policy.Default().Parts(), policy.Default().Parts()...), []string{"call around call"}},

	// Figures.
	{
		"attempt as long as the call", chain(call, total(5*sec), retry, policy.Timeout{FirstByte: 5 * sec}),
		[]string{"attempt timeout's FirstByte 5s must be below total timeout's Total 5s: no attempt times out"},
	},
	{
		"attempt longer than the call", chain(call, total(5*sec), retry, timeout),
		[]string{"attempt timeout's FirstByte 10s must be below total timeout's Total 5s"},
	},
	{
		"attempt's total beyond the call's", chain(total(2*sec), retry, policy.Timeout{Total: 3 * sec, FirstByte: -1}),
		[]string{"attempt timeout's Total 3s must be below total timeout's Total 2s"},
	},
	{
		"the call's first byte before the attempt's", chain(policy.Timeout{Scope: "call", Total: mins}, retry, timeout),
		[]string{"attempt timeout's FirstByte 10s must be below call timeout's FirstByte 10s"},
	},
	{
		"first byte beyond the total of a stack", policy.Stack{Total: sec, Attempt: policy.Timeout{FirstByte: mins}, Breaker: patientB, Limit: policy.Limit{Off: true}}.Parts(),
		[]string{"attempt timeout's FirstByte 1m0s must be below total timeout's Total 1s", "Breaker.ProbeLease 20s must not be below"},
	},
	{
		"window shorter than an attempt", chain(call, retry, policy.Breaker{Window: 5 * sec}, timeout),
		[]string{"Breaker.Window 5s must not be below attempt timeout's FirstByte 10s: attempts that time out"},
	},
	{
		"window shorter than a patient attempt", chain(policy.Breaker{Window: 19 * sec, ProbeLease: mins}, patient),
		[]string{"Breaker.Window 19s must not be below attempt timeout's FirstByte 20s"},
	},
	{
		"lease shorter than an attempt", chain(call, retry, breaker, patient),
		[]string{"Breaker.ProbeLease 15s must not be below attempt timeout's FirstByte 20s: a probe"},
	},
	{
		"slow calls that time out first", chain(call, retry, policy.Breaker{SlowCall: 10 * sec}, timeout),
		[]string{"Breaker.SlowCall 10s must be below attempt timeout's FirstByte 10s: a call times out"},
	},
	{
		"queue as long as the call", chain(call, total(30*sec), retry, policy.Limit{MaxWait: 30 * sec}),
		[]string{"Limit.MaxWait 30s must be below total timeout's Total 30s: a request may wait"},
	},
	{
		"queue of a stack beyond its total", policy.Stack{Total: 10 * sec, Limit: policy.Limit{MaxWait: mins}}.Parts(),
		[]string{"Limit.MaxWait 1m0s must be below total timeout's Total 10s"},
	},
	{
		"queue beyond the attempt", chain(call, retry, policy.Timeout{FirstByte: 2 * sec}, fixed),
		[]string{"Limit.MaxWait 5s must be below attempt timeout's FirstByte 2s"},
	},
	{
		"backoff as long as the call", chain(call, total(10*sec), policy.Retry{Backoff: policy.Backoff{Base: 10 * sec}}),
		[]string{"Retry.Backoff.Base 10s must be below total timeout's Total 10s: the first wait"},
	},
	{
		"throttled backoff beyond the call", policy.Stack{Total: 2 * sec, Retry: policy.Retry{Throttled: policy.Backoff{Base: 3 * sec}}}.Parts(),
		[]string{"Retry.Throttled.Base 3s must be below total timeout's Total 2s"},
	},
	{
		"the usual backoff without jitter beyond the call", chain(total(100*ms), policy.Retry{Backoff: policy.Backoff{Jitter: policy.NoJitter}}),
		[]string{"Retry.Backoff.Base 100ms must be below total timeout's Total 100ms"},
	},
	{
		"a class's backoff beyond the call", policy.Stack{Total: 2 * sec, Retry: policy.Retry{Classes: policy.PerClassRetries()}}.Parts(),
		[]string{"Retry.Classes[overloaded].Backoff.Base 2s must be below total timeout's Total 2s"},
	},
	{
		"budget without a whole token", chain(policy.Retry{Budget: policy.Budget{Burst: 0.5}}),
		[]string{"Retry.Budget has a Burst of 0.5 beside 3 attempts: it never holds a whole token"},
	},
	{
		"budget that is spent once", chain(policy.Retry{Budget: policy.Budget{Ratio: -1, PerSecond: -1}}),
		[]string{"Retry.Budget has neither Ratio nor PerSecond: after the first 20 retries"},
	},
	{
		"bucket that is spent once", chain(policy.Retry{Bucket: policy.NewBucket(policy.Budget{Ratio: -1, PerSecond: -1, Burst: 2})}),
		[]string{"the budget of Retry.Bucket has neither Ratio nor PerSecond: after the first 2 retries"},
	},
	{
		"patience beyond the attempt", chain(call, retry, policy.Breaker{Patience: 11 * sec}, timeout),
		[]string{"Breaker.Patience 11s must not be above attempt timeout's FirstByte 10s: an attempt times out"},
	},
	{
		"patience beyond the attempt of a stack", policy.Stack{Attempt: policy.Timeout{FirstByte: 3 * sec}, Breaker: policy.Breaker{SlowCall: sec, Patience: 4 * sec}}.Parts(),
		[]string{"Breaker.Patience 4s must not be above attempt timeout's FirstByte 3s"},
	},
	{"burst of no rate", chain(call, retry, policy.Limit{Burst: 5}), []string{"Limit.Burst 5 has no PerSecond beside it"}},
	{
		"a bound that adapts and one that does not", policy.Stack{Limit: policy.Limit{InFlight: 25, Adaptive: policy.Adaptive{Max: 50}}}.Parts(),
		[]string{"Limit.Adaptive is set beside InFlight 25: the bound is fixed"},
	},
	{
		"everything wrong with a limit", chain(total(sec), policy.Limit{Burst: 5, InFlight: 1, Adaptive: policy.Adaptive{Min: 1}}),
		[]string{"Limit.Burst 5", "Limit.Adaptive is set", "Limit.MaxWait 5s"},
	},
	{
		"quota retried", chain(policy.Retry{Classes: map[policy.Class]policy.ClassRetry{policy.QuotaExceeded: {Attempts: 2}}}),
		[]string{"Retry.Classes[quota_exceeded] allows 2 attempts: a quota that is used up"},
	},
	{
		"quota retried like the rest", chain(policy.Retry{Classes: map[policy.Class]policy.ClassRetry{policy.QuotaExceeded: {Backoff: policy.Backoff{Base: sec}}}}),
		[]string{"Retry.Classes[quota_exceeded] allows 3 attempts"},
	},
	{
		"wrong requests retried", chain(policy.Retry{Classes: map[policy.Class]policy.ClassRetry{policy.Invalid: {Attempts: 5}, policy.Unauthenticated: {Attempts: 3}}}),
		[]string{"Retry.Classes[unauthenticated] allows 3 attempts", "Retry.Classes[invalid] allows 5 attempts"},
	},
	{
		"refusals retried", chain(policy.Retry{Classes: map[policy.Class]policy.ClassRetry{policy.Refused: {Attempts: 4}}}),
		[]string{"Retry.Classes[refused] allows 4 attempts: who said no were we ourselves"},
	},
	{
		"drain as long as the call", chain(total(sec), policy.Retry{DrainTime: sec}),
		[]string{"Retry.DrainTime 1s must be below total timeout's Total 1s"},
	},

	// Settings that are wrong by themselves come first.
	{
		"fewer last calls than count", chain(policy.Breaker{LastCalls: 5, MinCalls: 10}, retry),
		[]string{"Breaker.MinCalls is 10, want at most LastCalls, 5"},
	},
	{"entry larger than the cache", chain(retry, policy.Cache{MaxBytes: 10, MaxEntryBytes: 11}), []string{"Cache.MaxEntryBytes is 11"}},
	{"first byte after the total", chain(policy.Timeout{Total: sec, FirstByte: 2 * sec}), []string{"Timeout.FirstByte is 2s"}},
	{
		"rates that sum up to more than one", chain(policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultEOF, Rate: 0.6}, {Kind: policy.FaultReset, Rate: 0.6}}}),
		[]string{"the rates of Faults.Mix sum up to"},
	},
}

func TestLintFinds(t *testing.T) {
	for _, tt := range badStacks {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, err := range flat(policy.Lint(tt.parts)) {
				got = append(got, err.Error())
			}
			if !assert.Len(t, got, len(tt.want), "findings") {
				return
			}
			for i, want := range tt.want {
				assert.Contains(t, got[i], "policy: "+want)
			}
		})
	}
	assert.GreaterOrEqual(t, len(badStacks), 40)
}

// flat returns the errors that err joins.
func flat(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, err := range joined.Unwrap() {
			all = append(all, flat(err)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// goodStacks are stacks that somebody may want.
var goodStacks = []struct {
	name  string
	parts []policy.Part
}{
	{"responses outside the call", chain(forSDK, call, retry)},
	{"a stack below an SDK", policy.Stack{Responses: &policy.Responses{Errors: true}}.Parts()},
	{"nothing", nil},
	{"default", policy.Default().Parts()},
	{"zero", policy.Stack{}.Parts()},
	{"short total", policy.Stack{Total: 5 * sec}.Parts()},
	{"shorter total", policy.Stack{Total: sec}.Parts()},
	{"shortest total", policy.Stack{Total: 50 * ms}.Parts()},
	{"long total", policy.Stack{Total: time.Hour}.Parts()},
	{"no total", policy.Stack{Total: -1}.Parts()},
	{"no total, patient attempts", policy.Stack{Total: -1, Attempt: policy.Timeout{FirstByte: 15 * sec}}.Parts()},
	{"attempts just within the total", policy.Stack{Total: 5 * sec, Attempt: policy.Timeout{FirstByte: 5*sec - 1}}.Parts()},
	{"window as long as an attempt", policy.Stack{Breaker: policy.Breaker{Window: 10 * sec}}.Parts()},
	{"everything off", policy.Stack{
		Total: -1, Retry: policy.Retry{Off: true}, Breaker: policy.Breaker{Off: true},
		Limit: policy.Limit{Off: true}, Attempt: policy.Timeout{Off: true}, Cache: &policy.Cache{Off: true},
	}.Parts()},
	{"breaker off, whatever its figures", policy.Stack{Breaker: policy.Breaker{Off: true, Window: sec}}.Parts()},
	{"attempt off, window short", policy.Stack{Breaker: policy.Breaker{Window: sec}, Attempt: policy.Timeout{Off: true}}.Parts()},
	{"retry off, one long attempt", policy.Stack{Total: 5 * sec, Retry: policy.Retry{Off: true}, Attempt: policy.Timeout{FirstByte: 5 * sec}}.Parts()},
	{"one attempt as long as the call", policy.Stack{Total: 5 * sec, Retry: once, Attempt: policy.Timeout{FirstByte: 5 * sec}}.Parts()},
	{"one attempt and a budget of nothing", chain(policy.Retry{Attempts: 1, Budget: policy.Budget{Burst: 0.1}})},
	{"no bounds at all", policy.Stack{Total: -1, Attempt: policy.Timeout{FirstByte: -1, Idle: -1}}.Parts()},
	{"cache and fallback", policy.Stack{Cache: &policy.Cache{}, Fallback: &guesses}.Parts()},
	{"cache", policy.Stack{Cache: &policy.Cache{TTL: sec, StaleIfError: -1}}.Parts()},
	{"fallback", policy.Stack{Fallback: &guesses, Retry: policy.Retry{Off: true}}.Parts()},
	{"the outage demo", outageDemo(45 * sec)},
	{"the outage demo in five seconds", outageDemo(5 * sec)},
	{"the overload table", policy.Stack{
		Total: sec, Attempt: policy.Timeout{FirstByte: 150 * ms},
		Breaker: policy.Breaker{Off: true}, Limit: policy.Limit{Adaptive: policy.Adaptive{Initial: 20}},
	}.Parts()},
	{"per class", policy.Stack{Retry: policy.Retry{Classes: policy.PerClassRetries()}}.Parts()},
	{"quota once, conflict thrice", chain(policy.Retry{Classes: map[policy.Class]policy.ClassRetry{policy.QuotaExceeded: {Attempts: 1}, policy.Conflict: {Attempts: 3}}})},
	{"a class that is not repeated and its long backoff", chain(total(5*sec), policy.Retry{Classes: map[policy.Class]policy.ClassRetry{policy.Internal: {Attempts: 1, Backoff: policy.Backoff{Base: mins}}}})},
	{"many attempts", policy.Stack{Retry: policy.Retry{Attempts: 10}}.Parts()},
	{"no waits", policy.Stack{Retry: policy.Retry{Backoff: policy.Backoff{Base: -1}, Throttled: policy.Backoff{Base: -1}}}.Parts()},
	{"other backoffs", policy.Stack{Retry: policy.Retry{
		Backoff:   policy.Backoff{Base: sec, Kind: policy.LinearBackoff, Jitter: policy.EqualJitter},
		Throttled: policy.Backoff{Base: 2 * sec, Jitter: policy.DecorrelatedJitter},
	}}.Parts()},
	{"long waits of the server's", policy.Stack{Retry: policy.Retry{MaxWait: -1, WaitJitter: 1}}.Parts()},
	{"budget off", policy.Stack{Retry: policy.Retry{Budget: policy.Budget{Off: true}}}.Parts()},
	{"budget by the second only", policy.Stack{Retry: policy.Retry{Budget: policy.Budget{Ratio: -1, Burst: 1}}}.Parts()},
	{"budget by successes only", policy.Stack{Retry: policy.Retry{Budget: policy.Budget{PerSecond: -1}}}.Parts()},
	{"shared bucket", policy.Stack{Retry: policy.Retry{Bucket: policy.NewBucket(policy.Budget{})}}.Parts()},
	{"the last calls count", policy.Stack{Breaker: policy.Breaker{LastCalls: 20, Window: sec}}.Parts()},
	{"slow calls", policy.Stack{Breaker: policy.Breaker{SlowCall: 5 * sec}}.Parts()},
	{"a breaker that only observes", policy.Stack{Breaker: policy.Breaker{MetricsOnly: true}}.Parts()},
	{"a fixed bound with every default written out", policy.Stack{Limit: policy.Limit{InFlight: 25}.WithDefaults()}.Parts()},
	{"adaptive bounds", policy.Stack{Limit: policy.Limit{Adaptive: policy.Adaptive{Initial: 20, Max: 50}}}.Parts()},
	{"no bound in flight, whatever Adaptive says", policy.Stack{Limit: policy.Limit{InFlight: -1, Adaptive: policy.Adaptive{Max: 50}}}.Parts()},
	{"no rate, whatever the burst", policy.Stack{Limit: policy.Limit{PerSecond: -1, Burst: 5}}.Parts()},
	{"a burst beyond what is in flight, one after the other", policy.Stack{Limit: policy.Limit{PerSecond: 10, Burst: 100, InFlight: 5}}.Parts()},
	{"waits shorter than a slow rate's, for who comes late", policy.Stack{Limit: policy.Limit{PerSecond: 0.1}}.Parts()},
	{"patience as long as an attempt", policy.Stack{Breaker: policy.Breaker{Patience: 10 * sec}}.Parts()},
	{"no patience is enough", policy.Stack{Breaker: policy.Breaker{Patience: -1}}.Parts()},
	{"the usual patience and short attempts", policy.Stack{Attempt: policy.Timeout{FirstByte: sec}}.Parts()},
	{"patience without attempt timeouts", policy.Stack{Breaker: policy.Breaker{Patience: mins}, Attempt: policy.Timeout{Off: true}}.Parts()},
	{"hedge", policy.Stack{Hedge: &policy.Hedge{}}.Parts()},
	{"endpoints", policy.Stack{Failover: &failover, Throttle: &policy.Throttle{}}.Parts()},
	{"one endpoint that hangs until the call is over", policy.Stack{
		Total: sec, Attempt: policy.Timeout{FirstByte: 2 * sec}, Breaker: patientB,
		Retry: policy.Retry{Off: true}, Limit: policy.Limit{Off: true}, Failover: &policy.Failover{Endpoints: failover.Endpoints[:1]},
	}.Parts()},
	{"hedge just within the call", policy.Stack{Total: sec, Hedge: &policy.Hedge{Delay: sec - 1}}.Parts()},
	{"hedge alone", chain(hedge)},
	{"hedge around retry", chain(call, total(30*sec), hedge, retry, breaker, limit)},
	{"a limit for all around a hedge", chain(fixed, call, hedge, breaker)},
	{"hedge inside a retry that repeats nothing", chain(call, once, hedge)},
	{"hedges that are off, anywhere", chain(call, policy.Hedge{Off: true}, cached, retry, policy.Hedge{Off: true})},
	{"hedges around and inside a failover", chain(call, hedge, foreign, hedge)},
	{"throttle", policy.Stack{Throttle: &policy.Throttle{}}.Parts()},
	{"throttle alone", chain(throttle)},
	{"a throttle between limits", chain(call, fixed, once, throttle, breaker, limit)},
	{"a throttle around the timeout that it counts", chain(throttle, timeout)},
	{"a throttle that is off", chain(policy.Throttle{Off: true}, call, cached)},
	{"a throttle per function and one per host", chain(call, retry, per("main.function", throttle), per("transport.Authority", throttle))},
	{"throttles around and inside a failover", chain(call, throttle, foreign, throttle)},
	{"rate", policy.Stack{Limit: policy.Limit{PerSecond: 25, InFlight: 25}}.Parts()},
	{"no queue, however long the wait", policy.Stack{Total: sec, Limit: policy.Limit{MaxQueue: -1, MaxWait: mins}}.Parts()},
	{"no limit, however long the wait", policy.Stack{Total: sec, Limit: policy.Limit{InFlight: -1, MaxWait: mins}}.Parts()},
	{"no waiting", policy.Stack{Limit: policy.Limit{MaxWait: -1}}.Parts()},

	{"a cache around a failover", chain(call, cached, total(30*sec), retry, failover)},
	{"a cache in front of an endpoint's own caches, which nobody knows", chain(call, cached, failover, foreign)},
	{"a failover of one endpoint around a total", chain(call, policy.Failover{Endpoints: failover.Endpoints[:1]}, total(30*sec))},
	{"an adaptive limit around a failover of one endpoint", chain(call, limit, policy.Failover{Endpoints: failover.Endpoints[:1]})},
	{"a total around a failover", chain(call, total(30*sec), failover)},
	{"a limit of each endpoint's attempt by another name", chain(call, failover, policy.Timeout{Scope: "endpoint", Total: 10 * sec})},
	{"a fixed limit around a failover", chain(call, fixed, retry, failover)},
	{"adaptive limits inside a failover", []policy.Part{partOf(call), partOf(retry), partOf(failover), of("eu", limit), of("us", limit)}},
	{"breakers and throttles inside a failover", []policy.Part{partOf(call), partOf(failover), of("eu", throttle), of("eu", breaker), of("us", throttle), of("us", breaker)}},
	{"one endpoint with layers and one without", []policy.Part{partOf(call), partOf(failover), of("us", breaker), partOf(timeout)}},
	{"hedges for one endpoint only", []policy.Part{partOf(call), partOf(failover), of("us", hedge)}},
	{"a hedge around a failover", chain(call, total(30*sec), hedge, retry, failover)},
	{"a hedge around a failover with room for one each", []policy.Part{partOf(call), partOf(hedge), partOf(failover), of("eu", policy.Limit{InFlight: 1}), of("us", policy.Limit{InFlight: 1})}},
	{"a hedge around somebody's balancer and room for one", chain(call, hedge, foreign, policy.Limit{InFlight: 1})},
	{"a hedge with room for two", chain(call, hedge, policy.Limit{InFlight: 2})},
	{"a hedge with room that grows to two", chain(call, hedge, policy.Limit{Adaptive: policy.Adaptive{Initial: 1, Max: 2}})},
	{"a hedge around a rate", chain(call, hedge, policy.Limit{PerSecond: 5, InFlight: -1})},
	{"room for one around a hedge", chain(policy.Limit{InFlight: 1}, call, hedge)},
	{"no hedge and room for one", policy.Stack{Hedge: &policy.Hedge{Off: true}, Limit: policy.Limit{InFlight: 1}}.Parts()},
	{"a hedge's budget by the second", chain(policy.Hedge{Bucket: policy.NewBucket(policy.Budget{Ratio: -1})})},
	{"a hedge's budget by successes", chain(policy.Hedge{Bucket: policy.NewBucket(policy.Budget{PerSecond: -1})})},
	{"a hedge without a budget", chain(policy.Hedge{Bucket: policy.NewBucket(policy.Budget{Off: true, Burst: 0.1})})},
	{"streams inside all that count", chain(call, hedge, retry, failover, throttle, breaker, attempt, streams)},
	{"streams around a limit and a timeout", chain(call, streams, limit, timeout)},
	{"streams that are off, around a failover", chain(call, policy.Streams{Off: true}, failover)},
	{"responses around a failover", chain(call, forSDK, failover)},
	{"slow calls just before the call's end", chain(call, total(5*sec), retry, policy.Breaker{SlowCall: 5*sec - 1})},
	{"slow calls and nothing that bounds them", chain(call, retry, policy.Breaker{SlowCall: mins})},
	{"a breaker of last calls and a short attempt", chain(call, total(sec), retry, policy.Breaker{LastCalls: 10, Window: 10 * ms}, policy.Timeout{FirstByte: 100 * ms})},
	{"a hedge sooner than the attempts end, later than most answers", chain(call, total(30*sec), policy.Hedge{Delay: 9 * sec}, retry, timeout)},
	{"stacks of two endpoints, each with faults innermost", []policy.Part{partOf(call), partOf(failover), of("eu", breaker), of("eu", faults), of("us", breaker), of("us", faults)}},

	{"one layer", chain(retry)},
	{"retry and timeout", chain(retry, timeout)},
	{"breaker alone with a timeout", chain(breaker, timeout)},
	{"cache around timeout", chain(cached, timeout)},
	{"timeout around cache", chain(total(30*sec), cached, retry)},
	{"total around fallback", chain(call, total(30*sec), guesses, retry)},
	{"retry, limit, breaker", chain(call, total(30*sec), retry, limit, breaker, attempt, timeout)},
	{"retry, attempt timeout, breaker", chain(call, total(30*sec), retry, timeout, breaker)},
	{"a fixed limit around the retry", chain(call, policy.Limit{PerSecond: 25, InFlight: 25}, retry, breaker, timeout)},
	{"a limit for several stacks around them", append(chain(policy.Limit{PerSecond: 25, InFlight: 25}), policy.Default().Parts()...)},
	{"a limit for several stacks below them", append(policy.Default().Parts(), chain(policy.Limit{PerSecond: 25, InFlight: -1})...)},
	{"a limit per function and one per account", chain(call, retry, per("main.function", limit), fixed)},
	{"two adaptive limits by other keys", chain(call, retry, per("main.function", limit), per("transport.Authority", limit))},
	{"a breaker per function and one per host", chain(call, retry, per("main.function", breaker), per("transport.Authority", breaker))},
	{"breakers by funcs that nobody can name", chain(retry, per("main.by.func1", breaker), per("main.by.func1", breaker))},
	{"faults innermost", append(policy.Default().Parts(), partOf(policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultEOF, Rate: 0.1}}}))},
	{"faults that are off", chain(policy.Faults{Off: true}, call, retry)},
	{"faults around a foreign layer", chain(call, retry, faults, foreign)},
	{"foreign layers everywhere", chain(foreign, call, foreign, retry, foreign, breaker, foreign, timeout, foreign)},
	{"retries around a failover", chain(call, retry, foreign, retry, timeout)},
	{"a client's stack around another one's", append(append(policy.Default().Parts(), partOf(foreign)), policy.Default().Parts()...)},
	{"a retry that repeats nothing inside another", chain(call, retry, once)},
	{"a breaker around a retry that repeats nothing", chain(call, breaker, once, timeout)},
	{"two timeouts, one around the other", chain(policy.Timeout{Scope: "function", Total: 5 * sec}, policy.Timeout{Scope: "host", Total: 10 * sec})},
	{"the first byte of the call, too", chain(policy.Timeout{Scope: "call", FirstByte: 20 * sec}, retry, timeout)},
	{"patient attempts and a patient breaker", chain(call, total(mins), retry, patientB, patient)},
	{"call alone", chain(call)},
	{"attempt alone", chain(attempt)},
	{"over a base", append(policy.Default().Parts(), policy.Part{Kind: policy.KindBase, Name: fmt.Sprintf("%T", &http.Transport{})})},
	{"parts without settings", []policy.Part{{Kind: policy.KindRetry}, {Kind: policy.KindBreaker}, {Kind: policy.KindTimeout}}},
}

// outageDemo is the stack of examples/outage in a run that takes so long.
func outageDemo(duration time.Duration) []policy.Part {
	scale := min(1, duration.Seconds()/45)
	scaled := func(t, least time.Duration) time.Duration { return max(least, time.Duration(scale*float64(t))) }
	openFor := scaled(sec, 100*ms)
	return policy.Stack{
		Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}},
		Cache:    &policy.Cache{TTL: scaled(10*sec, sec)},
		Total:    scaled(3*sec, 1500*ms),
		Attempt:  policy.Timeout{FirstByte: sec, Idle: sec},
		Retry: policy.Retry{
			Throttled: policy.Backoff{Base: scaled(sec, 100*ms)},
			Budget:    policy.Budget{Burst: max(4, 20*scale)},
		},
		Breaker: policy.Breaker{Window: 5 * sec, OpenFor: openFor, MaxOpenFor: 2 * openFor},
	}.Parts()
}

func TestLintIsSilent(t *testing.T) {
	for _, tt := range goodStacks {
		t.Run(tt.name, func(t *testing.T) {
			assert.NoError(t, policy.Lint(tt.parts))
		})
	}
	assert.GreaterOrEqual(t, len(goodStacks), 40)
}
