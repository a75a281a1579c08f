package itest_test

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

// openSQLite opens a store and an engine on a file, as a process does. They are
// closed at the end of the test.
func openSQLite(t testing.TB, path string, o sqlitejobs.Options) (*sqlitejobs.Engine, *predictions.Store) {
	t.Helper()
	ctx := context.Background()
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	require.NoError(t, err)
	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{OwnDB: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	engine, err := sqlitejobs.New(ctx, store, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return engine, store
}

func TestSQLiteJobs(t *testing.T) {
	jobstest.Run(t, jobstest.Backend{Open: func(t *testing.T, engines, bound int) ([]jobs.Engine, *predictions.Store) {
		path := filepath.Join(t.TempDir(), "jobs.db")
		var all []jobs.Engine
		var first *predictions.Store
		for range engines {
			engine, store := openSQLite(t, path, sqlitejobs.Options{Bound: bound})
			all = append(all, engine)
			if first == nil {
				first = store
			}
		}
		t.Cleanup(func() { checkIntegrity(t, path) })
		return all, first
	}})
}

// An account may have hundreds of functions, and each of them a queue.
func TestSQLiteJobsManyQueues(t *testing.T) {
	engine, _ := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{})
	queues := make([]string, 1000)
	var js []jobs.Job
	for i := range queues {
		queues[i] = fmt.Sprintf(`queue "%d" <é>`, i)
		if i%100 == 99 {
			js = append(js, jobs.Job{ID: queues[i], Queue: queues[i], Priority: i/100%4 - 1, RunAt: time.Unix(int64(1000-i), 0)})
		}
	}
	_, err := engine.Enqueue(t.Context(), js...)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var done []string
	require.NoError(t, engine.Run(ctx, jobs.RunConfig{
		Queues: queues, Workers: 1,
		OnSettled: func(s jobs.Settled) {
			if done = append(done, s.ID); len(done) == len(js) {
				cancel()
			}
		},
		OnError: func(err error) { t.Error(err) },
	}, func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.Done(jobstest.Answer("x")) }))
	slices.SortFunc(js, func(a, b jobs.Job) int { return cmp.Or(b.Priority-a.Priority, a.RunAt.Compare(b.RunAt)) })
	var want []string
	for _, j := range js {
		want = append(want, j.ID)
	}
	assert.Equal(t, want, done, "the best first, whatever its queue")
}

// checkIntegrity looks over the file and the counters in it.
func checkIntegrity(t testing.TB, path string) {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	require.NoError(t, err)
	defer db.Close()
	require.Equal(t, "ok", scalar[string](t, db, `PRAGMA integrity_check`))
	require.Zero(t, scalar[int](t, db, `SELECT count(*) FROM (
		SELECT queue, sum(state < 3), sum((state < 3) * bytes), sum(state = 3) FROM sparekey_jobs GROUP BY queue
		EXCEPT SELECT queue, jobs, bytes, dead FROM sparekey_job_counts)`), "counters are wrong")
	require.Zero(t, scalar[int](t, db, `SELECT count(*) FROM sparekey_job_counts c WHERE (jobs, bytes, dead) <> (0, 0, 0)
		AND NOT EXISTS (SELECT 1 FROM sparekey_jobs j WHERE j.queue = c.queue)`), "counters of empty queues are wrong")
	require.Zero(t, scalar[int](t, db, `SELECT count(*) FROM sparekey_job_payloads WHERE seq NOT IN (SELECT seq FROM sparekey_jobs)`), "payloads are left over")
}
