package policy

import "strings"

// An orderRule is about an outer layer and one that must not be inside it.
type orderRule struct {
	outer, inner Kind
	why, instead string
	applies      func(outer, inner Part) bool // nil means always
}

var orderRules = []orderRule{
	{
		outer: KindRetry, inner: KindCache,
		why: "a stale answer takes the place of the first failure, so nothing is repeated", instead: "put the cache around the retry",
	},
	{
		outer: KindThrottle, inner: KindCache,
		why: "it refuses what the cache could answer, and what the cache answers counts as accepted", instead: "put the cache around the throttle",
	},
	{
		outer: KindBreaker, inner: KindCache,
		why: "an open breaker refuses what the cache could answer, and what the cache answers counts as the server's", instead: "put the cache around the breaker",
	},
	{
		outer: KindLimit, inner: KindCache,
		why: "what the cache answers waits its turn and spends what the server can take", instead: "put the cache around the limit",
	},
	{
		outer: KindAttempt, inner: KindCache,
		why: "what the cache answers is recorded as an attempt on the wire", instead: "put the cache around the attempt",
	},

	{
		outer: KindRetry, inner: KindFallback,
		why: "a guess takes the place of the first failure, so nothing is repeated", instead: "put the fallback around the retry",
	},
	{
		outer: KindThrottle, inner: KindFallback,
		why: "a guess hides that the server turned the request away, so it never refuses; and when it does, nobody answers", instead: "put the fallback around the throttle",
	},
	{
		outer: KindBreaker, inner: KindFallback,
		why: "failures reach the breaker as good answers, so it never opens; and when it refuses, nobody answers", instead: "put the fallback around the breaker",
	},
	{
		outer: KindCache, inner: KindFallback,
		why: "the cache never sees a failure, so a guess is given where a stale answer is at hand", instead: "put the fallback around the cache",
	},
	{
		outer: KindLimit, inner: KindFallback,
		why: "what the limit refuses gets no answer, and what it measures are guesses", instead: "put the fallback around the limit",
	},
	{
		outer: KindAttempt, inner: KindFallback,
		why: "a guess is recorded as a good attempt on the wire", instead: "put the fallback around the attempt",
	},

	{
		outer: KindHedge, inner: KindCache,
		why: "what the cache answers at once is taken for how long the server takes, so everything else is hedged", instead: "put the cache around the hedge",
	},
	{
		outer: KindHedge, inner: KindFallback,
		why: "a guess wins over the answer that is still to come", instead: "put the fallback around the hedge",
	},
	{
		outer: KindHedge, inner: KindTimeout, applies: isTotal,
		why: "it bounds each of the requests and not the call, which has no bound", instead: "put it around the hedge, or name its Scope otherwise",
	},
	{
		outer: KindRetry, inner: KindHedge, applies: repeatsOutside,
		why: "each attempt may become several, and a wait that the server asked for does not hold back the hedge of the next", instead: "put the hedge around the retry, where their attempts count together",
	},
	{
		outer: KindBreaker, inner: KindHedge,
		why: "it sees calls in place of requests, so a hedge that wins hides from it the one that hangs", instead: "put the breaker inside the hedge",
	},
	{
		outer: KindThrottle, inner: KindHedge,
		why: "it sees calls in place of requests: the hedges are those that the server cannot spare it", instead: "put the throttle inside the hedge",
	},
	{
		outer: KindLimit, inner: KindHedge, applies: adaptsAround,
		why: "a limit that adapts does not see the extra requests", instead: "put it inside the hedge, or set Limit.InFlight",
	},
	{
		outer: KindAttempt, inner: KindHedge,
		why: "requests that go side by side are recorded as one attempt", instead: "put the attempt inside the hedge",
	},
	{
		outer: KindHedge, inner: KindHedge, applies: sameScope,
		why: "each hedge may be hedged again", instead: "take one out, and set Max if more than one is meant",
	},

	{
		outer: KindBreaker, inner: KindRetry, applies: repeats,
		why: "it sees calls in place of attempts: it opens too late, and retries go on to a server that is down", instead: "put the breaker inside the retry",
	},
	{
		outer: KindThrottle, inner: KindRetry, applies: repeats,
		why: "it sees calls in place of attempts: the retries that a server turns away are those that it cannot spare it", instead: "put the throttle inside the retry",
	},
	{
		outer: KindLimit, inner: KindRetry, applies: adapts,
		why: "a limit that adapts takes the waits between attempts for slowness and does not see the extra requests", instead: "put it inside the retry, or set Limit.InFlight",
	},
	{
		outer: KindRetry, inner: KindTimeout, applies: isTotal,
		why: "it bounds each attempt and not the call, which has no bound", instead: "put it around the retry, or name its Scope otherwise",
	},
	{
		outer: KindAttempt, inner: KindRetry, applies: repeats,
		why: "a call with all its attempts is recorded as one attempt", instead: "put the attempt inside the retry",
	},
	{
		outer: KindFailover, inner: KindRetry, applies: repeats,
		why: "it asks an endpoint that fails again where another one would answer", instead: "put the retry around the failover",
	},
	{
		outer: KindFailover, inner: KindCache,
		why: "a stale answer takes the place of the first endpoint's failure, so no other is asked", instead: "put the cache around the failover",
	},
	{
		outer: KindFailover, inner: KindFallback,
		why: "a guess takes the place of the first endpoint's failure, so no other is asked", instead: "put the fallback around the failover",
	},
	{
		outer: KindFailover, inner: KindTimeout, applies: isTotalOfOne,
		why: "it bounds what each endpoint is asked and not the call, which has no bound", instead: "put it around the failover, or name its Scope otherwise",
	},
	{
		outer: KindBreaker, inner: KindFailover,
		why: "it counts for all endpoints together: one that fails closes the way to the others", instead: "give each endpoint its own, inside the failover",
	},
	{
		outer: KindThrottle, inner: KindFailover,
		why: "it refuses for all endpoints what one of them turns away", instead: "give each endpoint its own, inside the failover",
	},
	{
		outer: KindLimit, inner: KindFailover, applies: adaptsAroundSeveral,
		why: "a limit that adapts takes an endpoint that fails or is slow for all of them, and does not see the extra requests", instead: "give each endpoint its own, inside the failover, or set Limit.InFlight",
	},
	{
		outer: KindAttempt, inner: KindFailover,
		why: "what several endpoints are asked is recorded as one attempt", instead: "put the attempt inside the failover",
	},
	{
		outer: KindBreaker, inner: KindThrottle,
		why: "the throttle refuses the probes that could close the breaker", instead: "put the throttle around the breaker",
	},
	{
		outer: KindAttempt, inner: KindThrottle,
		why: "what the throttle refuses is recorded as an attempt, though nothing is sent", instead: "put the attempt inside the throttle",
	},
	{
		outer: KindAttempt, inner: KindBreaker,
		why: "what the breaker refuses is recorded as an attempt, though nothing is sent", instead: "put the attempt inside the breaker",
	},

	outsideStreams(KindHedge), outsideStreams(KindRetry), outsideStreams(KindFailover),
	outsideStreams(KindThrottle), outsideStreams(KindBreaker), outsideStreams(KindAttempt),
	hiddenBy(KindFallback), hiddenBy(KindCache), hiddenBy(KindHedge), hiddenBy(KindRetry), hiddenBy(KindThrottle),
	hiddenBy(KindFailover), hiddenBy(KindBreaker), hiddenBy(KindLimit), hiddenBy(KindAttempt),

	outsideCall(KindFallback), outsideCall(KindCache), outsideCall(KindTimeout),
	outsideCall(KindHedge), outsideCall(KindRetry), outsideCall(KindThrottle), outsideCall(KindBreaker), outsideCall(KindAttempt),
	outsideCall(KindStreams), outsideCall(KindFailover),

	insideFaults(KindCall), insideFaults(KindResponses), insideFaults(KindFallback), insideFaults(KindCache), insideFaults(KindTimeout), insideFaults(KindHedge), insideFaults(KindRetry),
	insideFaults(KindThrottle), insideFaults(KindBreaker), insideFaults(KindLimit), insideFaults(KindAttempt),
	insideFaults(KindStreams), insideFaults(KindFailover),

	{
		outer: KindFallback, inner: KindFallback, applies: sameScope,
		why: "the inner one answers first, whatever the outer one's rules", instead: "join their rules in one",
	},
	{
		outer: KindCache, inner: KindCache, applies: sameScope,
		why: "each answer is kept twice, and the outer one gives what the inner one would have renewed", instead: "take one out",
	},
	{
		outer: KindRetry, inner: KindRetry, applies: bothRepeat,
		why: "their attempts count together and their waits and budgets add up", instead: "take one out",
	},
	{
		outer: KindThrottle, inner: KindThrottle, applies: sameScope,
		why: "both refuse a share of the same requests, which comes to more than either says", instead: "take one out, or keep one by another key",
	},
	{
		outer: KindBreaker, inner: KindBreaker, applies: sameScope,
		why: "both count the same calls, and what the inner one refuses is lost on the outer one", instead: "take one out, or keep one by another key",
	},
	{
		outer: KindLimit, inner: KindLimit, applies: bothAdapt,
		why: "both adapt to the same answers, and the outer one takes the inner one's queue for the server's", instead: "take one out",
	},
	{
		outer: KindAttempt, inner: KindAttempt, applies: sameScope,
		why: "each attempt is recorded twice", instead: "take one out",
	},
	{
		outer: KindFaults, inner: KindFaults, applies: sameScope,
		why: "the outer one's faults hide the inner one's", instead: "join their settings in one",
	},
}

// outsideCall is the rule that nothing of ours stands around the record of the
// call. A limit may: one for several stacks has no other place.
func outsideCall(outer Kind) orderRule {
	return orderRule{
		outer: outer, inner: KindCall,
		why: "what it does is missing in the call's record, and its errors in the call's error", instead: "put the call around it",
	}
}

// outsideStreams is the rule that what counts failures stands around what finds
// them in streams.
func outsideStreams(inner Kind) orderRule {
	return orderRule{
		outer: KindStreams, inner: inner,
		why: "it takes a stream that was cut short for whole", instead: "put the streams inside it",
	}
}

// hiddenBy is the rule that what becomes a response stays an error for our own
// layers.
func hiddenBy(outer Kind) orderRule {
	return orderRule{
		outer: outer, inner: KindResponses,
		why: "it takes refusals and errors that became responses for answers of the server", instead: "put the responses around it",
	}
}

// insideFaults is the rule that faults are innermost.
func insideFaults(inner Kind) orderRule {
	return orderRule{outer: KindFaults, inner: inner, why: "the faults never reach it, so they do not test it", instead: "put the faults innermost"}
}

func repeats(_, inner Part) bool { return inner.retry().repeats() }

func repeatsOutside(outer, _ Part) bool { return outer.retry().repeats() }

func bothRepeat(outer, inner Part) bool {
	return outer.retry().repeats() && inner.retry().repeats() && sameScope(outer, inner)
}

func adapts(outer, inner Part) bool {
	return outer.limit().adapts() && inner.retry().repeats()
}

func adaptsAround(outer, _ Part) bool { return outer.limit().adapts() }

func adaptsAroundSeveral(outer, inner Part) bool {
	return outer.limit().adapts() && len(inner.failover().Endpoints) > 1
}

func bothAdapt(outer, inner Part) bool {
	return outer.limit().adapts() && inner.limit().adapts() && sameScope(outer, inner)
}

func isTotal(_, inner Part) bool { return inner.timeout().Scope == "total" }

func isTotalOfOne(outer, inner Part) bool {
	return isTotal(outer, inner) && len(outer.failover().Endpoints) > 1
}

// sameScope reports whether both are kept apart by the same key. Of funcs made
// within others nobody can tell what they are.
func sameScope(outer, inner Part) bool {
	return outer.Key == inner.Key && !strings.Contains(outer.Key, ".func")
}

// repeats reports whether anything is sent more than once.
func (r Retry) repeats() bool { return r.MaxAttempts() > 1 }

func (l Limit) adapts() bool { return l.InFlight == 0 }

// lintOrder looks at each two layers of a stack. Two of a kind with a foreign
// layer between them are left alone: that may be what makes them differ.
func lintOrder(parts []Part) []error {
	var errs []error
	for i, outer := range parts {
		foreign := false
		for _, inner := range parts[i+1:] {
			foreign = foreign || inner.Kind == KindForeign
			for _, r := range orderRules {
				if r.outer != outer.Kind || r.inner != inner.Kind || foreign && r.outer == r.inner {
					continue
				}
				if r.applies == nil || r.applies(outer, inner) {
					errs = append(errs, finding("%v around %v: %s; %s", outer, inner, r.why, r.instead))
				}
			}
		}
	}
	return errs
}
