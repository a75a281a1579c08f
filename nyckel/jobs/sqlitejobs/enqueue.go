package sqlitejobs

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// retryAfter is when a producer that met a full queue may try again.
const retryAfter = 250 * time.Millisecond

// Enqueue implements [jobs.Engine]. The bounds are exact.
func (e *Engine) Enqueue(ctx context.Context, js ...jobs.Job) ([]jobs.Receipt, error) {
	if err := e.check(js); err != nil || len(js) == 0 {
		return nil, err
	}
	var receipts []jobs.Receipt
	err := e.store.Update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		receipts, err = e.enqueue(ctx, tx, js)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.wake()
	return receipts, nil
}

// EnqueueTx is Enqueue within a transaction of the caller, of the store's Update,
// say: the jobs are there if and when that is committed. Idle workers find them
// when they poll. After an error none of them is there, whatever becomes of the
// transaction. A context that ends meanwhile changes nothing.
func (e *Engine) EnqueueTx(ctx context.Context, tx *sql.Tx, js ...jobs.Job) ([]jobs.Receipt, error) {
	if err := e.check(js); err != nil || len(js) == 0 {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// SQLite rolls back the whole transaction when it interrupts a statement that writes.
	ctx = context.WithoutCancel(ctx)
	if _, err := tx.ExecContext(ctx, "SAVEPOINT sparekey_enqueue"); err != nil {
		return nil, err
	}
	receipts, err := e.enqueue(ctx, tx, js)
	if err != nil {
		if _, undone := tx.ExecContext(ctx, "ROLLBACK TO sparekey_enqueue"); undone != nil {
			return nil, errors.Join(err, undone)
		}
	}
	_, released := tx.ExecContext(ctx, "RELEASE sparekey_enqueue")
	return receipts, cmp.Or(err, released)
}

func (e *Engine) check(js []jobs.Job) error {
	errs := []error{e.ready()}
	for _, j := range js {
		errs = append(errs, j.Validate())
	}
	return errors.Join(errs...)
}

func (e *Engine) enqueue(ctx context.Context, tx *sql.Tx, js []jobs.Job) ([]jobs.Receipt, error) {
	now := time.Now()
	receipts := make([]jobs.Receipt, 0, len(js))
	added := map[string]*jobs.FullError{} // by queue: what was added
	for _, j := range js {
		j = j.WithDefaults(now)
		receipt, err := e.insert(ctx, tx, j, now)
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, receipt)
		if receipt.New {
			if added[j.Queue] == nil {
				added[j.Queue] = &jobs.FullError{Queue: j.Queue}
			}
			added[j.Queue].Jobs++
			added[j.Queue].Bytes += int64(len(j.Payload))
		}
	}
	for _, more := range added {
		if err := e.bound(ctx, tx, more); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

// insert puts one job into the table unless its ID is known.
func (e *Engine) insert(ctx context.Context, tx *sql.Tx, j jobs.Job, now time.Time) (jobs.Receipt, error) {
	result, err := tx.StmtContext(ctx, e.sql.insert).ExecContext(ctx, j.ID, j.Queue, j.Kind, j.Priority, micros(j.RunAt),
		j.MaxAttempts, len(j.Payload), micros(now))
	if err != nil {
		return jobs.Receipt{}, err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return jobs.Receipt{}, err
	}
	if n == 0 {
		state := jobs.Recorded
		err := tx.StmtContext(ctx, e.sql.state).QueryRowContext(ctx, j.ID).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return jobs.Receipt{ID: j.ID, State: state}, err
	}
	seq, err := result.LastInsertId()
	if err != nil {
		return jobs.Receipt{}, err
	}
	payload := j.Payload
	if payload == nil {
		payload = []byte{}
	}
	_, err = tx.StmtContext(ctx, e.sql.payload).ExecContext(ctx, seq, payload)
	return jobs.Receipt{ID: j.ID, New: true, State: jobs.Waiting}, err
}

// bound returns an error if a queue holds too much with what was added to it.
func (e *Engine) bound(ctx context.Context, tx *sql.Tx, more *jobs.FullError) error {
	var count int
	var bytes int64
	if err := tx.StmtContext(ctx, e.sql.counts).QueryRowContext(ctx, more.Queue).Scan(&count, &bytes); err != nil {
		return err
	}
	bound, byteBound := e.options.Bound, e.options.ByteBound
	if (bound < 0 || count <= bound) && (byteBound < 0 || bytes <= byteBound) {
		return nil
	}
	return &jobs.FullError{
		Queue: more.Queue,
		Jobs:  count - more.Jobs, Bound: bound,
		Bytes: bytes - more.Bytes, ByteBound: byteBound,
		RetryAfter: retryAfter,
	}
}
