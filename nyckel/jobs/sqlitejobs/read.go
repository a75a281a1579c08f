package sqlitejobs

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// Stats implements [jobs.Engine]. Its cost grows with the jobs that are due later,
// and not with those that are due.
func (e *Engine) Stats(ctx context.Context) ([]jobs.Stats, error) {
	if err := e.ready(); err != nil {
		return nil, err
	}
	now := time.Now()
	rows, err := e.store.DB().QueryContext(ctx, `WITH priorities (value) AS (VALUES (-1), (0), (1), (2))
		SELECT queue, jobs, bytes, dead,
			(SELECT count(*) FROM sparekey_jobs j WHERE state = 2 AND j.queue = c.queue),
			(SELECT min(changed_at) FROM sparekey_jobs j WHERE state = 2 AND j.queue = c.queue),
			(SELECT count(*) FROM priorities p JOIN sparekey_jobs j ON j.priority = p.value
				WHERE j.state = 1 AND j.queue = c.queue AND j.run_at > ?1),
			(SELECT min((SELECT min(run_at) FROM sparekey_jobs j WHERE j.state = 1 AND j.queue = c.queue AND j.priority = p.value)) FROM priorities p)
		FROM sparekey_job_counts c ORDER BY queue`, micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []jobs.Stats
	for rows.Next() {
		s := jobs.Stats{Bound: max(0, e.options.Bound), ByteBound: max(0, e.options.ByteBound)}
		var living int
		var running, waiting sql.NullInt64
		if err := rows.Scan(&s.Queue, &living, &s.Bytes, &s.Dead, &s.Running, &running, &s.Scheduled, &waiting); err != nil {
			return nil, err
		}
		s.Ready = living - s.Running - s.Scheduled
		s.OldestRunning, s.OldestReady = age(running, now), age(waiting, now)
		all = append(all, s)
	}
	return all, rows.Err()
}

// age returns how long ago something was, at least zero.
func age(us sql.NullInt64, now time.Time) time.Duration {
	if !us.Valid {
		return 0
	}
	return max(0, now.Sub(at(us.Int64)))
}

const columns = `seq, id, queue, kind, priority, state, run_at, attempt, max_attempts, enqueued_at, changed_at, last_error,
	(SELECT payload FROM sparekey_job_payloads p WHERE p.seq = sparekey_jobs.seq)`

// row is a job as it stands in the table.
type row struct {
	jobs.Delivery
	seq     int64
	state   jobs.State
	changed time.Time
}

func (r *row) scan(scan func(...any) error) error {
	var runAt, enqueuedAt, changedAt int64
	err := scan(&r.seq, &r.ID, &r.Queue, &r.Kind, &r.Priority, &r.state, &runAt, &r.Attempt, &r.MaxAttempts,
		&enqueuedAt, &changedAt, &r.LastError, &r.Payload)
	r.RunAt, r.EnqueuedAt, r.changed = at(runAt), at(enqueuedAt), at(changedAt)
	return err
}

// Find implements [jobs.Engine].
func (e *Engine) Find(ctx context.Context, id string) (jobs.State, *jobs.Delivery, error) {
	if err := e.ready(); err != nil {
		return jobs.Unknown, nil, err
	}
	var r row
	err := r.scan(e.store.DB().QueryRowContext(ctx, `SELECT `+columns+` FROM sparekey_jobs WHERE id = ?`, id).Scan)
	switch {
	case err == nil:
		return r.state, &r.Delivery, nil
	case !errors.Is(err, sql.ErrNoRows):
		return jobs.Unknown, nil, err
	}
	recorded, err := e.store.Has(ctx, id)
	if err != nil || !recorded[id] {
		return jobs.Unknown, nil, err
	}
	return jobs.Recorded, nil, nil
}

// page is how many jobs are read at once, so that nobody holds a snapshot for long:
// it would keep the log of the database from being written back.
const page = 100

// DeadLetters implements [jobs.Engine].
func (e *Engine) DeadLetters(ctx context.Context, queue string) iter.Seq2[jobs.DeadJob, error] {
	return func(yield func(jobs.DeadJob, error) bool) {
		var last row
		for {
			rows, err := e.page(ctx, `SELECT `+columns+` FROM sparekey_jobs
				WHERE state = 3 AND (changed_at, seq) > (?1, ?2) AND (?3 = '' OR queue = ?3)
				ORDER BY changed_at, seq LIMIT ?4`, micros(last.changed), last.seq, queue, page)
			if err != nil {
				yield(jobs.DeadJob{}, err)
				return
			}
			for _, r := range rows {
				if !yield(jobs.DeadJob{Delivery: r.Delivery, DiedAt: r.changed}, nil) {
					return
				}
			}
			if len(rows) < page {
				return
			}
			last = rows[len(rows)-1]
		}
	}
}

func (e *Engine) page(ctx context.Context, query string, args ...any) ([]row, error) {
	if err := e.ready(); err != nil {
		return nil, err
	}
	rows, err := e.store.DB().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []row
	for rows.Next() {
		var r row
		if err := r.scan(rows.Scan); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// Requeue implements [jobs.Engine].
func (e *Engine) Requeue(ctx context.Context, ids ...string) (int, error) {
	n, err := e.each(ctx, ids, func(ctx context.Context, tx *sql.Tx, id string) (sql.Result, error) {
		now := micros(time.Now())
		return tx.ExecContext(ctx, `UPDATE sparekey_jobs SET state = 1, attempt = 0, last_error = '', run_at = ?2, changed_at = ?2
			WHERE id = ?1 AND state = 3`, id, now)
	})
	e.wake()
	return n, err
}

// Discard implements [jobs.Engine].
func (e *Engine) Discard(ctx context.Context, ids ...string) (int, error) {
	return e.each(ctx, ids, func(ctx context.Context, tx *sql.Tx, id string) (sql.Result, error) {
		return tx.ExecContext(ctx, `DELETE FROM sparekey_jobs WHERE id = ? AND state = 3`, id)
	})
}

// each changes all the jobs or none, and returns how many there were.
func (e *Engine) each(ctx context.Context, ids []string, change func(context.Context, *sql.Tx, string) (sql.Result, error)) (int, error) {
	if err := e.ready(); err != nil || len(ids) == 0 {
		return 0, err
	}
	changed := 0
	err := e.store.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		changed = 0
		for _, id := range ids {
			result, err := change(ctx, tx, id)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			changed += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}
