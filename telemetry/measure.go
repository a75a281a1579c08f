package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sparekey/sparekey/policy"
)

const (
	keyBreaker       = attribute.Key("sparekey.breaker.name")
	keyLimiter       = attribute.Key("sparekey.limiter.name")
	keyThrottle      = attribute.Key("sparekey.throttle.name")
	keyEviction      = attribute.Key("sparekey.cache.reason")
	keyConfigOutcome = attribute.Key("sparekey.config.outcome")
)

// Measure has OpenTelemetry observe what a snapshot tells, such as that of
// transport.Snapshot, each time metrics are collected: states of breakers, what
// limiters and caches hold, the health of endpoints, budgets. It is for a program to
// call once. Snapshot is called on the goroutine that collects; after stop it is called
// no more. Errors of OpenTelemetry go to its own handler.
//
// There is a series for each name of a breaker and a limiter, which is the host if
// they have no other. Where several of one function share a name, their figures are
// added up, but for throttles, of which the highest ratio counts. What several functions
// share, such as the limiter of an account, is in each of them: a sum over functions
// counts it more than once.
func Measure(snapshot func() Snapshot) (stop func()) {
	meter := otel.Meter(scope)
	g := newGauges(meter)
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := snapshot()
		for i := range s.Functions {
			g.observe(o, &s.Functions[i], s.At)
		}
		g.observeThrottles(o, s.Functions)
		return nil
	}, g.all...)
	handle(err)
	return func() {
		if registration != nil {
			handle(registration.Unregister())
		}
	}
}

// gauges are the instruments that are observed when metrics are collected.
type gauges struct {
	all []metric.Observable

	breakerState                                        metric.Int64Observable
	limiterUsage, limiterLimit                          metric.Int64Observable
	queueUsage, queueLimit                              metric.Int64Observable
	cacheUsage, cacheLimit, cacheBytes, cacheBytesLimit metric.Int64Observable
	evictions                                           metric.Int64Observable
	endpointHealthy, endpointUsage, budgetLeft          metric.Int64Observable
	throttleRatio                                       metric.Float64Observable
}

func newGauges(meter metric.Meter) *gauges {
	g := &gauges{}
	sum := func(name, unit, description string) metric.Int64Observable {
		c, err := meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		handle(err)
		g.all = append(g.all, c)
		return c
	}
	g.breakerState = sum("sparekey.client.breaker.state", "{breaker}", "1 for the state that a breaker is in, 0 for the others")
	g.limiterUsage = sum("sparekey.client.limiter.usage", "{request}", "Requests in flight behind a limiter")
	g.limiterLimit = sum("sparekey.client.limiter.limit", "{request}", "How many requests a limiter lets be in flight now")
	g.queueUsage = sum("sparekey.client.queue.usage", "{request}", "Requests that wait for a limiter")
	g.queueLimit = sum("sparekey.client.queue.limit", "{request}", "How many requests may wait for a limiter")
	g.cacheUsage = sum("sparekey.client.cache.usage", "{entry}", "Answers that a cache holds")
	g.cacheLimit = sum("sparekey.client.cache.limit", "{entry}", "How many answers a cache may hold")
	g.cacheBytes = sum("sparekey.client.cache.memory.usage", "By", "Memory that the answers in a cache take")
	g.cacheBytesLimit = sum("sparekey.client.cache.memory.limit", "By", "Memory that the answers in a cache may take")
	g.endpointHealthy = sum("sparekey.client.endpoint.healthy", "{endpoint}", "1 for an endpoint in the rotation, 0 for one that is out or rests")
	g.endpointUsage = sum("sparekey.client.endpoint.usage", "{request}", "Requests in flight to an endpoint")
	g.budgetLeft = sum("sparekey.client.retry.budget.available", "{retry}", "Retries and hedges that may be made at once now")

	evictions, err := meter.Int64ObservableCounter("sparekey.client.cache.evictions", metric.WithUnit("{eviction}"),
		metric.WithDescription("Answers that a cache has forgotten"))
	handle(err)
	ratio, err := meter.Float64ObservableGauge("sparekey.client.throttle.ratio", metric.WithUnit("1"),
		metric.WithDescription("Share of requests that a throttle refuses now"))
	handle(err)
	g.evictions, g.throttleRatio = evictions, ratio
	g.all = append(g.all, evictions, ratio)
	return g
}

// observe observes what one function has, but for its throttles.
func (g *gauges) observe(o metric.Observer, f *FunctionSnapshot, now time.Time) {
	of := func(more ...attribute.KeyValue) metric.ObserveOption { return observedOf(f.Name, more...) }
	for _, b := range f.Breakers {
		for state := policy.Closed; state <= policy.Isolated; state++ {
			o.ObserveInt64(g.breakerState, one(b.State == state), of(keyBreaker.String(b.Name), keyState.String(state.String())))
		}
	}
	for _, l := range f.Limiters {
		by := of(keyLimiter.String(l.Name))
		o.ObserveInt64(g.limiterUsage, int64(l.InFlight), by)
		o.ObserveInt64(g.queueUsage, int64(l.Queued), by)
		o.ObserveInt64(g.queueLimit, int64(l.MaxQueue), by)
		if l.Bound > 0 {
			o.ObserveInt64(g.limiterLimit, int64(l.Bound), by)
		}
	}
	for _, e := range f.Endpoints {
		by := of(keyEndpoint.String(e.Name))
		o.ObserveInt64(g.endpointHealthy, one(!e.Ejected.After(now) && !e.Resting.After(now)), by)
		o.ObserveInt64(g.endpointUsage, int64(e.InFlight), by)
	}
	if f.Budget != nil {
		o.ObserveInt64(g.budgetLeft, int64(f.Budget.Tokens), of())
	}
	if c := f.Cache; c != nil {
		o.ObserveInt64(g.cacheUsage, int64(c.Entries), of())
		o.ObserveInt64(g.cacheLimit, int64(c.MaxEntries), of())
		o.ObserveInt64(g.cacheBytes, c.Bytes, of())
		o.ObserveInt64(g.cacheBytesLimit, c.MaxBytes, of())
		o.ObserveInt64(g.evictions, int64(c.Evicted), of(keyEviction.String("capacity")))
		o.ObserveInt64(g.evictions, int64(c.Expired), of(keyEviction.String("expired")))
		o.ObserveInt64(g.evictions, int64(c.Purged), of(keyEviction.String("purged")))
	}
}

// observeThrottles observes the throttles of all functions, each name of a function once:
// of two observations a gauge keeps the last, where those of sums are added up.
func (g *gauges) observeThrottles(o metric.Observer, functions []FunctionSnapshot) {
	type throttle struct{ function, name string }
	most := make(map[throttle]float64)
	for _, f := range functions {
		for _, t := range f.Throttles {
			of := throttle{f.Name, t.Name}
			most[of] = max(most[of], t.Refused)
		}
	}
	for of, refused := range most {
		o.ObserveFloat64(g.throttleRatio, refused, observedOf(of.function, keyThrottle.String(of.name)))
	}
}

// observedOf returns the attributes of an observation: the function, if it has a name, and
// more.
func observedOf(function string, more ...attribute.KeyValue) metric.ObserveOption {
	if function != "" {
		more = append(more, keyFunction.String(function))
	}
	return metric.WithAttributeSet(attribute.NewSet(more...)) //nolint:forbidigo // asked for when metrics are collected
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
