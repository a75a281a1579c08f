package riverjobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/postgres"
)

// errRecorded means that a job was recorded while it was enqueued again.
var errRecorded = errors.New("riverjobs: recorded meanwhile")

// Enqueue implements [jobs.Engine]. The bounds are not exact.
func (e *Engine) Enqueue(ctx context.Context, js ...jobs.Job) ([]jobs.Receipt, error) {
	js, now, err := e.check(js)
	if err != nil || len(js) == 0 {
		return nil, err
	}
	if err := e.note(ctx, e.db.Pool, js); err != nil {
		return nil, failed(err)
	}
	for {
		var receipts []jobs.Receipt
		undo := func() {}
		err := pgx.BeginFunc(ctx, e.db.Pool, func(tx pgx.Tx) (err error) {
			receipts, undo, err = e.enqueue(ctx, tx, js, now)
			return err
		})
		if err == nil {
			return receipts, nil
		}
		undo()
		if !errors.Is(err, errRecorded) { // else it is known the next time
			return nil, failed(err)
		}
	}
}

// EnqueueTx is Enqueue within a transaction of the caller: the jobs are there if and
// when that is committed. After an error it must be rolled back.
func (e *Engine) EnqueueTx(ctx context.Context, tx *postgres.Tx, js ...jobs.Job) (receipts []jobs.Receipt, err error) {
	js, now, err := e.check(js)
	if err != nil || len(js) == 0 {
		return nil, err
	}
	err = tx.Pgx(func(px pgx.Tx) error {
		// Not by another connection: if all are in use by those who want one more, they
		// wait for ever.
		if err := e.note(ctx, px, js); err != nil {
			return err
		}
		// What is rolled back counts until the queue is counted the next time.
		receipts, _, err = e.enqueue(ctx, px, js, now)
		return err
	})
	if err != nil {
		return nil, failed(err)
	}
	return receipts, nil
}

// failed says where an error comes from, unless it says so itself.
func failed(err error) error {
	if errors.Is(err, jobs.ErrFull) {
		return err
	}
	return fmt.Errorf("riverjobs: enqueue: %w", err)
}

// check reports what is wrong with the jobs, and returns them with their defaults.
func (e *Engine) check(js []jobs.Job) ([]jobs.Job, time.Time, error) {
	errs := []error{e.ready()}
	for _, j := range js {
		errs = append(errs, j.Validate())
	}
	now := time.Now()
	if err := errors.Join(errs...); err != nil {
		return nil, now, err
	}
	filled := make([]jobs.Job, len(js))
	for i, j := range js {
		filled[i] = j.WithDefaults(now)
		filled[i].RunAt = j.RunAt // River has a shorter way for zero
	}
	return filled, now, nil
}

// enqueue enqueues jobs in a transaction. If that is not committed, undo is to be
// called.
func (e *Engine) enqueue(ctx context.Context, tx pgx.Tx, js []jobs.Job, now time.Time) (receipts []jobs.Receipt, undo func(), err error) {
	undo = func() {}
	added, err := insertInputs(ctx, tx, js, now)
	if err != nil {
		return nil, undo, err
	}
	if undo, err = e.bound(ctx, tx, added); err != nil {
		return nil, undo, err
	}
	if err := e.insertJobs(ctx, tx, added); err != nil {
		return nil, undo, err
	}
	receipts, err = e.receipts(ctx, tx, js, added)
	return receipts, undo, err
}

// insertInputs inserts the inputs of jobs whose ids are not known, and returns
// those jobs. Rows go in by order of their ids, so that two producers with the same
// jobs wait for each other instead of both.
func insertInputs(ctx context.Context, tx pgx.Tx, js []jobs.Job, now time.Time) ([]jobs.Job, error) {
	var ids, queues, kinds []string
	var payloads [][]byte
	first := make(map[string]jobs.Job, len(js))
	for _, j := range js {
		if _, ok := first[j.ID]; ok {
			continue // the same job again
		}
		first[j.ID] = j
		if j.Payload == nil {
			j.Payload = []byte{}
		}
		ids, queues, kinds, payloads = append(ids, j.ID), append(queues, j.Queue), append(kinds, j.Kind), append(payloads, j.Payload)
	}
	rows, err := tx.Query(ctx, `INSERT INTO sparekey_river_inputs (id, queue, kind, payload, enqueued_at)
		SELECT id, queue, kind, payload, $5 FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS t (id, queue, kind, payload)
		WHERE NOT EXISTS (SELECT FROM sparekey_predictions p WHERE p.id = t.id)
		ORDER BY id
		ON CONFLICT (id) DO NOTHING
		RETURNING id`, ids, queues, kinds, payloads, now)
	if err != nil {
		return nil, err
	}
	inserted, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	is := make(map[string]bool, len(inserted))
	for _, id := range inserted {
		is[id] = true
	}
	added := make([]jobs.Job, 0, len(inserted))
	for _, id := range ids { // in the order of the caller
		if is[id] {
			added = append(added, first[id])
		}
	}
	return added, nil
}

// insertJobs gives jobs to River and notes its ids. It fails with errRecorded if
// one of them is recorded: the insertion may have waited for the commit that
// recorded it, which its own snapshot does not show yet and this statement's does.
func (e *Engine) insertJobs(ctx context.Context, tx pgx.Tx, js []jobs.Job) error {
	if len(js) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(js))
	ids := make([]string, len(js))
	for i, j := range js {
		params[i] = insertion(j)
		ids[i] = j.ID
	}
	inserted, err := e.client.InsertManyTx(ctx, tx, params)
	if err != nil {
		return err
	}
	numbers := make([]int64, len(js))
	for i, result := range inserted {
		numbers[i] = result.Job.ID
	}
	var recorded bool
	if err := e.makeDue(ctx, tx, inserted); err != nil {
		return err
	}
	err = tx.QueryRow(ctx, `WITH noted AS (
			UPDATE sparekey_river_inputs i SET job = t.job FROM unnest($1::text[], $2::bigint[]) AS t (id, job) WHERE i.id = t.id)
		SELECT EXISTS (SELECT FROM sparekey_predictions WHERE id = ANY ($1))`, ids, numbers).Scan(&recorded)
	if err == nil && recorded {
		err = errRecorded
	}
	return err
}

// makeDue makes those jobs available that River would leave to its scheduler,
// which looks every five seconds, although they are due before it looks again.
// River does the same to jobs that are snoozed for so short a time: an available
// job is not taken before it is due.
func (e *Engine) makeDue(ctx context.Context, tx pgx.Tx, inserted []*rivertype.JobInsertResult) error {
	var soon []int64
	for _, result := range inserted {
		if j := result.Job; j.State == rivertype.JobStateScheduled && time.Until(j.ScheduledAt) < 2*schedulerInterval {
			soon = append(soon, j.ID)
		}
	}
	if len(soon) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, "UPDATE "+e.table+" SET state = 'available' WHERE id = ANY ($1) AND state = 'scheduled'", soon)
	return err
}

// schedulerInterval is how often River looks for scheduled jobs that are due.
const schedulerInterval = 5 * time.Second

func insertion(j jobs.Job) river.InsertManyParams {
	return river.InsertManyParams{Args: work{j.ID}, InsertOpts: &river.InsertOpts{
		MaxAttempts: min(j.MaxAttempts, maxAttempts),
		Priority:    riverPriority(j.Priority),
		Queue:       riverQueue(j.Queue),
		ScheduledAt: j.RunAt,
	}}
}

// maxAttempts is the most that River's table can hold.
const maxAttempts = 1<<15 - 1

// receipts says of each job whether it was added, and where it stands if not.
func (e *Engine) receipts(ctx context.Context, tx pgx.Tx, js, added []jobs.Job) ([]jobs.Receipt, error) {
	fresh := make(map[string]bool, len(added))
	for _, j := range added {
		fresh[j.ID] = true
	}
	var known []string
	receipts := make([]jobs.Receipt, len(js))
	for i, j := range js {
		receipts[i] = jobs.Receipt{ID: j.ID, New: fresh[j.ID], State: jobs.Waiting}
		if fresh[j.ID] {
			fresh[j.ID] = false // those that follow are the same job again
		} else {
			known = append(known, j.ID)
		}
	}
	if len(known) == 0 {
		return receipts, nil
	}
	states, err := e.states(ctx, tx, known)
	if err != nil {
		return nil, err
	}
	for i, r := range receipts {
		if !r.New {
			receipts[i].State = states[r.ID]
		}
	}
	return receipts, nil
}

// states returns where jobs stand. Those that are in no table any more are done.
func (e *Engine) states(ctx context.Context, tx pgx.Tx, ids []string) (map[string]jobs.State, error) {
	states := make(map[string]jobs.State, len(ids))
	for _, id := range ids {
		states[id] = jobs.Recorded
	}
	rows, err := tx.Query(ctx, `SELECT i.id, j.state::text FROM sparekey_river_inputs i JOIN `+e.table+` j ON j.id = i.job
		WHERE i.id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	var id, state string
	_, err = pgx.ForEachRow(rows, []any{&id, &state}, func() error {
		states[id] = stateOf(state)
		return nil
	})
	return states, err
}
