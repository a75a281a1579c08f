package itest_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
)

// work runs an engine until the end of the test, or until the func that it returns
// is called.
func work(t *testing.T, e jobs.Engine, c jobs.RunConfig, h jobs.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, c, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

func awaitState(t *testing.T, e jobs.Engine, id string, want jobs.State) {
	t.Helper()
	require.Eventually(t, func() bool {
		state, _, err := e.Find(context.Background(), id)
		require.NoError(t, err)
		return state == want
	}, 30*time.Second, 2*time.Millisecond, "%s never became %v", id, want)
}

// A worker whose lease ran out, since its process was asleep, say, learns of it and
// can change nothing any more.
func TestSQLiteLateResultCountsForNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobs.db")
	first, store := openSQLite(t, path, sqlitejobs.Options{Lease: 600 * time.Millisecond})
	second, _ := openSQLite(t, path, sqlitejobs.Options{})
	_, err := first.Enqueue(t.Context(), jobs.Job{ID: "job", MaxAttempts: 3})
	require.NoError(t, err)

	var settled, lost atomic.Int64
	taken, told, late := make(chan struct{}), make(chan error, 1), make(chan struct{})
	work(t, first, jobs.RunConfig{
		Workers:   1, // busy, so that it does not take the job again itself
		OnSettled: func(jobs.Settled) { settled.Add(1) },
		OnError:   func(error) { lost.Add(1) },
	}, func(ctx context.Context, _ jobs.Delivery) jobs.Outcome {
		close(taken)
		<-ctx.Done()
		told <- context.Cause(ctx)
		<-late
		return jobs.Done(jobstest.Answer("first"))
	})
	<-taken
	_, err = store.DB().Exec(`UPDATE sparekey_jobs SET lease_until = 1, token = token + 1`) // it slept, and somebody else has it
	require.NoError(t, err)
	assert.ErrorContains(t, <-told, "lease ran out", "the handler is told")

	taken2, go2 := make(chan struct{}), make(chan struct{})
	work(t, second, jobs.RunConfig{}, func(_ context.Context, d jobs.Delivery) jobs.Outcome {
		assert.Equal(t, 2, d.Attempt)
		assert.Contains(t, d.LastError, "vanished")
		close(taken2)
		<-go2
		return jobs.Done(jobstest.Answer("second"))
	})
	<-taken2
	close(late)
	require.Eventually(t, func() bool { return lost.Load() == 1 }, 10*time.Second, time.Millisecond)
	awaitState(t, second, "job", jobs.Running)
	close(go2)
	awaitState(t, second, "job", jobs.Recorded)
	assert.Zero(t, settled.Load())
	assert.Equal(t, "second", scalar[string](t, store.DB(), `SELECT label FROM sparekey_predictions WHERE id = 'job'`))
}

// A host that was asleep for longer than a lease goes on where it was.
func TestSQLiteAsleep(t *testing.T) {
	t.Parallel()
	const workers = 4
	b := backends["sqlite"]
	spec := victimSpec{
		Backend: "sqlite", Name: b.create(t), Jobs: 2 * workers, Producers: 1, Workers: workers, Fatal: -1,
		Lease: 1200 * time.Millisecond, Work: 4 * time.Second,
	}
	l := newLedger(spec.Jobs)
	processes := []*victim{startVictim(t, spec, l), startVictim(t, spec, l)}
	require.Eventually(t, func() bool { done, _ := l.progress(); return done == 2*spec.Jobs }, time.Minute, time.Millisecond)
	for _, s := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		for _, v := range processes {
			require.NoError(t, v.cmd.Process.Signal(s))
			time.Sleep(100 * time.Millisecond) // none of them wakes first by much
		}
		time.Sleep(2 * time.Second)
	}
	for _, v := range processes {
		require.NoError(t, v.wait())
	}
	for i, calls := range l.calls {
		assert.Equal(t, 1, calls, "calls of job %d", i)
	}
	assertAllRecordedOnce(t, b, spec.Name, spec.Jobs)
}

// A clock that is set takes no job from a worker that is at it.
func TestSQLiteClockIsSet(t *testing.T) {
	t.Parallel()
	engine, store := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{Lease: 300 * time.Millisecond})
	_, err := engine.Enqueue(t.Context(), jobs.Job{ID: "job"})
	require.NoError(t, err)
	var calls atomic.Int64
	taken := make(chan struct{}, 9)
	work(t, engine, jobs.RunConfig{}, func(ctx context.Context, _ jobs.Delivery) jobs.Outcome {
		calls.Add(1)
		taken <- struct{}{}
		select {
		case <-ctx.Done():
			return jobs.Retry(0, context.Cause(ctx))
		case <-time.After(time.Second):
			return jobs.Done(jobstest.Answer("yes"))
		}
	})
	<-taken
	_, err = store.DB().Exec(`UPDATE sparekey_jobs SET lease_until = 1`) // all leases are long over
	require.NoError(t, err)
	awaitState(t, engine, "job", jobs.Recorded)
	assert.EqualValues(t, 1, calls.Load())
}

// A lease is renewed for as long as the handler runs.
func TestSQLiteLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobs.db")
	first, _ := openSQLite(t, path, sqlitejobs.Options{Lease: 500 * time.Millisecond})
	second, _ := openSQLite(t, path, sqlitejobs.Options{Lease: 500 * time.Millisecond})
	_, err := first.Enqueue(t.Context(), jobs.Job{ID: "job"})
	require.NoError(t, err)
	var calls atomic.Int64
	slow := func(context.Context, jobs.Delivery) jobs.Outcome {
		calls.Add(1)
		time.Sleep(2 * time.Second)
		return jobs.Done(jobstest.Answer("yes"))
	}
	work(t, first, jobs.RunConfig{}, slow)
	work(t, second, jobs.RunConfig{}, slow)
	awaitState(t, first, "job", jobs.Recorded)
	assert.EqualValues(t, 1, calls.Load())
}

// An idle worker need not look to find what its own process enqueued.
func TestSQLiteWorkersAreWoken(t *testing.T) {
	t.Parallel()
	engine, _ := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{Poll: time.Hour})
	var calls atomic.Int64
	work(t, engine, jobs.RunConfig{}, func(context.Context, jobs.Delivery) jobs.Outcome {
		if calls.Add(1) == 1 {
			return jobs.DeadLetter(context.Canceled)
		}
		return jobs.Done(jobstest.Answer("yes"))
	})
	time.Sleep(100 * time.Millisecond) // until they are idle
	_, err := engine.Enqueue(t.Context(), jobs.Job{ID: "job"})
	require.NoError(t, err)
	awaitState(t, engine, "job", jobs.Dead)
	time.Sleep(100 * time.Millisecond)
	_, err = engine.Requeue(t.Context(), "job")
	require.NoError(t, err)
	awaitState(t, engine, "job", jobs.Recorded)
}

// A queue that is named twice is one queue: its jobs fill all workers at once.
func TestSQLiteQueueNamedTwice(t *testing.T) {
	t.Parallel()
	engine, _ := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{Poll: time.Hour})
	_, err := engine.Enqueue(t.Context(), jobs.Job{ID: "one", Queue: "q"}, jobs.Job{ID: "other", Queue: "q"})
	require.NoError(t, err)
	var both sync.WaitGroup
	both.Add(2)
	work(t, engine, jobs.RunConfig{Queues: []string{"q", "q"}, Workers: 2}, func(context.Context, jobs.Delivery) jobs.Outcome {
		both.Done()
		both.Wait()
		return jobs.Done(jobstest.Answer("yes"))
	})
	awaitState(t, engine, "one", jobs.Recorded)
	awaitState(t, engine, "other", jobs.Recorded)
}

// A handler that ends its goroutine, as a failed assertion in it would, costs its job
// the time of a lease, and Run nothing.
func TestSQLiteHandlerThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	engine, _ := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{Lease: 100 * time.Millisecond})
	_, err := engine.Enqueue(t.Context(), jobs.Job{ID: "job"})
	require.NoError(t, err)
	var calls atomic.Int64
	work(t, engine, jobs.RunConfig{Workers: 1}, func(context.Context, jobs.Delivery) jobs.Outcome {
		if calls.Add(1) == 1 {
			runtime.Goexit()
		}
		return jobs.Done(jobstest.Answer("yes"))
	})
	awaitState(t, engine, "job", jobs.Recorded)
	assert.EqualValues(t, 2, calls.Load())
}

// TestRecovery kills a process with 16 running jobs: they are done again once the
// usual lease has run out.
func TestRecovery(t *testing.T) {
	if !*long {
		t.Skip("takes the time of a lease; use -long")
	}
	const workers = 16
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			spec := victimSpec{Backend: name, Name: b.create(t), Jobs: workers, Producers: 1, Workers: workers, Work: time.Hour, Fatal: -1}
			l := newLedger(workers)
			v := startVictim(t, spec, l)
			require.Eventually(t, func() bool { done, _ := l.progress(); return done == 2*workers }, time.Minute, time.Millisecond)
			v.kill()
			begin := time.Now()
			spec.Work = 0
			require.NoError(t, startVictim(t, spec, l).wait())
			took := time.Since(begin)
			t.Logf("%d jobs of a dead process were done %v after its end", workers, took.Round(10*time.Millisecond))
			assert.Less(t, took, b.recovers)
			assertAllRecordedOnce(t, b, spec.Name, workers)
		})
	}
}

// Attempts come when they are due, though the process was started anew between
// them.
func TestRetrySurvivesRestart(t *testing.T) {
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const wait = time.Second
			database := b.create(t)
			var at []time.Time
			for attempt := 1; attempt <= 3; attempt++ {
				engine, err := b.open(t.Context(), database, 0)
				require.NoError(t, err)
				if attempt == 1 {
					_, err := engine.Enqueue(t.Context(), jobs.Job{ID: "job"})
					require.NoError(t, err)
				}
				settled := make(chan struct{})
				stop := work(t, engine, jobs.RunConfig{OnSettled: func(jobs.Settled) { close(settled) }},
					func(_ context.Context, d jobs.Delivery) jobs.Outcome {
						at = append(at, time.Now())
						assert.Equal(t, attempt, d.Attempt)
						if d.Attempt < 3 {
							return jobs.Retry(wait, context.DeadlineExceeded)
						}
						return jobs.Done(jobstest.Answer("yes"))
					})
				<-settled
				stop()
				require.NoError(t, engine.close())
			}
			for i := range 2 {
				assert.GreaterOrEqual(t, at[i+1].Sub(at[i]), wait-time.Millisecond)
				assert.Less(t, at[i+1].Sub(at[i]), wait+2*time.Second)
			}
		})
	}
}
