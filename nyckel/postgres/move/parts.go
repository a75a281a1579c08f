package move

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// predictions moves predictions and the inputs that were kept with them.
func (m *mover) predictions(ctx context.Context) error {
	return m.table(ctx, "predictions", "sparekey_predictions", m.report.Predictions, func(ctx context.Context, tx *sql.Tx, p page) error {
		values, args := p.values()
		_, err := tx.ExecContext(ctx, "INSERT INTO sparekey_predictions ("+strings.Join(p.columns, ", ")+") VALUES "+values+
			" ON CONFLICT (id) DO NOTHING", args...)
		if err != nil {
			return err
		}
		return m.inputs(ctx, tx, p)
	})
}

// inputs moves the inputs of a page of predictions.
func (m *mover) inputs(ctx context.Context, tx *sql.Tx, p page) error {
	rows, err := m.From.DB().QueryContext(ctx, `SELECT p.id, i.at, i.input FROM sparekey_predictions p JOIN sparekey_inputs i ON i.prediction = p.seq
		WHERE p.seq <= ? ORDER BY p.seq DESC LIMIT ?`, p.last, len(p.rows))
	if err != nil {
		return err
	}
	kept, err := scan(rows)
	if err != nil {
		return err
	}
	for _, row := range kept.rows {
		_, err := tx.ExecContext(ctx, `INSERT INTO sparekey_inputs (prediction, at, input)
			SELECT seq, $2, $3 FROM sparekey_predictions WHERE id = $1 ON CONFLICT DO NOTHING`, row...)
		if err != nil {
			return err
		}
	}
	return nil
}

// truths moves truths with their history. Of a sample about which the new side
// knows a truth already, that one stays the current one. One that is there already is
// passed over, unless it is the current one and none is there: it may have been said
// before, at the same time, and taken back since.
func (m *mover) truths(ctx context.Context) error {
	return m.table(ctx, "truths", "sparekey_truths", m.report.Truths, func(ctx context.Context, tx *sql.Tx, p page) error {
		parameter := func(name string) string { return fmt.Sprintf("$%d", p.column(name)+1) }
		sample := "SELECT FROM sparekey_truths WHERE function = " + parameter("function") + " AND sample = " + parameter("sample")
		known := "EXISTS (" + sample + " AND current = 1)"
		columns := make([]string, len(p.columns))
		for i, name := range p.columns {
			columns[i] = parameter(name)
			if name == "current" {
				columns[i] = "CASE WHEN " + known + " THEN 0 ELSE " + parameter(name) + " END"
			}
		}
		statement := "INSERT INTO sparekey_truths (" + strings.Join(p.columns, ", ") + ") SELECT " + strings.Join(columns, ", ") +
			" WHERE NOT EXISTS (" + sample + " AND label = " + parameter("label") + " AND at = " + parameter("at") + ")" +
			" OR " + parameter("current") + " = 1 AND NOT " + known
		for _, row := range p.rows {
			if _, err := tx.ExecContext(ctx, statement, row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// jobs moves the jobs. Their ids make it repeatable: those that are there already
// change nothing.
func (m *mover) jobs(ctx context.Context) error {
	var there bool
	db := m.From.DB()
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sparekey_jobs')").Scan(&there)
	if err != nil || !there || m.Jobs == nil {
		return err
	}
	var total int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sparekey_jobs").Scan(&total); err != nil {
		return err
	}
	for after := int64(0); ; {
		some, last, err := m.readJobs(ctx, after)
		if err != nil || len(some) == 0 {
			return err
		}
		var living []jobs.Job
		var dead []jobs.DeadJob
		for _, j := range some {
			if j.DiedAt.IsZero() {
				living = append(living, j.Job)
			} else {
				dead = append(dead, j)
			}
		}
		if _, err := m.Jobs.Enqueue(ctx, living...); err != nil {
			return err
		}
		if _, err := m.Jobs.Bury(ctx, dead...); err != nil {
			return err
		}
		m.report.Jobs, m.report.Dead, after = m.report.Jobs+len(living), m.report.Dead+len(dead), last
		m.OnProgress(Progress{"jobs", m.report.Jobs + m.report.Dead, total})
	}
}

// stepBytes is what the payloads of jobs that are moved at once may weigh, but for the
// last one: they go in one statement, which has its time.
const stepBytes = 8 << 20

// readJobs returns the jobs behind a place. Those that are not dead have not died.
func (m *mover) readJobs(ctx context.Context, after int64) (some []jobs.DeadJob, last int64, err error) {
	const dead = 3
	rows, err := m.From.DB().QueryContext(ctx, `SELECT j.seq, id, queue, kind, priority, state, run_at, attempt, max_attempts, changed_at, last_error, payload
		FROM sparekey_jobs j JOIN sparekey_job_payloads p ON p.seq = j.seq WHERE j.seq > ? ORDER BY j.seq LIMIT ?`, after, step)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for bytes := 0; bytes < stepBytes && rows.Next(); {
		var j jobs.DeadJob
		var state int
		var runAt, changedAt int64
		err := rows.Scan(&last, &j.ID, &j.Queue, &j.Kind, &j.Priority, &state, &runAt, &j.Attempt, &j.MaxAttempts, &changedAt, &j.LastError, &j.Payload)
		if err != nil {
			return nil, 0, err
		}
		j.RunAt = time.UnixMicro(runAt)
		if state == dead {
			j.DiedAt = time.UnixMicro(changedAt)
		}
		some, bytes = append(some, j), bytes+len(j.Payload)
	}
	return some, last, rows.Err()
}
