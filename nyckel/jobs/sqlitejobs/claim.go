package sqlitejobs

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// held is a job in the hands of a worker.
type held struct {
	jobs.Delivery
	seq   int64
	token int64     // whoever has it may change the job
	taken time.Time // when it was taken
	known bool      // its prediction is recorded already
}

// claim takes up to n jobs that are due, best first. When there are none it only
// reads.
func (e *Engine) claim(ctx context.Context, queues []string, n int) ([]*held, error) {
	names, err := json.Marshal(queues)
	if err != nil {
		return nil, err
	}
	var taken []*held
	err = e.store.Update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		now := time.Now()
		token := 1 + rand.Int64N(1<<62)
		rows, err := tx.StmtContext(ctx, e.sql.claim).QueryContext(ctx, micros(now), n, string(names), micros(now.Add(e.options.Lease)), token)
		if err != nil {
			return err
		}
		taken, err = readTaken(rows, now, token)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(taken, func(a, b *held) int {
		return cmp.Or(b.Priority-a.Priority, a.RunAt.Compare(b.RunAt), cmp.Compare(a.seq, b.seq))
	})
	return taken, nil
}

func readTaken(rows *sql.Rows, now time.Time, token int64) ([]*held, error) {
	defer rows.Close()
	var taken []*held
	for rows.Next() {
		h := &held{token: token, taken: now}
		var runAt, enqueuedAt int64
		err := rows.Scan(&h.seq, &h.ID, &h.Queue, &h.Kind, &h.Priority, &runAt, &h.Attempt, &h.MaxAttempts,
			&enqueuedAt, &h.LastError, &h.Payload, &h.known)
		if err != nil {
			return nil, err
		}
		h.RunAt, h.EnqueuedAt = at(runAt), at(enqueuedAt)
		taken = append(taken, h)
	}
	return taken, rows.Err()
}

// due reports whether a job of the queues is due.
func (e *Engine) due(ctx context.Context, queues []string) (bool, error) {
	names, err := json.Marshal(queues)
	if err != nil {
		return false, err
	}
	var seq int64
	switch err := e.sql.due.QueryRowContext(ctx, micros(time.Now()), 1, string(names)).Scan(&seq); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// giveBack puts back what was taken in vain, without counting the attempts.
func (e *Engine) giveBack(ctx context.Context, all []*held) error {
	if len(all) == 0 {
		return nil
	}
	return e.store.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, h := range all {
			if _, err := e.change(ctx, tx, h, jobs.Outcome{Ending: jobs.GivenBack}); err != nil {
				return err
			}
		}
		return nil
	})
}

// renew prolongs the leases of the jobs and returns those that were lost.
func (e *Engine) renew(ctx context.Context, all []*held) (lost []*held, err error) {
	err = e.store.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		lost = nil
		until := micros(time.Now().Add(e.options.Lease))
		for _, h := range all {
			result, err := tx.StmtContext(ctx, e.sql.renew).ExecContext(ctx, h.seq, h.token, until)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			if n == 0 {
				lost = append(lost, h)
			}
		}
		return nil
	})
	return lost, err
}

// ranOut reports whether there are jobs, of any queue, whose leases ran out by then.
func (e *Engine) ranOut(ctx context.Context, by time.Time) (some bool, err error) {
	err = e.store.DB().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sparekey_jobs WHERE state = 2 AND lease_until <= ?)`, micros(by)).Scan(&some)
	return some, err
}

// lapse frees the jobs whose leases ran out by then, of all queues.
func (e *Engine) lapse(ctx context.Context, by time.Time) error {
	return e.store.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.StmtContext(ctx, e.sql.lapse).ExecContext(ctx, micros(time.Now()), micros(by))
		return err
	})
}
