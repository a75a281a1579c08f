package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// Measured returns an engine that does what e does and has OpenTelemetry meter it:
//
//	sparekey.jobs.depth                 jobs by queue and state: ready, scheduled, running, dead
//	sparekey.jobs.bytes                 what the payloads of a queue weigh
//	sparekey.jobs.bound                 how many jobs a queue may hold
//	sparekey.jobs.oldest_ready.age      how long the job that is due for longest has been so, s
//	sparekey.jobs.oldest_running.age    how long ago the longest running job was taken, s
//	sparekey.jobs.enqueued              jobs by whether they were new
//	sparekey.jobs.rejected              jobs that found a queue full
//	sparekey.jobs.settled               deliveries by how they ended
//	sparekey.jobs.attempts              attempts that a finished or given up job took
//	sparekey.jobs.pickup.delay          time from when a job was due to when it was taken, s
//	sparekey.jobs.handler.duration      time that handlers took, s
//	sparekey.jobs.gate.closed           time for which gates were closed, s
//
// All but enqueued and rejected tell queues apart by sparekey.queue.name; depth has
// sparekey.job.state, settled sparekey.job.ending, enqueued sparekey.job.new. The
// first five are asked of the database, once in 5 s at most. They are those of
// the queue, whoever asks, so one process need measure. Close ends the measuring
// and closes e.
func Measured(e Engine) (Engine, error) {
	m := &measured{Engine: e}
	for i := range m.byNew {
		m.byNew[i] = []metric.AddOption{newSet(keyNew.Bool(i == 1))}
	}
	var errs []error
	meter := otel.Meter("github.com/sparekey/sparekey/nyckel/jobs")
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	seconds := func(name, description string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600))
		errs = append(errs, err)
		return h
	}
	m.enqueued = counter("sparekey.jobs.enqueued", "{job}", "Jobs that were enqueued.")
	m.rejected = counter("sparekey.jobs.rejected", "{job}", "Jobs that found a queue full.")
	m.settled = counter("sparekey.jobs.settled", "{delivery}", "Deliveries that ended.")
	m.pickup = seconds("sparekey.jobs.pickup.delay", "Time from when a job was due to when it was taken.")
	m.took = seconds("sparekey.jobs.handler.duration", "Time that handlers took.")
	var err error
	m.attempts, err = meter.Int64Histogram("sparekey.jobs.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts that a job took."), metric.WithExplicitBucketBoundaries(1, 2, 3, 4, 6, 8, 12, 16))
	errs = append(errs, err)
	m.gateClosed, err = meter.Float64Counter("sparekey.jobs.gate.closed", metric.WithUnit("s"),
		metric.WithDescription("Time for which gates were closed."))
	errs = append(errs, err, m.observe(meter))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

type measured struct {
	Engine
	enqueued, rejected, settled metric.Int64Counter
	pickup, took                metric.Float64Histogram
	attempts                    metric.Int64Histogram
	gateClosed                  metric.Float64Counter
	registration                metric.Registration
	byNew                       [2][]metric.AddOption // enqueued jobs that were there, that were not
	measures                    measures

	mu      sync.Mutex
	stats   []Stats   // guarded by mu
	failure error     // likewise, of the last time that they were asked for
	asked   time.Time // likewise
}

// statsFor is how long the figures of the database are good for, and the news that it
// has none.
const statsFor = 5 * time.Second

// observe registers what is asked of the database.
func (m *measured) observe(meter metric.Meter) error {
	var errs []error
	gauge := func(name, unit, description string) metric.Int64ObservableGauge {
		g, err := meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return g
	}
	age := func(name, description string) metric.Float64ObservableGauge {
		g, err := meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
		errs = append(errs, err)
		return g
	}
	depth := gauge("sparekey.jobs.depth", "{job}", "Jobs of a queue by state.")
	bytes := gauge("sparekey.jobs.bytes", "By", "What the payloads of a queue weigh.")
	bound := gauge("sparekey.jobs.bound", "{job}", "How many jobs a queue may hold.")
	ready := age("sparekey.jobs.oldest_ready.age", "How long the job that is due for longest has been so.")
	running := age("sparekey.jobs.oldest_running.age", "How long ago the longest running job was taken.")
	var err error
	m.registration, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		all, err := m.recentStats(ctx)
		for _, s := range all {
			by := m.measures.of(s.Queue)
			for i, n := range [len(jobStates)]int{s.Ready, s.Scheduled, s.Running, s.Dead} {
				o.ObserveInt64(depth, int64(n), by.states[i]...)
			}
			o.ObserveInt64(bytes, s.Bytes, by.observe...)
			o.ObserveInt64(bound, int64(s.Bound), by.observe...)
			o.ObserveFloat64(ready, s.OldestReady.Seconds(), by.observe...)
			o.ObserveFloat64(running, s.OldestRunning.Seconds(), by.observe...)
		}
		return err
	}, depth, bytes, bound, ready, running)
	return errors.Join(append(errs, err)...)
}

func (m *measured) recentStats(ctx context.Context) ([]Stats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.asked) >= statsFor {
		m.stats, m.failure = m.Stats(ctx)
		m.asked = time.Now()
	}
	return m.stats, m.failure
}

// Enqueue implements [Engine].
func (m *measured) Enqueue(ctx context.Context, js ...Job) ([]Receipt, error) {
	receipts, err := m.Engine.Enqueue(ctx, js...)
	if errors.Is(err, ErrFull) {
		m.rejected.Add(ctx, int64(len(js)))
	}
	var count [2]int64
	for _, r := range receipts {
		if r.New {
			count[1]++
		} else {
			count[0]++
		}
	}
	for i, n := range count {
		if n > 0 {
			m.enqueued.Add(ctx, n, m.byNew[i]...)
		}
	}
	return receipts, err
}

// Run implements [Engine].
func (m *measured) Run(ctx context.Context, c RunConfig, h Handler) error {
	c = c.WithDefaults()
	tell := c.OnSettled
	c.OnSettled = func(s Settled) {
		m.count(ctx, s)
		tell(s)
	}
	gate := &measuredGate{Gate: c.Gate, closed: m.gateClosed, measures: &m.measures, since: map[string]time.Time{}}
	c.Gate = gate
	if rationed, ok := gate.Gate.(Rationed); ok {
		c.Gate = &measuredRation{gate, rationed}
	}
	return m.Engine.Run(ctx, c, h)
}

func (m *measured) count(ctx context.Context, s Settled) {
	by := m.measures.of(s.Queue)
	m.settled.Add(ctx, 1, by.ending(s.Ending)...)
	m.pickup.Record(ctx, s.Picked.Seconds(), by.record...)
	if s.Took > 0 {
		m.took.Record(ctx, s.Took.Seconds(), by.record...)
	}
	if s.Ending == Finished || s.Ending == DeadLettered {
		m.attempts.Record(ctx, int64(s.Attempt), by.record...)
	}
}

// Close implements [Engine].
func (m *measured) Close() error {
	return errors.Join(m.registration.Unregister(), m.Engine.Close())
}

// measuredGate sums up the time for which a gate is closed.
type measuredGate struct {
	Gate
	closed   metric.Float64Counter
	measures *measures

	mu    sync.Mutex
	since map[string]time.Time // queues that are closed, since they were asked last; guarded by mu
}

// Ready implements [Gate].
func (g *measuredGate) Ready(ctx context.Context, queue string) time.Duration {
	wait := g.Gate.Ready(ctx, queue)
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if since, ok := g.since[queue]; ok {
		g.closed.Add(ctx, now.Sub(since).Seconds(), g.measures.of(queue).add...)
	}
	if wait > 0 {
		g.since[queue] = now
	} else {
		delete(g.since, queue)
	}
	return wait
}

type measuredRation struct {
	*measuredGate
	rationed Rationed
}

// Ration implements [Rationed].
func (g *measuredRation) Ration(ctx context.Context, queue string, n int) int {
	return g.rationed.Ration(ctx, queue, n)
}
