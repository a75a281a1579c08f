package riverjobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// errLost means that a job was given back while its handler was at it.
var errLost = errors.New("riverjobs: the job was given back")

// held is a job in the hands of a worker.
type held struct {
	free    func()       // frees the worker
	known   bool         // its prediction is recorded already
	lost    bool         // guarded by run.mu; the job was given back
	told    bool         // guarded by run.mu; River knows what to do with it
	settled jobs.Settled // guarded by run.mu; valid when told
}

// worker is a run as River sees it.
type worker struct {
	river.WorkerDefaults[work]
	run *run
}

// Work implements [river.Worker]. It has a job done and settles it: what is done in
// a transaction of its own, all else by what it returns to River. Of that River
// tells once it is in the database, and only then the worker is free.
func (w *worker) Work(ctx context.Context, job *river.Job[work]) error {
	r := w.run
	if err := r.enter(ctx, job); err != nil {
		return err
	}
	h := &held{free: sync.OnceFunc(func() { <-r.slots })}
	d, err := r.delivery(ctx, job, h)
	if d == nil { // without an error: it was done, by a worker that had lost it
		h.free()
		return err
	}
	r.take(job.ID, h)
	err = r.do(ctx, job, *d, h)
	if err == nil {
		r.leave(job.ID, h)
		return nil
	}
	// If River cannot settle the job, no word comes of it.
	time.AfterFunc(r.settle, func() { r.leave(job.ID, h) })
	return err
}

// Timeout implements [river.Worker]. The rescuer of one client asks about the jobs of all,
// whose budgets may be longer: the name of each says after how long its jobs are lost.
func (w *worker) Timeout(job *river.Job[work]) time.Duration {
	n := len(job.AttemptedBy)
	if n == 0 || job.AttemptedBy[n-1] == w.run.name {
		return 0 // what the client says
	}
	name := job.AttemptedBy[n-1]
	after, _ := time.ParseDuration(name[strings.LastIndexByte(name, '_')+1:]) // zero if it does not say
	return after
}

// NextRetry implements [river.Worker]. A job that was rescued is due at once.
func (w *worker) NextRetry(job *river.Job[work]) time.Time {
	w.run.mu.Lock()
	defer w.run.mu.Unlock()
	var wait time.Duration
	if h := w.run.held[job.ID]; h != nil && h.told {
		wait = h.settled.Wait
	}
	return time.Now().Add(wait)
}

// atOnce retries at once: the retry policy of a client, which only has jobs left
// that no worker knows.
type atOnce struct{}

func (atOnce) NextRetry(*rivertype.JobRow) time.Time { return time.Now() }

// take notes who has a job. That River hands it out again says that it has settled
// it before, even if its word is still on the way.
func (r *run) take(id int64, h *held) {
	r.word(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[id] = h
}

// word is called when River has put into the database what became of a job.
func (r *run) word(id int64) {
	r.mu.Lock()
	h := r.held[id]
	if h == nil || !h.told {
		r.mu.Unlock()
		return
	}
	delete(r.held, id)
	r.mu.Unlock()
	r.OnSettled(h.settled)
	h.free()
}

// leave frees the worker that had a job.
func (r *run) leave(id int64, h *held) {
	r.mu.Lock()
	if r.held[id] == h {
		delete(r.held, id)
	}
	r.mu.Unlock()
	h.free()
}

// enter waits until the gate is open and a worker is free. If that takes long, or
// a shutdown begins, the job is to wait in the queue instead.
func (r *run) enter(ctx context.Context, job *river.Job[work]) error {
	i := slices.IndexFunc(r.Queues, func(queue string) bool { return riverQueue(queue) == job.Queue })
	if i < 0 {
		return fmt.Errorf("riverjobs: nobody asked for queue %q", job.Queue)
	}
	for deadline := time.Now().Add(r.park); ; {
		left := time.Until(deadline)
		wait := r.Gate.Ready(ctx, r.Queues[i])
		switch {
		case r.stopping() || ctx.Err() != nil:
			return river.JobSnooze(0)
		case left <= 0:
			return river.JobSnooze(min(max(wait, time.Second/2), 5*time.Second))
		case wait > 0:
			waitFor(r.stop, min(wait, gateLook, left))
			continue
		}
		select {
		case r.slots <- struct{}{}:
			return nil
		default:
		}
		if r.awaitSlot(left) {
			if !r.stopping() && r.Gate.Ready(ctx, r.Queues[i]) <= 0 { // still
				return nil
			}
			<-r.slots
		}
	}
}

// awaitSlot waits for a free worker and reports whether there was one.
func (r *run) awaitSlot(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case r.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-r.stop:
	}
	return false
}

func (r *run) stopping() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// delivery reads what the handler needs, nil if the job is known no more, and whether
// it needs the handler at all.
func (r *run) delivery(ctx context.Context, job *river.Job[work], h *held) (*jobs.Delivery, error) {
	d := jobs.Delivery{
		Job: jobs.Job{
			ID:          job.Args.ID,
			Priority:    riverPriority(job.Priority),
			RunAt:       job.ScheduledAt,
			MaxAttempts: job.MaxAttempts,
		},
		Attempt: job.Attempt,
	}
	if n := len(job.Errors); n > 0 {
		d.LastError = plain(job.Errors[n-1].Error)
	}
	for wait := troubleIn; ; wait = min(2*wait, troubleTo) {
		err := r.db.Pool.QueryRow(ctx, `SELECT queue, kind, payload, enqueued_at, EXISTS (SELECT FROM sparekey_predictions WHERE id = $1)
			FROM sparekey_river_inputs WHERE id = $1`, d.ID).Scan(&d.Queue, &d.Kind, &d.Payload, &d.EnqueuedAt, &h.known)
		switch {
		case err == nil:
			return &d, nil
		case errors.Is(err, pgx.ErrNoRows):
			return nil, nil
		case r.stopping() || ctx.Err() != nil:
			return nil, river.JobSnooze(0)
		}
		r.OnError(fmt.Errorf("riverjobs: %w", err))
		pause(ctx, wait)
	}
}

// do has the handler do a job. It returns nil once the job is done and recorded,
// and what River is to do with it otherwise.
func (r *run) do(ctx context.Context, job *river.Job[work], d jobs.Delivery, h *held) error {
	s := jobs.Settled{Delivery: d, Picked: max(0, job.AttemptedAt.Sub(job.ScheduledAt))}
	o := jobs.Done()
	if !h.known {
		begin := time.Now()
		o = r.call(ctx, d)
		s.Took = time.Since(begin)
	}
	o = o.Decide(d, r.RunConfig)
	if o.Ending == jobs.Finished {
		var err error
		if o, err = r.finish(ctx, job, d, o, h); err != nil {
			return river.JobSnooze(0) // it is lost, and this its last trace
		}
	}
	s.Ending, s.Err, s.Wait = o.Ending, o.Err, o.After
	if o.Ending == jobs.Finished {
		r.OnSettled(s)
		return nil
	}
	r.mu.Lock()
	if r.late { // the shutdown is to blame, not the job
		s.Ending, s.Wait = jobs.GivenBack, 0
	}
	h.told, h.settled = true, s
	r.mu.Unlock()
	switch text := errors.New(jobs.ErrorText(o.Err)); s.Ending {
	case jobs.GivenBack, jobs.Snoozed:
		return river.JobSnooze(s.Wait)
	case jobs.DeadLettered:
		return river.JobCancel(text)
	default:
		return text
	}
}

// call has the handler do a job in a goroutine of its own: River would never learn of
// one that the handler ends.
func (r *run) call(ctx context.Context, d jobs.Delivery) jobs.Outcome {
	outcome := make(chan jobs.Outcome, 1)
	go func() {
		defer close(outcome)
		outcome <- r.handler.Call(ctx, d, r.Budget)
	}()
	o, ok := <-outcome
	if !ok {
		return jobs.Retry(0, errors.New("riverjobs: the handler ended its goroutine"))
	}
	return o
}

// finish records what a job predicted and that it is done, and tries again while
// the database is in trouble. Predictions that the store will not have make the job
// a dead letter: the next call would be in vain as well.
func (r *run) finish(ctx context.Context, job *river.Job[work], d jobs.Delivery, o jobs.Outcome, h *held) (jobs.Outcome, error) {
	// What the handler found is worth more than the end of its time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.settle)
	defer cancel()
	for wait := troubleIn; ; wait = min(2*wait, troubleTo) {
		err := r.commit(ctx, job, d, o, h)
		refused := &refusedError{}
		switch {
		case err == nil, errors.Is(err, errLost):
			return o, err
		case errors.As(err, &refused):
			return jobs.DeadLetter(err), nil
		}
		r.OnError(fmt.Errorf("riverjobs: job %q: %w", d.ID, err))
		if pause(ctx, wait); ctx.Err() != nil {
			// It is not known to be recorded: another attempt will see.
			return jobs.Retry(0, err).Decide(d, r.RunConfig), nil
		}
	}
}

func (r *run) commit(ctx context.Context, job *river.Job[work], d jobs.Delivery, o jobs.Outcome, h *held) error {
	return r.db.InTx(ctx, func(tx *postgres.Tx) error {
		if err := r.store.RecordTx(ctx, tx.SQL, o.Predictions...); err != nil {
			return refusal(err)
		}
		err := tx.Pgx(func(px pgx.Tx) error { // before its input, as giveBack has it, lest they lock each other
			_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, px, job)
			return err
		})
		if err == nil {
			_, err = tx.SQL.ExecContext(ctx, "DELETE FROM sparekey_river_inputs WHERE id = $1", d.ID)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if h.lost { // and has another id, by which River may not have found it
			return errLost
		}
		return err
	})
}

// refusedError is the store's refusal of a prediction.
type refusedError struct{ err error }

func (e *refusedError) Error() string {
	return "riverjobs: what the handler found cannot be recorded: " + e.err.Error()
}
func (e *refusedError) Unwrap() error { return e.err }

// refusal tells apart what is wrong with a prediction from what is wrong with the
// database: the first makes no sense to the store, or is an error in the data or
// against a constraint (classes 22 and 23).
func refusal(err error) error {
	inSQL, ok := errors.AsType[*pgconn.PgError](err)
	if errors.Is(err, predictions.ErrInvalid) || ok && (strings.HasPrefix(inSQL.Code, "22") || strings.HasPrefix(inSQL.Code, "23")) {
		return &refusedError{err}
	}
	return err
}
