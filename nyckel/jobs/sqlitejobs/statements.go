package sqlitejobs

import (
	"context"
	"database/sql"
	"errors"
)

// statements are those that run for each job, prepared once. The driver would
// parse them anew each time.
type statements struct {
	insert, payload, state, counts      *sql.Stmt
	finish, putBack, bury, renew, lapse *sql.Stmt
	due, claim                          *sql.Stmt

	all []*sql.Stmt // those that were prepared
}

const (
	insertSQL = `INSERT INTO sparekey_jobs (id, queue, kind, priority, state, run_at, max_attempts, bytes, enqueued_at, changed_at)
		SELECT ?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?8
		WHERE NOT EXISTS (SELECT 1 FROM sparekey_predictions WHERE id = ?1) ON CONFLICT (id) DO NOTHING`
	payloadSQL = `INSERT INTO sparekey_job_payloads (seq, payload) VALUES (?, ?)`
	stateSQL   = `SELECT state FROM sparekey_jobs WHERE id = ?`
	countsSQL  = `SELECT jobs, bytes FROM sparekey_job_counts WHERE queue = ?`

	finishSQL  = `DELETE FROM sparekey_jobs WHERE seq = ? AND token = ?`
	putBackSQL = `UPDATE sparekey_jobs SET state = 1, token = 0, run_at = ?3, attempt = attempt - ?4, last_error = ?5, changed_at = ?6
		WHERE seq = ?1 AND token = ?2`
	burySQL = `UPDATE sparekey_jobs SET state = 3, token = 0, last_error = ?3, changed_at = ?4
		WHERE seq = ?1 AND token = ?2`
	renewSQL = `UPDATE sparekey_jobs SET lease_until = ?3 WHERE seq = ?1 AND token = ?2`

	// dueSQL selects jobs that are due by ?1, at most ?2, best first, of the queues
	// whose names are in the JSON of ?3. It looks at each queue and priority by itself,
	// where an index has them in order, so that its cost does not grow with what waits.
	// A limit that is a bare parameter would have SQLite parse the statement anew each
	// time, as its plan could depend on the value.
	dueSQL = `SELECT j.seq FROM json_each(?3) q CROSS JOIN (VALUES (-1), (0), (1), (2)) p CROSS JOIN sparekey_jobs j
		WHERE j.seq IN (SELECT seq FROM sparekey_jobs
			WHERE state = 1 AND queue = q.value AND priority = p.column1 AND run_at <= ?1
			ORDER BY run_at, seq LIMIT ?2 + 0)
		ORDER BY j.priority DESC, j.run_at, j.seq LIMIT ?2 + 0`

	// claimSQL takes them, until ?4 and for who has the token ?5, and tells which of them
	// were recorded since they were enqueued.
	claimSQL = `UPDATE sparekey_jobs SET state = 2, attempt = attempt + 1, changed_at = ?1, lease_until = ?4, token = ?5
		WHERE seq IN (` + dueSQL + `)
		RETURNING seq, id, queue, kind, priority, run_at, attempt, max_attempts, enqueued_at, last_error,
			(SELECT payload FROM sparekey_job_payloads p WHERE p.seq = sparekey_jobs.seq),
			EXISTS (SELECT 1 FROM sparekey_predictions p WHERE p.id = sparekey_jobs.id)`

	// A job whose worker vanished is due again at once. One that was so more than
	// once may be the cause, and waits longer each time.
	lapseSQL = `UPDATE sparekey_jobs SET
			state      = iif(attempt < max_attempts, 1, 3),
			run_at     = ?1 + iif(attempt > 1, 1000000 * min(600, 1 << min(attempt - 1, 10)), 0),
			token      = 0,
			last_error = 'jobs: the worker vanished',
			changed_at = ?1
		WHERE state = 2 AND lease_until <= ?2`
)

func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, one := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&s.insert, insertSQL},
		{&s.payload, payloadSQL},
		{&s.state, stateSQL},
		{&s.counts, countsSQL},
		{&s.finish, finishSQL},
		{&s.putBack, putBackSQL},
		{&s.bury, burySQL},
		{&s.renew, renewSQL},
		{&s.lapse, lapseSQL},
		{&s.due, dueSQL},
		{&s.claim, claimSQL},
	} {
		stmt, err := db.PrepareContext(ctx, one.text)
		if err != nil {
			return errors.Join(err, s.close())
		}
		*one.to, s.all = stmt, append(s.all, stmt)
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s.all {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}
