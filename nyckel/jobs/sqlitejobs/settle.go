package sqlitejobs

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// errLost says that a job was taken by another worker, since the lease ran out.
var errLost = errors.New("sqlitejobs: the lease ran out")

// A settlement is how a delivery ended, to be written down with what it found.
type settlement struct {
	*held
	outcome jobs.Outcome // decided
	lost    bool         // the job is somebody else's by now
	written chan error
}

// settle writes down how a delivery ended. It returns errLost if the job is
// somebody else's by now: then nothing is written. Deliveries that end while the
// database is busy are written together.
func (e *Engine) settle(h *held, o jobs.Outcome) error {
	s := &settlement{held: h, outcome: o, written: make(chan error, 1)}
	e.mu.Lock()
	e.ended = append(e.ended, s)
	if !e.writing {
		e.writing = true
		go e.writeEnded()
	}
	e.mu.Unlock()
	return <-s.written
}

// writeEnded writes settlements until there are none.
func (e *Engine) writeEnded() {
	for {
		e.mu.Lock()
		all := e.ended
		e.ended = nil
		e.writing = len(all) > 0
		e.mu.Unlock()
		if len(all) == 0 {
			return
		}
		err := e.write(all)
		for _, s := range all {
			one := err
			if err != nil && len(all) > 1 {
				one = e.write([]*settlement{s}) // the trouble may be that of another one
			}
			if one == nil && s.lost {
				one = errLost
			}
			s.written <- one
		}
	}
}

// write settles all or none.
func (e *Engine) write(all []*settlement) error {
	return e.store.Update(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
		var found []predictions.Prediction
		for _, s := range all {
			n, err := e.change(ctx, tx, s.held, s.outcome)
			if err != nil {
				return err
			}
			if s.lost = n == 0; !s.lost {
				found = append(found, s.outcome.Predictions...)
			}
		}
		if len(found) == 0 {
			return nil
		}
		return e.store.RecordTx(ctx, tx, found...)
	})
}

// change brings the job into the state that the outcome asks for.
func (e *Engine) change(ctx context.Context, tx *sql.Tx, h *held, o jobs.Outcome) (int64, error) {
	now := time.Now()
	var result sql.Result
	var err error
	switch o.Ending {
	case jobs.Finished:
		result, err = tx.StmtContext(ctx, e.sql.finish).ExecContext(ctx, h.seq, h.token)
	case jobs.DeadLettered:
		result, err = tx.StmtContext(ctx, e.sql.bury).ExecContext(ctx, h.seq, h.token, jobs.ErrorText(o.Err), micros(now))
	case jobs.Retried:
		result, err = e.putBack(ctx, tx, h, now.Add(o.After), 0, jobs.ErrorText(o.Err), now)
	case jobs.Snoozed:
		result, err = e.putBack(ctx, tx, h, now.Add(o.After), 1, h.LastError, now)
	default: // given back: as if it had not been taken
		result, err = e.putBack(ctx, tx, h, h.RunAt, 1, h.LastError, now)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (e *Engine) putBack(ctx context.Context, tx *sql.Tx, h *held, runAt time.Time, uncounted int, text string, now time.Time) (sql.Result, error) {
	return tx.StmtContext(ctx, e.sql.putBack).ExecContext(ctx, h.seq, h.token, micros(runAt), uncounted, text, micros(now))
}
