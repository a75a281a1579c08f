package riverjobs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// dead are River's states of a job that was given up: by us, and by the rescuer.
const dead = "('cancelled', 'discarded')"

// stateOf returns where a job stands that is in a state of River's.
func stateOf(river string) jobs.State {
	switch rivertype.JobState(river) {
	case rivertype.JobStateRunning:
		return jobs.Running
	case rivertype.JobStateCancelled, rivertype.JobStateDiscarded:
		return jobs.Dead
	case rivertype.JobStateCompleted:
		return jobs.Recorded
	default:
		return jobs.Waiting
	}
}

// Stats implements [jobs.Engine]. Its cost grows with the jobs that are there.
func (e *Engine) Stats(ctx context.Context) ([]jobs.Stats, error) {
	if err := e.ready(); err != nil {
		return nil, err
	}
	rows, err := e.db.Pool.Query(ctx, `SELECT q.name, coalesce(j.ready, 0), coalesce(j.scheduled, 0), coalesce(j.running, 0), coalesce(j.dead, 0),
			coalesce(i.bytes, 0) - coalesce(d.bytes, 0),
			coalesce(extract(epoch FROM now() - j.oldest_ready)::float8, 0), coalesce(extract(epoch FROM now() - j.oldest_running)::float8, 0)
		FROM sparekey_river_queues q
		LEFT JOIN (SELECT queue,
				count(*) FILTER (WHERE state IN ('available', 'pending', 'retryable', 'scheduled') AND scheduled_at <= now()) AS ready,
				count(*) FILTER (WHERE state IN ('available', 'pending', 'retryable', 'scheduled') AND scheduled_at > now()) AS scheduled,
				count(*) FILTER (WHERE state = 'running') AS running,
				count(*) FILTER (WHERE state IN `+dead+`) AS dead,
				min(scheduled_at) FILTER (WHERE state IN ('available', 'pending', 'retryable', 'scheduled') AND scheduled_at <= now()) AS oldest_ready,
				min(attempted_at) FILTER (WHERE state = 'running') AS oldest_running
			FROM `+e.table+` WHERE state <> 'completed' GROUP BY queue) j ON j.queue = q.river
		LEFT JOIN (SELECT queue, sum(bytes) AS bytes FROM sparekey_river_inputs GROUP BY queue) i ON i.queue = q.name
		LEFT JOIN (SELECT i.queue, sum(i.bytes) AS bytes FROM `+e.table+` j JOIN sparekey_river_inputs i ON i.id = j.args->>'id'
			WHERE j.state IN `+dead+` GROUP BY i.queue) d ON d.queue = q.name
		ORDER BY q.name COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("riverjobs: %w", err)
	}
	var all []jobs.Stats
	s := jobs.Stats{Bound: max(0, e.options.Bound), ByteBound: max(0, e.options.ByteBound)}
	var ready, running float64
	_, err = pgx.ForEachRow(rows, []any{&s.Queue, &s.Ready, &s.Scheduled, &s.Running, &s.Dead, &s.Bytes, &ready, &running}, func() error {
		s.OldestReady, s.OldestRunning = seconds(ready), seconds(running)
		all = append(all, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("riverjobs: %w", err)
	}
	return all, nil
}

// seconds returns a duration that is not negative, whatever the clocks say, nor more
// than 146 years.
func seconds(s float64) time.Duration {
	return time.Duration(min(max(0, s)*float64(time.Second), 1<<62))
}

// A row is a job as it stands in the tables.
type row struct {
	jobs.Delivery
	river int64 // River's id
	state jobs.State
	ended time.Time
}

// columns are those that scan wants, of the inputs i and River's jobs j.
const columns = `i.id, i.queue, i.kind, i.payload, i.enqueued_at, j.id, j.state::text, j.priority, j.scheduled_at,
	j.attempt, j.max_attempts, coalesce(j.finalized_at, j.created_at), coalesce(j.errors[array_upper(j.errors, 1)]->>'error', '')`

func scan(r pgx.CollectableRow) (row, error) {
	var w row
	var state string
	err := r.Scan(&w.ID, &w.Queue, &w.Kind, &w.Payload, &w.EnqueuedAt, &w.river, &state, &w.Priority, &w.RunAt,
		&w.Attempt, &w.MaxAttempts, &w.ended, &w.LastError)
	w.Priority, w.state, w.LastError = riverPriority(w.Priority), stateOf(state), plain(w.LastError)
	return w, err
}

// plain returns the text of an error as the handler gave it, and of River's own in
// plainer words.
func plain(text string) string {
	if text == "Stuck job rescued by JobRescuer" {
		return "riverjobs: the worker vanished"
	}
	return strings.TrimPrefix(text, "JobCancelError: ")
}

// Find implements [jobs.Engine].
func (e *Engine) Find(ctx context.Context, id string) (jobs.State, *jobs.Delivery, error) {
	if err := e.ready(); err != nil {
		return jobs.Unknown, nil, err
	}
	rows, err := e.db.Pool.Query(ctx, `SELECT `+columns+` FROM sparekey_river_inputs i JOIN `+e.table+` j ON j.id = i.job WHERE i.id = $1`, id)
	if err != nil {
		return jobs.Unknown, nil, fmt.Errorf("riverjobs: %w", err)
	}
	w, err := pgx.CollectExactlyOneRow(rows, scan)
	switch {
	case err == nil:
		return w.state, &w.Delivery, nil
	case !errors.Is(err, pgx.ErrNoRows):
		return jobs.Unknown, nil, fmt.Errorf("riverjobs: %w", err)
	}
	recorded, err := e.store.Has(ctx, id)
	if err != nil || !recorded[id] {
		return jobs.Unknown, nil, err
	}
	return jobs.Recorded, nil, nil
}

// page is how many jobs are read or changed at once.
const page = 100

// DeadLetters implements [jobs.Engine].
func (e *Engine) DeadLetters(ctx context.Context, queue string) iter.Seq2[jobs.DeadJob, error] {
	return func(yield func(jobs.DeadJob, error) bool) {
		var last row
		for {
			rows, err := e.deadAfter(ctx, queue, last)
			if err != nil {
				yield(jobs.DeadJob{}, err)
				return
			}
			for _, r := range rows {
				if !yield(jobs.DeadJob{Delivery: r.Delivery, DiedAt: r.ended}, nil) {
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

func (e *Engine) deadAfter(ctx context.Context, queue string, last row) ([]row, error) {
	if err := e.ready(); err != nil {
		return nil, err
	}
	rows, err := e.db.Pool.Query(ctx, `SELECT `+columns+` FROM `+e.table+` j JOIN sparekey_river_inputs i ON i.id = j.args->>'id'
		WHERE j.state IN `+dead+` AND (j.finalized_at, j.id) > ($1, $2) AND ($3 = '' OR i.queue = $3)
		ORDER BY j.finalized_at, j.id LIMIT $4`, last.ended, last.river, queue, page)
	if err != nil {
		return nil, fmt.Errorf("riverjobs: %w", err)
	}
	found, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("riverjobs: %w", err)
	}
	return found, nil
}
