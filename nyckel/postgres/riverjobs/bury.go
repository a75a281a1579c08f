package riverjobs

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// Bury accepts jobs that are dead already, all or none, for those who move here
// from another engine. It does not heed the bounds, of which dead jobs are no part.
// As with Enqueue, one whose ID is known changes nothing.
func (e *Engine) Bury(ctx context.Context, dead ...jobs.DeadJob) ([]jobs.Receipt, error) {
	living := make([]jobs.Job, len(dead))
	byID := make(map[string]jobs.DeadJob, len(dead))
	for i, d := range dead {
		living[i], byID[d.ID] = d.Job, d
	}
	living, now, err := e.check(living)
	if err != nil || len(dead) == 0 {
		return nil, err
	}
	if err := e.note(ctx, e.db.Pool, living); err != nil {
		return nil, fmt.Errorf("riverjobs: bury: %w", err)
	}
	var receipts []jobs.Receipt
	err = pgx.BeginFunc(ctx, e.db.Pool, func(tx pgx.Tx) error {
		added, err := insertInputs(ctx, tx, living, now)
		if err != nil {
			return err
		}
		if err := e.insertJobs(ctx, tx, added); err != nil {
			return err
		}
		for _, j := range added {
			if err := e.kill(ctx, tx, byID[j.ID]); err != nil {
				return err
			}
		}
		receipts, err = e.receipts(ctx, tx, living, added)
		for i := range receipts {
			if receipts[i].New {
				receipts[i].State = jobs.Dead
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("riverjobs: bury: %w", err)
	}
	return receipts, nil
}

// kill makes a job that was just given to River a dead one, as River would.
func (e *Engine) kill(ctx context.Context, tx pgx.Tx, d jobs.DeadJob) error {
	last, err := json.Marshal(rivertype.AttemptError{At: d.DiedAt, Attempt: d.Attempt, Error: d.LastError})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE `+e.table+` SET state = 'cancelled', finalized_at = $2, attempt = $3, errors = ARRAY[$4::jsonb]
		WHERE id = (SELECT job FROM sparekey_river_inputs WHERE id = $1)`, d.ID, d.DiedAt, min(d.Attempt, maxAttempts), string(last))
	return err
}
