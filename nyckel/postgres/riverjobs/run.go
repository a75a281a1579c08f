package riverjobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

const (
	gateLook   = 250 * time.Millisecond // how often a closed gate is asked, at least: it may open early
	rescueWait = 5 * time.Second        // how long after all that a job counts as lost
	troubleIn  = 100 * time.Millisecond // the first wait after trouble with the database,
	troubleTo  = 2 * time.Second        // and the longest
	grace      = time.Second            // how long handlers have to return once their contexts have ended
	maxBudget  = math.MaxInt64 / 2      // a longer one and what River adds to it would not be a duration
)

// times are how long a worker may have a job at most: River takes it for lost after
// the sum of them and the budget.
type times struct {
	park   time.Duration // waiting for the gate and for its turn
	settle time.Duration // getting the outcome into the database
}

func timesOf(c jobs.RunConfig) times {
	return times{
		park:   min(c.Budget/3, 10*time.Second),
		settle: min(max(c.Budget/2, 5*time.Second), 15*time.Second),
	}
}

// config is what all clients of River have in common.
func (e *Engine) config() *river.Config {
	return &river.Config{
		Schema: e.options.Schema,
		Logger: quiet,
		// River's own 100 ms and 1 s would bound 16 workers to 160 jobs a second.
		// River announces at most one insertion per cooldown, so that about one
		// job in four is found only by the next poll.
		FetchCooldown:     10 * time.Millisecond,
		FetchPollInterval: 100 * time.Millisecond,
		// Dead jobs stay until somebody decides. What is done is in the store.
		CancelledJobRetentionPeriod: -1,
		DiscardedJobRetentionPeriod: -1,
		CompletedJobRetentionPeriod: time.Minute,
	}
}

// run is one call of [Engine.Run].
type run struct {
	*Engine
	jobs.RunConfig
	times
	handler jobs.Handler
	name    string                // of the client, in River's tables; see [worker.Timeout]
	client  *river.Client[pgx.Tx] // set before any work comes
	stop    <-chan struct{}       // closed when the shutdown begins
	slots   chan struct{}         // holds one element per job at work
	words   sync.WaitGroup        // who listens to what River says of jobs

	mu   sync.Mutex
	held map[int64]*held // guarded by mu; by River's id
	late bool            // guarded by mu; the shutdown waits no longer
}

// Run implements [jobs.Engine].
func (e *Engine) Run(ctx context.Context, c jobs.RunConfig, h jobs.Handler) error {
	if err := errors.Join(e.ready(), c.Validate()); err != nil {
		return err
	}
	c = c.WithDefaults()
	c.Budget = min(c.Budget, maxBudget)
	r := &run{
		Engine: e, RunConfig: c, times: timesOf(c), handler: h,
		stop:  ctx.Done(),
		slots: make(chan struct{}, c.Workers),
		held:  map[int64]*held{},
	}
	r.name = "sparekey_" + rand.Text() + "_" + r.lostAfter().String()
	if !r.start(ctx) {
		return nil // ctx has ended
	}
	r.addQueues(ctx)
	<-ctx.Done()
	return r.drain(context.WithoutCancel(ctx))
}

// lostAfter is after how long a job of this run counts as lost.
func (r *run) lostAfter() time.Duration { return r.park + r.Budget + r.settle + rescueWait }

// idle is a queue without jobs. River wants one to start with; with this one it
// starts, and looks after jobs gone astray, before a gate has opened.
const idle = made + "idle"

// start starts a client that has no jobs yet. It reports whether ctx still goes on.
func (r *run) start(ctx context.Context) bool {
	for wait := troubleIn; ctx.Err() == nil; wait = min(2*wait, troubleTo) {
		err := r.startClient(ctx)
		if err == nil {
			return true
		}
		r.OnError(fmt.Errorf("riverjobs: %w", err))
		pause(ctx, wait)
	}
	return false
}

func (r *run) startClient(ctx context.Context) error {
	c := r.config()
	c.ID = r.name
	c.Logger = slog.New(complaints{r.OnError})
	c.RetryPolicy = atOnce{}
	c.RescueStuckJobsAfter = r.lostAfter()
	c.JobTimeout = c.RescueStuckJobsAfter - rescueWait
	c.Workers = river.NewWorkers()
	river.AddWorker(c.Workers, &worker{run: r})
	c.Queues = map[string]river.QueueConfig{idle: {MaxWorkers: 1, FetchPollInterval: time.Hour}}
	client, err := river.NewClient(riverpgxv5.New(r.db.Pool), c)
	if err != nil {
		return err
	}
	r.client = client
	events, unsubscribe := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: 1000 + 10*r.Workers, Kinds: []river.EventKind{
		river.EventKindJobCancelled, river.EventKindJobFailed, river.EventKindJobInterrupted, river.EventKindJobSnoozed,
	}})
	r.words.Go(func() {
		for event := range events { // until the client stops
			r.word(event.Job.ID)
		}
	})
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		unsubscribe()
		return err
	}
	return nil
}

// addQueues has the client take jobs of each queue once its gate has opened.
func (r *run) addQueues(ctx context.Context) {
	waiting := r.Queues
	for {
		wait := gateLook
		waiting = slices.DeleteFunc(slices.Clone(waiting), func(queue string) bool {
			d := r.Gate.Ready(ctx, queue)
			if d <= 0 {
				err := r.client.Queues().Add(riverQueue(queue), river.QueueConfig{MaxWorkers: min(r.Workers, river.QueueNumWorkersMax)})
				if err == nil {
					return true
				}
				r.OnError(fmt.Errorf("riverjobs: %w", err))
				d = gateLook
			}
			wait = min(wait, max(d, time.Millisecond))
			return false
		})
		if len(waiting) == 0 || waitFor(ctx.Done(), wait) {
			return
		}
	}
}

// drain waits for the workers and until it is told what they settled, at the end not
// for long, and gives back what they hold on to.
func (r *run) drain(ctx context.Context) error {
	workers, told := r.client.Stopped(), make(chan struct{})
	go func() {
		<-workers
		r.words.Wait()
		close(told)
	}()
	go r.client.Stop(ctx) //nolint:errcheck // ctx does not end
	if r.Drain > 0 {
		waitFor(told, r.Drain)
	}
	r.mu.Lock()
	r.late = true
	r.mu.Unlock()
	go r.client.StopAndCancel(ctx) //nolint:errcheck // ctx does not end
	if waitFor(told, grace) {
		return nil
	}
	return r.giveBack(ctx)
}

// giveBack makes the jobs wait whose handlers do not return. River has no way to
// do so from outside of the handler, and would take what such a handler says at last
// for the word of whoever has the job by then: the job gets another id.
func (r *run) giveBack(ctx context.Context) error {
	r.mu.Lock()
	var ids []int64
	for id, h := range r.held {
		h.lost = true
		ids = append(ids, id)
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.settle)
	defer cancel()
	_, err := r.db.Pool.Exec(ctx, `WITH back AS (
			UPDATE `+r.table+` SET id = nextval(pg_get_serial_sequence($3, 'id')),
				state = 'available', attempt = greatest(attempt - 1, 0), scheduled_at = now()
			WHERE id = ANY ($1) AND state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $2
			RETURNING id, args->>'id' AS job)
		UPDATE sparekey_river_inputs i SET job = back.id FROM back WHERE i.id = back.job`, ids, r.name, r.table)
	if err != nil {
		return fmt.Errorf("riverjobs: jobs that were not given back wait until they are rescued: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) { waitFor(ctx.Done(), d) }

// waitFor reports whether done was closed in time.
func waitFor(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// complaints tells of what River logs as an error.
type complaints struct{ tell func(error) }

func (c complaints) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}
func (c complaints) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c complaints) WithGroup(string) slog.Handler      { return c }

func (c complaints) Handle(_ context.Context, record slog.Record) error {
	var text strings.Builder
	text.WriteString("riverjobs: " + record.Message)
	record.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&text, " %s=%v", a.Key, a.Value)
		return true
	})
	c.tell(errors.New(text.String()))
	return nil
}
