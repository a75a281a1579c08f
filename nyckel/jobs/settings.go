package jobs

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sparekey/sparekey/transport/plan"
)

// Settings are what a configuration file says of queues: see [plan.Queue]. A queue
// has the settings of the function of its name. What only Go can say stays in the
// [RunConfig]: which queues there are, the gate and the hooks.
//
//	settings := jobs.FromLive(live)
//	q := live.Plan().File().Queue
//	engine, err := sqlitejobs.New(ctx, store, sqlitejobs.Options{Bound: q.Bound, ByteBound: q.ByteBound, Lease: q.Lease, Poll: q.Poll})
//	...
//	receipts, err := engine.Enqueue(ctx, settings.Job(job))
//	...
//	err = settings.Run(ctx, engine, jobs.RunConfig{Queues: client.Functions(), Gate: jobs.GateOf(client)}, jobs.Invoke(client))
//
// Settings are safe for concurrent use.
type Settings struct {
	plan    func() *plan.Plan
	changed func() <-chan struct{}
}

// FromPlan returns what a plan says.
func FromPlan(p *plan.Plan) *Settings {
	return &Settings{
		plan:    func() *plan.Plan { return p },
		changed: func() <-chan struct{} { return nil },
	}
}

// FromLive returns what a file says that may change: MaxAttempts and Priority count
// for jobs that are enqueued from then on, Budget and Backoff from the next attempt
// of a job on. If there are to be other Workers, another Drain or a Budget longer than
// all before, those of before take no more jobs and end as they do at the end of the
// program, while the new ones are at work already. Bound, ByteBound, Lease and Poll,
// which an engine is given when it is made, cannot change: such a file is refused, see
// [plan.Live.Fix].
func FromLive(live *plan.Live) *Settings {
	live.Fix(func(*plan.Plan) []string {
		return []string{"Queue.Bound", "Queue.ByteBound", "Queue.Lease", "Queue.Poll"}
	})
	return &Settings{plan: live.Plan, changed: live.Changed}
}

// work returns how the jobs of a queue are done.
func (s *Settings) work(queue string) plan.Work {
	f, isFunction := s.plan().Function(queue)
	if !isFunction {
		return f.Queue.WithDefaults()
	}
	return f.Work()
}

// Job returns j with what the settings say of its queue in place of a MaxAttempts or
// a Priority that is zero.
func (s *Settings) Job(j Job) Job {
	w := s.work(cmp.Or(j.Queue, DefaultQueue))
	j.MaxAttempts, j.Priority = cmp.Or(j.MaxAttempts, w.MaxAttempts), cmp.Or(j.Priority, w.Priority)
	return j
}

// Run is [Engine.Run], with what the settings say in place of Workers, Drain, Budget
// and Backoff, where c leaves them out.
func (s *Settings) Run(ctx context.Context, e Engine, c RunConfig, h Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		shifts sync.WaitGroup // those that have ended may still be at their last jobs
		mu     sync.Mutex
		errs   []error // guarded by mu
		before RunConfig
	)
	for {
		changed, config := s.changed(), s.config(c, before)
		shift, end := context.WithCancel(ctx)
		shifts.Go(func() {
			err := e.Run(shift, config, s.handler(c, h))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			if shift.Err() == nil { // nobody has told it to end
				cancel()
			}
		})
		s.await(ctx, changed, c, config)
		end()
		before = config
		if ctx.Err() != nil {
			shifts.Wait()
			return errors.Join(errs...)
		}
	}
}

// config returns c with what the settings say. The budget is the largest of any queue,
// as the handler keeps to that of each, and never less than before: who takes a job that
// runs for too long for lost must not do so with one that was begun earlier.
func (s *Settings) config(c, before RunConfig) RunConfig {
	q := s.plan().File().Queue.WithDefaults()
	c.Workers, c.Drain = cmp.Or(c.Workers, q.Workers), cmp.Or(c.Drain, q.Drain)
	if c.Budget == 0 {
		c.Budget = before.Budget
		for _, queue := range c.WithDefaults().Queues {
			c.Budget = max(c.Budget, s.work(queue).Budget)
		}
	}
	return c
}

// await waits until the workers are to be others, or ctx ends.
func (s *Settings) await(ctx context.Context, changed <-chan struct{}, c, inForce RunConfig) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		changed = s.changed()
		next := s.config(c, inForce)
		if next.Workers != inForce.Workers || next.Drain != inForce.Drain || next.Budget != inForce.Budget {
			return
		}
	}
}

// handler has h do each job in the time, and with the waits, of its queue.
func (s *Settings) handler(c RunConfig, h Handler) Handler {
	return func(ctx context.Context, d Delivery) Outcome {
		w := s.work(d.Queue)
		o := h.Call(ctx, d, cmp.Or(c.Budget, w.Budget))
		if c.Backoff != nil {
			return o
		}
		return o.Decide(d, RunConfig{Backoff: func(n int) time.Duration {
			return backoff(w.Backoff.Base, w.Backoff.Max, n, rand.Float64())
		}})
	}
}
