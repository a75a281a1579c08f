package riverjobs_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
	"github.com/sparekey/sparekey/nyckel/postgres/riverjobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// start runs an engine until the end of the test.
func start(t *testing.T, e *riverjobs.Engine, c jobs.RunConfig, h jobs.Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, c, h) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
}

func awaitState(t *testing.T, e *riverjobs.Engine, id string, want jobs.State) {
	t.Helper()
	require.Eventually(t, func() bool {
		state, _, err := e.Find(t.Context(), id)
		return err == nil && state == want
	}, 20*time.Second, 2*time.Millisecond, "%s never became %v", id, want)
}

func done(context.Context, jobs.Delivery) jobs.Outcome { return jobs.Done(jobstest.Answer("yes")) }

// TestEnqueueDuringCompletion enqueues a job whose completion is about to be
// committed: the statement that finds it waits, and its own snapshot is too old to
// show the prediction.
func TestEnqueueDuringCompletion(t *testing.T) {
	ctx := t.Context()
	e, store, db := open(t, pgtest.New(t), riverjobs.Options{})
	_, err := e.Enqueue(ctx, jobs.Job{ID: "job"})
	require.NoError(t, err)

	type answer struct {
		receipts []jobs.Receipt
		err      error
	}
	answers := make(chan answer, 1)
	err = db.InTx(ctx, func(tx *postgres.Tx) error {
		p := jobstest.Answer("yes")
		p.ID = "job"
		require.NoError(t, store.RecordTx(ctx, tx.SQL, p))
		_, err := tx.SQL.ExecContext(ctx, "DELETE FROM sparekey_river_inputs WHERE id = 'job'")
		require.NoError(t, err)
		go func() {
			receipts, err := e.Enqueue(ctx, jobs.Job{ID: "job"})
			answers <- answer{receipts, err}
		}()
		require.Eventually(t, func() bool {
			var n int
			err := db.Pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
				AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO sparekey_river_inputs%'`).Scan(&n)
			return err == nil && n == 1
		}, 20*time.Second, time.Millisecond)
		return nil
	})
	require.NoError(t, err)
	a := <-answers
	require.NoError(t, a.err)
	assert.Equal(t, []jobs.Receipt{{ID: "job", State: jobs.Recorded}}, a.receipts)
}

func TestEnqueueTx(t *testing.T) {
	ctx := t.Context()
	e, store, db := open(t, pgtest.New(t), riverjobs.Options{})
	p := jobstest.Answer("yes")
	p.ID = "beside"
	enqueue := func(end error) error {
		return db.InTx(ctx, func(tx *postgres.Tx) error {
			require.NoError(t, store.RecordTx(ctx, tx.SQL, p))
			receipts, err := e.EnqueueTx(ctx, tx, jobs.Job{ID: "job"})
			require.NoError(t, err)
			assert.Equal(t, []jobs.Receipt{{ID: "job", New: true, State: jobs.Waiting}}, receipts)
			return end
		})
	}
	changed := errors.New("changed my mind")
	require.ErrorIs(t, enqueue(changed), changed)
	state, _, err := e.Find(ctx, "job")
	require.NoError(t, err)
	assert.Equal(t, jobs.Unknown, state)
	require.NoError(t, enqueue(nil))
	start(t, e, jobs.RunConfig{}, done)
	awaitState(t, e, "job", jobs.Recorded)
}

// TestEnqueueTxTakesNoSecondConnection has all connections of the pool inside
// transactions that enqueue into a queue that is new: if one of them had to wait for
// another connection, all would, for ever.
func TestEnqueueTxTakesNoSecondConnection(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	db, err := postgres.Open(ctx, pgtest.New(t), postgres.Options{MaxConns: 4})
	require.NoError(t, err)
	defer db.Close()
	store, err := predictions.Open(ctx, db.SQL, predictions.PostgreSQL, predictions.Options{})
	require.NoError(t, err)
	defer store.Close()
	e, err := riverjobs.New(ctx, db, store, riverjobs.Options{})
	require.NoError(t, err)

	var inside, ended sync.WaitGroup
	inside.Add(4)
	for i := range 4 {
		ended.Go(func() {
			err := db.InTx(ctx, func(tx *postgres.Tx) error {
				inside.Done()
				inside.Wait()
				_, err := e.EnqueueTx(ctx, tx, jobs.Job{ID: fmt.Sprint(i), Queue: "new"})
				return err
			})
			assert.NoError(t, err)
		})
	}
	ended.Wait()
	stats, err := e.Stats(ctx)
	require.NoError(t, err)
	require.Len(t, stats, 1)
	assert.Equal(t, 4, stats[0].Ready)
}

// TestEnqueueTxRolledBack has a queue listed that was first heard of in a transaction
// that came to nothing.
func TestEnqueueTxRolledBack(t *testing.T) {
	ctx := t.Context()
	e, _, db := open(t, pgtest.New(t), riverjobs.Options{})
	enqueue := func(end error) error {
		return db.InTx(ctx, func(tx *postgres.Tx) error {
			for _, id := range []string{"a", "b"} {
				_, err := e.EnqueueTx(ctx, tx, jobs.Job{ID: id, Queue: "new"})
				require.NoError(t, err)
			}
			return end
		})
	}
	changed := errors.New("changed my mind")
	require.ErrorIs(t, enqueue(changed), changed)
	_, err := e.Enqueue(ctx, jobs.Job{ID: "c", Queue: "new"})
	require.NoError(t, err)
	stats, err := e.Stats(ctx)
	require.NoError(t, err)
	require.Len(t, stats, 1)
	assert.Equal(t, 1, stats[0].Ready)
	require.NoError(t, enqueue(nil))
	stats, err = e.Stats(ctx)
	require.NoError(t, err)
	assert.Equal(t, 3, stats[0].Ready)
}

// TestRescuedJob has a job taken for lost while its worker is still at it, so that
// two do it. It is recorded once, and nothing is left of it.
func TestRescuedJob(t *testing.T) {
	ctx := t.Context()
	e, store, db := open(t, pgtest.New(t), riverjobs.Options{})
	_, err := e.Enqueue(ctx, jobs.Job{ID: "job"})
	require.NoError(t, err)
	called, release := make(chan int, 2), make(chan struct{})
	start(t, e, jobs.RunConfig{}, func(_ context.Context, d jobs.Delivery) jobs.Outcome {
		called <- d.Attempt
		if d.Attempt == 1 {
			<-release
		}
		return jobs.Done(jobstest.Answer(fmt.Sprint("of attempt ", d.Attempt)))
	})
	require.Equal(t, 1, <-called)
	_, err = db.Pool.Exec(ctx, "UPDATE sparekey_public.river_job SET state = 'available' WHERE state = 'running'")
	require.NoError(t, err)
	require.Equal(t, 2, <-called)
	awaitState(t, e, "job", jobs.Recorded)
	close(release)
	require.Eventually(t, func() bool {
		var left int
		err := db.Pool.QueryRow(ctx, "SELECT count(*) FROM sparekey_public.river_job WHERE state <> 'completed'").Scan(&left)
		return err == nil && left == 0
	}, 20*time.Second, 5*time.Millisecond)
	for entry, err := range store.Audit(ctx, predictions.Query{ID: "job"}) {
		require.NoError(t, err)
		assert.Equal(t, "of attempt 2", entry.Label)
	}
}

// TestGateCloses closes the gate over waiting jobs. Workers hold a few of them for
// a while, then put them back; no attempt counts.
func TestGateCloses(t *testing.T) {
	ctx := t.Context()
	e, _, db := open(t, pgtest.New(t), riverjobs.Options{})
	var closed atomic.Bool
	var calls atomic.Int64
	gate := jobs.GateFunc(func(context.Context, string) time.Duration {
		if closed.Load() {
			return time.Minute
		}
		return 0
	})
	const n = 40
	start(t, e, jobs.RunConfig{Workers: 4, Budget: 300 * time.Millisecond, Gate: gate}, func(ctx context.Context, d jobs.Delivery) jobs.Outcome {
		assert.Equal(t, 1, d.Attempt)
		calls.Add(1)
		return done(ctx, d)
	})
	_, err := e.Enqueue(ctx, jobs.Job{ID: "first"})
	require.NoError(t, err)
	awaitState(t, e, "first", jobs.Recorded) // the gate was open
	closed.Store(true)
	all := make([]jobs.Job, n)
	for i := range all {
		all[i].ID = fmt.Sprint("job-", i)
	}
	_, err = e.Enqueue(ctx, all...)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var snoozed int
		err := db.Pool.QueryRow(ctx, "SELECT count(*) FROM sparekey_public.river_job WHERE metadata ? 'snoozes'").Scan(&snoozed)
		return err == nil && snoozed >= 8
	}, 20*time.Second, 5*time.Millisecond, "no job was put back")
	assert.EqualValues(t, 1, calls.Load())
	require.Eventually(t, func() bool { // River says a little late that one is not running any more
		var running int
		err := db.Pool.QueryRow(ctx, "SELECT count(*) FROM sparekey_public.river_job WHERE state = 'running'").Scan(&running)
		return err == nil && running <= 4
	}, 20*time.Second, 5*time.Millisecond, "more are held than there are workers")
	closed.Store(false)
	require.Eventually(t, func() bool { return calls.Load() == n+1 }, 20*time.Second, 5*time.Millisecond, "they wait for the minute to be over")
}

// TestQueueNames uses queues with names that River does not take.
func TestQueueNames(t *testing.T) {
	e, _, _ := open(t, pgtest.New(t), riverjobs.Options{})
	names := []string{"Größe A", "größe a", "made-idle", strings.Repeat("x", jobs.MaxName), "plain"}
	for _, name := range names {
		_, err := e.Enqueue(t.Context(), jobs.Job{ID: name, Queue: name})
		require.NoError(t, err)
	}
	start(t, e, jobs.RunConfig{Queues: append(names, "plain")}, func(ctx context.Context, d jobs.Delivery) jobs.Outcome {
		assert.Equal(t, d.ID, d.Queue)
		return done(ctx, d)
	})
	for _, name := range names {
		awaitState(t, e, name, jobs.Recorded)
	}
	all, err := e.Stats(t.Context())
	require.NoError(t, err)
	var found []string
	for _, s := range all {
		found = append(found, s.Queue)
	}
	assert.ElementsMatch(t, names, found)
}

// TestServerRestarts kills the server under a worker, which goes on when it is back.
func TestServerRestarts(t *testing.T) {
	server := pgtest.Start(t)
	e, store, _ := open(t, server.Database(t), riverjobs.Options{})
	var calls, troubles atomic.Int64
	restarted := make(chan struct{})
	start(t, e, jobs.RunConfig{OnError: func(error) { troubles.Add(1) }}, func(ctx context.Context, d jobs.Delivery) jobs.Outcome {
		calls.Add(1)
		if d.ID == "during" {
			server.Kill()
			go func() {
				time.Sleep(100 * time.Millisecond)
				assert.NoError(t, server.Restart())
				close(restarted)
			}()
		}
		return done(ctx, d)
	})
	_, err := e.Enqueue(t.Context(), jobs.Job{ID: "during"})
	require.NoError(t, err)
	<-restarted
	awaitState(t, e, "during", jobs.Recorded)
	assert.EqualValues(t, 1, calls.Load(), "what the handler found was kept over the outage")
	assert.Positive(t, troubles.Load())
	require.Eventually(t, func() bool {
		_, err := e.Enqueue(t.Context(), jobs.Job{ID: "after"})
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	awaitState(t, e, "after", jobs.Recorded)
	has, err := store.Has(t.Context(), "during", "after")
	require.NoError(t, err)
	assert.Len(t, has, 2)
}

// TestHandlerThatDoesNotReturn has a handler end its goroutine, as a failed assertion in
// it would: that costs its job an attempt, and Run nothing.
func TestHandlerThatDoesNotReturn(t *testing.T) {
	e, _, _ := open(t, pgtest.New(t), riverjobs.Options{})
	var calls atomic.Int64
	backoff := func(int) time.Duration { return time.Millisecond }
	start(t, e, jobs.RunConfig{Workers: 1, Backoff: backoff}, func(ctx context.Context, d jobs.Delivery) jobs.Outcome {
		if calls.Add(1) <= 2 {
			runtime.Goexit()
		}
		return done(ctx, d)
	})
	_, err := e.Enqueue(t.Context(), jobs.Job{ID: "one"}, jobs.Job{ID: "two"})
	require.NoError(t, err)
	awaitState(t, e, "one", jobs.Recorded)
	awaitState(t, e, "two", jobs.Recorded)
	assert.EqualValues(t, 4, calls.Load())
}

// TestLateOutcomeOfAJobGivenBack has a handler return long after its job was given back,
// while another worker is at it: that one keeps it.
func TestLateOutcomeOfAJobGivenBack(t *testing.T) {
	for name, late := range map[string]jobs.Outcome{
		"done": jobs.Done(jobstest.Answer("late")), "retried": jobs.Retry(0, errors.New("late")), "dead": jobs.DeadLetter(errors.New("late")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.New(t)
			first, _, _ := open(t, dsn, riverjobs.Options{})
			second, store, _ := open(t, dsn, riverjobs.Options{})
			_, err := first.Enqueue(t.Context(), jobs.Job{ID: "job"})
			require.NoError(t, err)

			ctx, cancel := context.WithCancel(t.Context())
			begun, release, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
			ended := make(chan error, 1)
			go func() {
				config := jobs.RunConfig{Drain: -1, OnError: func(err error) { assert.NoError(t, err) }}
				ended <- first.Run(ctx, config, func(context.Context, jobs.Delivery) jobs.Outcome {
					defer close(returned)
					close(begun)
					<-release
					return late
				})
			}()
			<-begun
			cancel()
			require.NoError(t, <-ended)

			var calls atomic.Int64
			again, finish := make(chan jobs.Delivery, 8), make(chan struct{})
			start(t, second, jobs.RunConfig{}, func(ctx context.Context, d jobs.Delivery) jobs.Outcome {
				calls.Add(1)
				again <- d
				<-finish
				return done(ctx, d)
			})
			assert.Equal(t, 1, (<-again).Attempt)
			close(release)
			<-returned
			assert.Never(t, func() bool {
				state, _, err := second.Find(t.Context(), "job")
				return err != nil || state != jobs.Running
			}, time.Second/2, 5*time.Millisecond, "it is the second worker's")
			close(finish)
			awaitState(t, second, "job", jobs.Recorded)
			assert.EqualValues(t, 1, calls.Load())
			for e, err := range store.Audit(t.Context(), predictions.Query{ID: "job"}) {
				require.NoError(t, err)
				assert.Equal(t, "yes", e.Label)
			}
		})
	}
}

// TestKnownDuringTrouble takes a job again whose prediction was recorded since, while
// the predictions cannot be read: it waits for them, and is done without a call.
func TestKnownDuringTrouble(t *testing.T) {
	ctx := t.Context()
	e, store, db := open(t, pgtest.New(t), riverjobs.Options{})
	var calls, troubles atomic.Int64
	called, hidden := make(chan struct{}), make(chan struct{})
	config := jobs.RunConfig{OnError: func(error) { troubles.Add(1) }}
	start(t, e, config, func(context.Context, jobs.Delivery) jobs.Outcome {
		if calls.Add(1) == 1 {
			close(called)
			<-hidden
		}
		return jobs.Retry(time.Millisecond, errors.New("the answer got lost"))
	})
	_, err := e.Enqueue(ctx, jobs.Job{ID: "job"})
	require.NoError(t, err)
	<-called
	p := jobstest.Answer("yes")
	p.ID = "job"
	require.NoError(t, store.Record(ctx, p))
	_, err = db.Pool.Exec(ctx, "ALTER TABLE sparekey_predictions RENAME TO hidden")
	require.NoError(t, err)
	close(hidden)
	require.Eventually(t, func() bool { return troubles.Load() > 1 }, 20*time.Second, time.Millisecond)
	_, err = db.Pool.Exec(ctx, "ALTER TABLE hidden RENAME TO sparekey_predictions")
	require.NoError(t, err)
	awaitState(t, e, "job", jobs.Recorded)
	assert.EqualValues(t, 1, calls.Load())
}

func TestBury(t *testing.T) {
	e, _, _ := open(t, pgtest.New(t), riverjobs.Options{Bound: 1})
	died := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	d := jobs.DeadJob{Delivery: jobs.Delivery{Job: jobs.Job{ID: "dead", Payload: []byte("x")}, Attempt: 3, LastError: "no good"}, DiedAt: died}
	for _, isNew := range []bool{true, false} {
		receipts, err := e.Bury(t.Context(), d, d)
		require.NoError(t, err)
		assert.Equal(t, []jobs.Receipt{{ID: "dead", New: isNew, State: jobs.Dead}, {ID: "dead", State: jobs.Dead}}, receipts)
	}
	state, found, err := e.Find(t.Context(), "dead")
	require.NoError(t, err)
	assert.Equal(t, jobs.Dead, state)
	assert.Equal(t, "no good", found.LastError)
	for dead, err := range e.DeadLetters(t.Context(), "") {
		require.NoError(t, err)
		assert.True(t, dead.DiedAt.Equal(died))
		assert.Equal(t, 3, dead.Attempt)
	}
	d.ID, d.Attempt, d.MaxAttempts = "tried for days", 100_000, 100_000 // more than River can count
	_, err = e.Bury(t.Context(), d)
	require.NoError(t, err)
	_, err = e.Enqueue(t.Context(), jobs.Job{ID: "living"}) // the dead take no room
	require.NoError(t, err)
	_, err = e.Enqueue(t.Context(), jobs.Job{ID: "another"})
	require.ErrorIs(t, err, jobs.ErrFull)
}

// TestRefusedEnqueueTakesNoRoom enqueues into two queues at once of which one is full: the
// jobs that are not added do not count in the other, whichever of the two was asked first.
func TestRefusedEnqueueTakesNoRoom(t *testing.T) {
	ctx := t.Context()
	e, _, _ := open(t, pgtest.New(t), riverjobs.Options{Bound: 1})
	_, err := e.Enqueue(ctx, jobs.Job{ID: "first", Queue: "full"})
	require.NoError(t, err)
	for range 8 {
		_, err = e.Enqueue(ctx, jobs.Job{ID: "other", Queue: "free"}, jobs.Job{ID: "second", Queue: "full"})
		var full *jobs.FullError
		require.ErrorAs(t, err, &full)
		require.Equal(t, "full", full.Queue)
	}
	receipts, err := e.Enqueue(ctx, jobs.Job{ID: "other", Queue: "free"})
	require.NoError(t, err)
	assert.Equal(t, []jobs.Receipt{{ID: "other", New: true, State: jobs.Waiting}}, receipts)
}

func TestNewRefuses(t *testing.T) {
	ctx := t.Context()
	dsn := pgtest.New(t)
	_, store, db := open(t, dsn, riverjobs.Options{})

	other, err := postgres.Open(ctx, dsn, postgres.Options{MaxConns: 3})
	require.NoError(t, err)
	defer other.Close()
	_, err = riverjobs.New(ctx, other, store, riverjobs.Options{})
	require.ErrorContains(t, err, "at most 3 connections")
	_, err = riverjobs.New(ctx, db, store, riverjobs.Options{ByteBound: 10})
	require.ErrorContains(t, err, "ByteBound")

	elsewhere, err := postgres.Open(ctx, pgtest.New(t), postgres.Options{})
	require.NoError(t, err)
	defer elsewhere.Close()
	_, err = riverjobs.New(ctx, elsewhere, store, riverjobs.Options{})
	require.ErrorContains(t, err, "the store is on another database")

	_, err = db.Pool.Exec(ctx, "INSERT INTO sparekey_public.river_migration (line, version) VALUES ('main', 1000)")
	require.NoError(t, err)
	_, err = riverjobs.New(ctx, db, store, riverjobs.Options{})
	require.True(t, errors.Is(err, predictions.ErrNewerSchema), "error = %v", err)
}

// TestNewAtOnce starts many processes on an empty database.
func TestNewAtOnce(t *testing.T) {
	dsn := pgtest.New(t)
	db, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	require.NoError(t, err)
	defer db.Close()
	store, err := predictions.Open(t.Context(), db.SQL, predictions.PostgreSQL, predictions.Options{})
	require.NoError(t, err)
	errs := make(chan error)
	for range 4 {
		go func() {
			_, err := riverjobs.New(t.Context(), db, store, riverjobs.Options{})
			errs <- err
		}()
	}
	for range 4 {
		assert.NoError(t, <-errs)
	}
}

// TestOutcomeWhileAJobIsGivenBack gives a job back while what its handler said is about to be
// committed: neither waits for the other for good.
func TestOutcomeWhileAJobIsGivenBack(t *testing.T) {
	e, _, db := open(t, pgtest.New(t), riverjobs.Options{})
	_, err := e.Enqueue(t.Context(), jobs.Job{ID: "job"})
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
		CREATE TRIGGER pause AFTER DELETE ON sparekey_river_inputs FOR EACH STATEMENT EXECUTE FUNCTION pause()`)
	require.NoError(t, err)
	await := func(lock string) { // until somebody waits for it
		t.Helper()
		require.Eventually(t, func() bool {
			var waits bool
			err := db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
				AND wait_event_type = 'Lock' AND wait_event = $1)`, lock).Scan(&waits)
			return err == nil && waits
		}, 20*time.Second, time.Millisecond)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	require.NoError(t, db.InTx(t.Context(), func(tx *postgres.Tx) error {
		_, err := tx.SQL.ExecContext(t.Context(), "SELECT pg_advisory_xact_lock(1)")
		require.NoError(t, err)
		go func() { ended <- e.Run(ctx, jobs.RunConfig{Drain: -1}, done) }()
		await("advisory")
		cancel()
		await("transactionid")
		return nil
	}))
	require.NoError(t, <-ended)
	awaitState(t, e, "job", jobs.Waiting)
}
