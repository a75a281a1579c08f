package riverjobs

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

const (
	countEvery = 250 * time.Millisecond // how long a count is good for
	retryAfter = countEvery             // when a producer that met a full queue may try again
)

// A meter knows about how much a queue holds: what it held when it was last
// counted, and what this process has added since.
type meter struct {
	noted atomic.Bool // the queue is in the list of all

	mu      sync.Mutex // guards the rest, and makes one producer count for all
	counted time.Time
	good    time.Duration // for how long the count is good
	jobs    int
	bytes   int64
}

// meter returns the meter of a queue.
func (e *Engine) meter(queue string) *meter {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.queues[queue] == nil {
		e.queues[queue] = &meter{}
	}
	return e.queues[queue]
}

// An execer is a pool, or a transaction.
type execer interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
}

// note puts the queues of jobs that were not heard of yet into the list of all queues.
func (e *Engine) note(ctx context.Context, db execer, js []jobs.Job) error {
	var names []string
	for _, j := range js {
		if !e.meter(j.Queue).noted.Load() {
			names = append(names, j.Queue)
		}
	}
	slices.Sort(names) // so that two with the same new queues wait for each other instead of both
	for _, name := range slices.Compact(names) {
		_, err := db.Exec(ctx, "INSERT INTO sparekey_river_queues (name, river) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, riverQueue(name))
		if err != nil {
			return err
		}
		if db == execer(e.db.Pool) { // else it may be rolled back
			e.meter(name).noted.Store(true)
		}
	}
	return nil
}

// bound returns an error if a queue has no room for the jobs that were added in tx.
// If it has, the jobs count from now on, until undo is called.
func (e *Engine) bound(ctx context.Context, tx pgx.Tx, added []jobs.Job) (undo func(), err error) {
	type load struct {
		jobs  int
		bytes int64
	}
	loads := map[string]load{}
	for _, j := range added {
		l := loads[j.Queue]
		loads[j.Queue] = load{l.jobs + 1, l.bytes + int64(len(j.Payload))}
	}
	var undos []func()
	undo = func() {
		for _, f := range undos {
			f()
		}
	}
	for queue, l := range loads {
		m := e.meter(queue)
		if err := m.add(ctx, tx, e, queue, l.jobs, l.bytes); err != nil {
			return undo, err
		}
		undos = append(undos, func() { m.remove(l.jobs, l.bytes) })
	}
	return undo, nil
}

// add counts n jobs more, or returns an error if there is no room for them. They
// are in tx already.
func (m *meter) add(ctx context.Context, tx pgx.Tx, e *Engine, queue string, n int, bytes int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	count, weight := m.jobs+n, m.bytes+bytes
	if begin := time.Now(); begin.Sub(m.counted) >= m.good {
		// Jobs of other transactions are seen once those are committed, those of
		// this one already. Dead jobs take no room.
		err := tx.QueryRow(ctx, `SELECT a.n - d.n, a.bytes - d.bytes FROM
			(SELECT count(*) AS n, coalesce(sum(bytes), 0)::bigint AS bytes FROM sparekey_river_inputs WHERE queue = $1) a,
			(SELECT count(*) AS n, coalesce(sum(i.bytes), 0)::bigint AS bytes FROM `+e.table+` j
				JOIN sparekey_river_inputs i ON i.id = j.args->>'id'
				WHERE j.state IN `+dead+` AND i.queue = $1) d`, queue).Scan(&count, &weight)
		if err != nil {
			return err
		}
		m.counted = time.Now()
		m.good = max(countEvery, 10*m.counted.Sub(begin)) // a tenth of the time at most
		m.jobs, m.bytes = count-n, weight-bytes
	}
	bound, byteBound := e.options.Bound, e.options.ByteBound
	if (bound >= 0 && count > bound) || (byteBound >= 0 && weight > byteBound) {
		return &jobs.FullError{
			Queue: queue,
			Jobs:  m.jobs, Bound: bound,
			Bytes: m.bytes, ByteBound: byteBound,
			RetryAfter: retryAfter,
		}
	}
	m.jobs, m.bytes = count, weight
	return nil
}

func (m *meter) remove(n int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs, m.bytes = max(0, m.jobs-n), max(0, m.bytes-bytes)
}
