package itest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// A database of a later version is left alone, with a clear error.
func TestSQLiteNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	engine, store := openSQLite(t, path, sqlitejobs.Options{})
	require.NoError(t, engine.Close())
	_, err := store.DB().Exec(`INSERT INTO sparekey_migrations (name, number, file, checksum, executed_at)
		VALUES ('jobs', 2, '0002_later.sqlite.sql', '', 0)`)
	require.NoError(t, err)
	_, err = sqlitejobs.New(t.Context(), store, sqlitejobs.Options{})
	assert.ErrorIs(t, err, predictions.ErrNewerSchema)
	assert.ErrorContains(t, err, "0002_later.sqlite.sql")
}

func TestSQLiteOptions(t *testing.T) {
	for want, o := range map[string]sqlitejobs.Options{
		"Lease is 1ms":       {Lease: time.Millisecond},
		"Poll is 1µs":        {Poll: time.Microsecond},
		"ByteBound is 1000,": {ByteBound: 1000},
	} {
		_, err := sqlitejobs.New(t.Context(), nil, o)
		assert.ErrorContains(t, err, want)
	}
}

// The bytes of the payloads are bounded, too.
func TestSQLiteByteBound(t *testing.T) {
	engine, _ := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{Bound: -1, ByteBound: 2 * jobs.MaxPayload})
	payload := make([]byte, jobs.MaxPayload)
	_, err := engine.Enqueue(t.Context(), jobs.Job{ID: "a", Payload: payload}, jobs.Job{ID: "b", Payload: payload})
	require.NoError(t, err)
	_, err = engine.Enqueue(t.Context(), jobs.Job{ID: "c", Payload: []byte("x")})
	full, ok := errors.AsType[*jobs.FullError](err)
	require.True(t, ok, "error = %v, want a FullError", err)
	assert.EqualValues(t, 2*jobs.MaxPayload, full.Bytes, "without what was to come")
	assert.EqualValues(t, 2*jobs.MaxPayload, full.ByteBound)
	_, err = engine.Enqueue(t.Context(), jobs.Job{ID: "d"})
	assert.NoError(t, err, "it weighs nothing")
	stats, err := engine.Stats(t.Context())
	require.NoError(t, err)
	assert.Zero(t, stats[0].Bound, "there is none")
}

// A job that is enqueued in a transaction is there if and when that is committed.
func TestSQLiteEnqueueTx(t *testing.T) {
	engine, store := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{})
	for id, end := range map[string]error{"kept": nil, "dropped": os.ErrInvalid} {
		err := store.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			receipts, err := engine.EnqueueTx(ctx, tx, jobs.Job{ID: id})
			require.NoError(t, err)
			require.True(t, receipts[0].New)
			return end
		})
		require.ErrorIs(t, err, end)
	}
	awaitState(t, engine, "kept", jobs.Waiting)
	awaitState(t, engine, "dropped", jobs.Unknown)

	ended, cancel := context.WithCancelCause(t.Context())
	cancel(os.ErrClosed)
	require.NoError(t, store.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := engine.EnqueueTx(ctx, tx, jobs.Job{ID: "good"}, jobs.Job{ID: "bad", Priority: 9})
		assert.ErrorContains(t, err, "Priority is 9")
		_, err = engine.EnqueueTx(ended, tx, jobs.Job{ID: "late"})
		assert.ErrorIs(t, err, os.ErrClosed)
		receipts, err := engine.EnqueueTx(ctx, tx)
		assert.NoError(t, err)
		assert.Empty(t, receipts)
		return nil
	}))
	awaitState(t, engine, "good", jobs.Unknown)
	awaitState(t, engine, "late", jobs.Unknown)
}

// Jobs that a transaction could not enqueue are not there, also if it goes on without
// them and is committed: all or none.
func TestSQLiteEnqueueTxFull(t *testing.T) {
	engine, store := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{Bound: 2})
	err := store.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := engine.EnqueueTx(ctx, tx, jobs.Job{ID: "before"})
		require.NoError(t, err)
		receipts, err := engine.EnqueueTx(ctx, tx, jobs.Job{ID: "one"}, jobs.Job{ID: "too many"})
		require.ErrorIs(t, err, jobs.ErrFull)
		assert.Empty(t, receipts)
		_, err = engine.EnqueueTx(ctx, tx, jobs.Job{ID: "after"})
		return err
	})
	require.NoError(t, err)
	stats, err := engine.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, stats[0].Ready)
	awaitState(t, engine, "one", jobs.Unknown)
	awaitState(t, engine, "after", jobs.Waiting)
}

// It is all or none, too, if the context of the call ends between two of its statements,
// or in one, and the transaction has another.
func TestSQLiteEnqueueTxCancelled(t *testing.T) {
	engine, store := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{})
	for n := range int64(30) {
		var enqueued error
		id := func(s string) string { return fmt.Sprint(s, " ", n) }
		err := store.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, enqueued = engine.EnqueueTx(endsSoon(ctx, n), tx, jobs.Job{ID: id("one")}, jobs.Job{ID: id("two")}, jobs.Job{ID: id("three")})
			_, err := engine.EnqueueTx(ctx, tx, jobs.Job{ID: id("after")})
			return err
		})
		require.NoError(t, err, n)
		want := jobs.Waiting
		if enqueued != nil {
			require.ErrorIs(t, enqueued, context.Canceled)
			want = jobs.Unknown
		}
		for job, want := range map[string]jobs.State{"one": want, "two": want, "three": want, "after": jobs.Waiting} {
			state, _, err := engine.Find(t.Context(), id(job))
			require.NoError(t, err)
			assert.Equal(t, want, state, id(job))
		}
	}
}

// endsSoon returns a context that ends when it has been looked at n times.
func endsSoon(ctx context.Context, n int64) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	looks := &watched{Context: ctx, cancel: cancel}
	looks.left.Store(n)
	looks.look()
	return looks
}

type watched struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64
}

func (w *watched) look() {
	if w.left.Add(-1) < 0 {
		w.cancel()
	}
}

func (w *watched) Done() <-chan struct{} {
	w.look()
	return w.Context.Done()
}

func (w *watched) Err() error {
	w.look()
	return w.Context.Err()
}

// While the database cannot be written to, or has room for small changes only, what
// was done is not lost: it is settled when it can, and the handler is not called
// again.
func TestSQLiteTroubleWhileSettling(t *testing.T) {
	for name, triggers := range map[string][]string{
		"jobs": {
			"BEFORE DELETE ON sparekey_jobs",
			"BEFORE UPDATE ON sparekey_jobs WHEN new.state <> 2",
		},
		"predictions": {"BEFORE INSERT ON sparekey_predictions"},
	} {
		t.Run(name, func(t *testing.T) {
			engine, store := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{})
			_, err := engine.Enqueue(t.Context(), jobs.Job{ID: "job"})
			require.NoError(t, err)
			var calls, troubles atomic.Int64
			work(t, engine, jobs.RunConfig{OnError: func(error) { troubles.Add(1) }}, func(context.Context, jobs.Delivery) jobs.Outcome {
				calls.Add(1)
				for i, trigger := range triggers {
					_, err := store.DB().Exec(fmt.Sprintf("CREATE TRIGGER stuck%d %s BEGIN SELECT RAISE(ABORT, 'stuck'); END", i, trigger))
					assert.NoError(t, err)
				}
				return jobs.Done(jobstest.Answer("yes"))
			})
			require.Eventually(t, func() bool { return troubles.Load() > 2 }, 30*time.Second, time.Millisecond)
			for i := range triggers {
				_, err = store.DB().Exec(fmt.Sprintf("DROP TRIGGER stuck%d", i))
				require.NoError(t, err)
			}
			awaitState(t, engine, "job", jobs.Recorded)
			assert.EqualValues(t, 1, calls.Load())
		})
	}
}

// A full disk is a clear error to who enqueues, and the end of nothing: what was
// accepted is there, and is done once there is room.
func TestSQLiteFullDisk(t *testing.T) {
	folder := smallDisk(t, "24m")
	ctx := context.Background()
	engine, _ := openSQLite(t, filepath.Join(folder, "jobs.db"), sqlitejobs.Options{})
	ballast := filepath.Join(folder, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 12<<20), 0o600))
	accepted := 0
	var err error
	payload := []byte(strings.Repeat("x", 20_000))
	for ; err == nil && accepted < 1000; accepted++ {
		_, err = engine.Enqueue(ctx, jobs.Job{ID: jobID(accepted), Payload: payload})
	}
	accepted--
	require.Error(t, err)
	require.ErrorContains(t, err, "full")
	require.Greater(t, accepted, 20)

	var troubles atomic.Int64
	work(t, engine, jobs.RunConfig{OnError: func(error) { troubles.Add(1) }}, func(_ context.Context, d jobs.Delivery) jobs.Outcome {
		return jobs.Done(jobstest.Answer("yes"))
	})
	time.Sleep(200 * time.Millisecond)
	require.NoError(t, os.Remove(ballast))
	for i := range accepted {
		awaitState(t, engine, jobID(i), jobs.Recorded)
	}
	_, err = engine.Enqueue(ctx, jobs.Job{ID: "more", Payload: payload})
	assert.NoError(t, err)
	t.Logf("%d jobs accepted on a disk of 12 MiB before it was full, all done; Run met trouble %d times", accepted, troubles.Load())
}

// A discarding that is done again, as who shared its transaction spoilt that, counts its
// jobs once.
func TestSQLiteDiscardedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, store := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{})
		_, err := engine.Enqueue(t.Context(), jobs.Job{ID: "job"})
		require.NoError(t, err)
		_, err = store.DB().Exec("UPDATE sparekey_jobs SET state = 3")
		require.NoError(t, err)
		release := make(chan struct{})
		go store.Update(t.Context(), func(context.Context, *sql.Tx) error { <-release; return nil }) // it gathers the others
		synctest.Wait()
		discarded := make(chan int)
		go func() {
			n, err := engine.Discard(t.Context(), "job")
			assert.NoError(t, err)
			discarded <- n
		}()
		synctest.Wait()
		spoilt := make(chan error)
		go func() {
			spoilt <- store.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "ROLLBACK")
				return err
			})
		}()
		synctest.Wait()
		close(release)
		assert.Error(t, <-spoilt)
		assert.Equal(t, 1, <-discarded)
	})
}

// Jobs that end together are written together: one whose prediction makes no sense is a
// dead letter, and no other. A query keeps the database busy while they end.
func TestSQLiteOneOfManyIsRefused(t *testing.T) {
	t.Parallel()
	const n = 32
	engine, store := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{})
	fill(t, engine, n, n)
	isNonsense := func(id string) bool { return strings.HasSuffix(id, "7") }
	var together, all sync.WaitGroup
	together.Add(n)
	all.Add(n + 1)
	go func() {
		defer all.Done()
		together.Wait()
		assert.NoError(t, store.Update(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT count(*) FROM n")
			return err
		}))
	}()
	work(t, engine, jobs.RunConfig{Workers: n, OnSettled: func(jobs.Settled) { all.Done() }}, func(_ context.Context, d jobs.Delivery) jobs.Outcome {
		together.Done()
		together.Wait()
		p := jobstest.Answer("yes")
		if isNonsense(d.ID) {
			p.Confidence = 2
		}
		return jobs.Done(p)
	})
	all.Wait()
	for i := range n {
		id := fmt.Sprintf("job-%09d", i)
		state, _, err := engine.Find(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, map[bool]jobs.State{true: jobs.Dead, false: jobs.Recorded}[isNonsense(id)], state, id)
	}
}
