package riverjobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// Requeue implements [jobs.Engine]. A requeued job is a new one to River, whose own
// way to retry a job leaves it a single attempt.
func (e *Engine) Requeue(ctx context.Context, ids ...string) (int, error) {
	return e.eachDead(ctx, ids, func(tx pgx.Tx, found []row) error {
		again := make([]jobs.Job, len(found))
		for i, r := range found {
			again[i] = r.Job
			again[i].RunAt = time.Time{} // now
		}
		if err := e.insertJobs(ctx, tx, again); !errors.Is(err, errRecorded) { // such a one is done without a call
			return err
		}
		return nil
	})
}

// Discard implements [jobs.Engine].
func (e *Engine) Discard(ctx context.Context, ids ...string) (int, error) {
	return e.eachDead(ctx, ids, func(tx pgx.Tx, found []row) error {
		gone := make([]string, len(found))
		for i, r := range found {
			gone[i] = r.ID
		}
		_, err := tx.Exec(ctx, "DELETE FROM sparekey_river_inputs WHERE id = ANY ($1)", gone)
		return err
	})
}

// eachDead takes the dead ones among jobs from River and hands them to change, all
// in one transaction. It returns how many there were.
func (e *Engine) eachDead(ctx context.Context, ids []string, change func(pgx.Tx, []row) error) (n int, err error) {
	if err := e.ready(); err != nil || len(ids) == 0 {
		return 0, err
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids))) // in one order, lest two calls lock each other
	err = pgx.BeginFunc(ctx, e.db.Pool, func(tx pgx.Tx) error {
		for some := range slices.Chunk(ids, page) {
			rows, err := tx.Query(ctx, `SELECT `+columns+` FROM sparekey_river_inputs i JOIN `+e.table+` j ON j.id = i.job
				WHERE i.id = ANY ($1) AND j.state IN `+dead+` ORDER BY i.id FOR UPDATE`, some)
			if err != nil {
				return err
			}
			found, err := pgx.CollectRows(rows, scan)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				continue
			}
			numbers := make([]int64, len(found))
			for i, r := range found {
				numbers[i] = r.river
			}
			if _, err := e.client.JobDeleteManyTx(ctx, tx, river.NewJobDeleteManyParams().IDs(numbers...).First(page)); err != nil {
				return err
			}
			if err := change(tx, found); err != nil {
				return err
			}
			n += len(found)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("riverjobs: %w", err)
	}
	return n, nil
}
