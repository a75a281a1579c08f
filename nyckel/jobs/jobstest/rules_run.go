package jobstest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

func testDone(t *testing.T, b Backend) {
	e, store := b.one(t)
	var settled atomic.Int64
	start(t, e, jobs.RunConfig{OnSettled: func(s jobs.Settled) {
		if s.Ending == jobs.Finished && s.Err == nil {
			settled.Add(1)
		}
	}}, done)
	enqueue(t, e, batch("j", 50)...)
	awaitEmpty(t, e, jobs.DefaultQueue)
	for _, j := range batch("j", 50) {
		assert.Equal(t, jobs.Recorded, stateOf(t, e, j.ID))
		assert.Equal(t, 1, recorded(t, store, j.ID))
	}
	require.Eventually(t, func() bool { return settled.Load() == 50 }, patience, time.Millisecond)
}

func testDelivery(t *testing.T, b Backend) {
	e, _ := b.one(t)
	due := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	want := jobs.Job{ID: "ü/1", Queue: "q", Kind: "k", Payload: []byte{0, 255, 1}, Priority: 2, RunAt: due, MaxAttempts: 3}
	before := time.Now().Truncate(time.Microsecond)
	enqueue(t, e, want)
	state, found, err := e.Find(t.Context(), want.ID)
	require.NoError(t, err)
	assert.Equal(t, jobs.Waiting, state)
	check := func(d jobs.Delivery, attempt int) {
		t.Helper()
		assert.True(t, d.RunAt.Equal(due), "RunAt = %v, want %v", d.RunAt, due)
		assert.False(t, d.EnqueuedAt.Before(before), "EnqueuedAt = %v, want at least %v", d.EnqueuedAt, before)
		assert.Equal(t, attempt, d.Attempt)
		d.RunAt = due
		assert.Equal(t, want, d.Job)
	}
	check(*found, 0)
	var c calls
	start(t, e, jobs.RunConfig{Queues: []string{"q"}}, c.then(done))
	c.await(t, 1)
	all, _ := c.deliveries()
	check(all[0], 1)
	assert.Empty(t, all[0].LastError)

	enqueue(t, e, jobs.Job{ID: "empty", Queue: "q"})
	c.await(t, 2)
	all, _ = c.deliveries()
	assert.Empty(t, all[1].Payload)
	assert.Equal(t, jobs.DefaultMaxAttempts, all[1].MaxAttempts)
}

func testOrder(t *testing.T, b Backend) {
	e, _ := b.one(t)
	long := time.Now().Add(-time.Hour)
	for i := range 4 {
		enqueue(t, e,
			jobs.Job{ID: fmt.Sprint("normal", i), RunAt: long.Add(time.Duration(9-i) * time.Second)},
			jobs.Job{ID: fmt.Sprint("low", i), Priority: -1, RunAt: long.Add(-time.Hour)},
			jobs.Job{ID: fmt.Sprint("urgent", i), Priority: 2, RunAt: long.Add(time.Duration(i) * time.Second)},
			jobs.Job{ID: fmt.Sprint("high", i), Priority: 1, RunAt: long.Add(time.Duration(i) * time.Second)})
	}
	var c calls
	start(t, e, jobs.RunConfig{Workers: 1}, c.then(done))
	c.await(t, 16)
	want := []string{
		"urgent0", "urgent1", "urgent2", "urgent3", "high0", "high1", "high2", "high3",
		"normal3", "normal2", "normal1", "normal0",
	}
	got := c.ids()
	assert.Equal(t, want, got[:12])
	low := slices.Sorted(slices.Values(got[12:]))
	assert.Equal(t, []string{"low0", "low1", "low2", "low3"}, low)
}

func testScheduled(t *testing.T, b Backend) {
	e, _ := b.one(t)
	due := time.Now().Add(3 * moment)
	enqueue(t, e, jobs.Job{ID: "later", RunAt: due}, jobs.Job{ID: "now"})
	var c calls
	start(t, e, jobs.RunConfig{}, c.then(done))
	c.await(t, 2)
	_, at := c.deliveries()
	assert.Equal(t, []string{"now", "later"}, c.ids())
	assert.False(t, at[1].Before(due.Truncate(time.Microsecond)), "it came %v early", due.Sub(at[1]))
	assert.Less(t, at[1].Sub(due), b.Soon)
}

func testRetry(t *testing.T, b Backend) {
	e, _ := b.one(t)
	var c calls
	var settled atomic.Int64
	start(t, e, jobs.RunConfig{
		Backoff: func(n int) time.Duration { return time.Duration(n) * moment },
		OnSettled: func(s jobs.Settled) {
			if s.Ending == jobs.Retried && s.Err != nil && s.Wait > 0 {
				settled.Add(1)
			}
		},
	}, c.then(func(_ context.Context, d jobs.Delivery) jobs.Outcome {
		switch d.Attempt {
		case 1:
			return jobs.Retry(0, errors.New("first"))
		case 2:
			return jobs.Retry(3*moment, errors.New("second"))
		}
		return jobs.Done(Answer("yes"))
	}))
	enqueue(t, e, jobs.Job{ID: "job"})
	c.await(t, 1)
	awaitState(t, e, "job", jobs.Waiting)
	c.await(t, 3)
	awaitState(t, e, "job", jobs.Recorded)
	all, at := c.deliveries()
	require.Len(t, all, 3)
	assert.Equal(t, []string{"", "first", "second"}, []string{all[0].LastError, all[1].LastError, all[2].LastError})
	assert.Equal(t, []int{1, 2, 3}, []int{all[0].Attempt, all[1].Attempt, all[2].Attempt})
	for i, want := range []time.Duration{moment, 3 * moment} {
		got := at[i+1].Sub(at[i])
		assert.GreaterOrEqual(t, got, want-time.Millisecond)
		assert.Less(t, got, want+b.Soon)
	}
	assert.EqualValues(t, 2, settled.Load())
}

func testAttemptsUsedUp(t *testing.T, b Backend) {
	e, store := b.one(t)
	var c calls
	start(t, e, jobs.RunConfig{Backoff: func(int) time.Duration { return 0 }},
		c.then(func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.Retry(0, errors.New("never works")) }))
	enqueue(t, e, jobs.Job{ID: "job", MaxAttempts: 3})
	awaitState(t, e, "job", jobs.Dead)
	assert.Equal(t, 3, c.count())
	dead := deadLetters(t, e, "")
	require.Len(t, dead, 1)
	assert.Equal(t, "never works", dead[0].LastError)
	assert.Equal(t, 3, dead[0].Attempt)
	assert.Zero(t, recorded(t, store, "job"))
}

func testSnooze(t *testing.T, b Backend) {
	e, _ := b.one(t)
	var c calls
	start(t, e, jobs.RunConfig{}, c.then(func(context.Context, jobs.Delivery) jobs.Outcome {
		switch n := c.count(); {
		case n == 1:
			return jobs.Retry(20*time.Millisecond, errors.New("failed"))
		case n < 5:
			return jobs.Snooze(20*time.Millisecond, errors.New("not now"))
		}
		return jobs.Done(Answer("yes"))
	}))
	enqueue(t, e, jobs.Job{ID: "job", MaxAttempts: 2})
	awaitState(t, e, "job", jobs.Recorded)
	all, _ := c.deliveries()
	require.Len(t, all, 5)
	assert.Equal(t, 1, all[0].Attempt)
	for _, d := range all[1:] {
		assert.Equal(t, 2, d.Attempt)
		assert.Equal(t, "failed", d.LastError)
	}
}

func testDeadLetters(t *testing.T, b Backend) {
	e, store := b.one(t)
	var c calls
	var works atomic.Bool
	start(t, e, jobs.RunConfig{Queues: []string{"q", jobs.DefaultQueue}}, c.then(func(context.Context, jobs.Delivery) jobs.Outcome {
		if works.Load() {
			return jobs.Done(Answer("yes"))
		}
		return jobs.DeadLetter(errors.New("wrong for good"))
	}))
	for _, id := range []string{"a", "b", "c"} {
		enqueue(t, e, jobs.Job{ID: id, Queue: "q", Payload: []byte("payload " + id)})
		awaitState(t, e, id, jobs.Dead)
	}
	enqueue(t, e, jobs.Job{ID: "d"})
	awaitState(t, e, "d", jobs.Dead)

	var ids []string
	for _, dead := range deadLetters(t, e, "q") {
		ids = append(ids, dead.ID)
		assert.Equal(t, "wrong for good", dead.LastError)
		assert.Equal(t, "payload "+dead.ID, string(dead.Payload))
		assert.WithinDuration(t, time.Now(), dead.DiedAt, patience)
	}
	assert.Equal(t, []string{"a", "b", "c"}, ids)
	assert.Len(t, deadLetters(t, e, ""), 4)
	assert.Equal(t, 3, figures(t, e, "q").Dead)
	for _, err := range e.DeadLetters(t.Context(), "") { // one may stop early
		require.NoError(t, err)
		break
	}

	n, err := e.Discard(t.Context(), "a", "nobody")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, jobs.Unknown, stateOf(t, e, "a"))

	works.Store(true)
	n, err = e.Requeue(t.Context(), "b", "a", "nobody")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	awaitState(t, e, "b", jobs.Recorded)
	all, _ := c.deliveries()
	assert.Equal(t, 1, all[len(all)-1].Attempt, "it has all its attempts again")
	assert.Empty(t, all[len(all)-1].LastError, "those of before are over")
	assert.Equal(t, 1, recorded(t, store, "b"))
	n, err = e.Requeue(t.Context(), "b")
	require.NoError(t, err)
	assert.Zero(t, n, "it is not dead")
	n, err = e.Discard(t.Context(), "b")
	require.NoError(t, err)
	assert.Zero(t, n, "it is not dead")
	assert.Equal(t, jobs.Dead, stateOf(t, e, "c"))
}

func testDeadLettersPaged(t *testing.T, b Backend) {
	e, _ := b.one(t)
	start(t, e, jobs.RunConfig{}, func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.DeadLetter(nil) })
	enqueue(t, e, batch("j", 250)...)
	awaitEmpty(t, e, jobs.DefaultQueue)
	seen := map[string]bool{}
	var last time.Time
	for _, dead := range deadLetters(t, e, jobs.DefaultQueue) {
		assert.False(t, dead.DiedAt.Before(last))
		last, seen[dead.ID] = dead.DiedAt, true
		assert.NotEmpty(t, dead.LastError)
	}
	assert.Len(t, seen, 250)
}

func testPanic(t *testing.T, b Backend) {
	e, _ := b.one(t)
	start(t, e, jobs.RunConfig{Backoff: func(int) time.Duration { return 0 }},
		func(_ context.Context, d jobs.Delivery) jobs.Outcome {
			switch d.ID {
			case "poison":
				panic("spilt")
			case "mute":
				return jobs.DeadLetter((*jobs.FullError)(nil)) // whose Error panics
			}
			return jobs.Done(Answer("yes"))
		})
	enqueue(t, e, jobs.Job{ID: "poison", MaxAttempts: 2}, jobs.Job{ID: "good"})
	awaitState(t, e, "good", jobs.Recorded)
	awaitState(t, e, "poison", jobs.Dead)
	dead := deadLetters(t, e, "")
	require.Len(t, dead, 1)
	assert.Equal(t, 2, dead[0].Attempt)
	assert.Contains(t, dead[0].LastError, "spilt")

	enqueue(t, e, jobs.Job{ID: "mute"})
	awaitState(t, e, "mute", jobs.Dead)
}

func testNoOutcome(t *testing.T, b Backend) {
	e, _ := b.one(t)
	start(t, e, jobs.RunConfig{}, func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.Outcome{} })
	enqueue(t, e, jobs.Job{ID: "job", MaxAttempts: 1})
	awaitState(t, e, "job", jobs.Dead)
}

func testBadPrediction(t *testing.T, b Backend) {
	e, store := b.one(t)
	var c calls
	start(t, e, jobs.RunConfig{Backoff: func(int) time.Duration { return 0 }}, c.then(func(_ context.Context, d jobs.Delivery) jobs.Outcome {
		p := Answer("yes")
		if d.ID == "bad" {
			p.Label = strings.Repeat("x", 513)
		}
		return jobs.Done(p)
	}))
	enqueue(t, e, jobs.Job{ID: "bad"}, jobs.Job{ID: "good"})
	awaitState(t, e, "good", jobs.Recorded)
	awaitState(t, e, "bad", jobs.Dead)
	assert.Zero(t, recorded(t, store, "bad"))
	assert.Equal(t, 2, c.count(), "the next call would be in vain as well")
	dead := deadLetters(t, e, "")[0]
	assert.Equal(t, 1, dead.Attempt)
	assert.Contains(t, dead.LastError, "cannot be recorded")
	assert.Contains(t, dead.LastError, "513 bytes, want at most 512")
}

func testSeveralPredictions(t *testing.T, b Backend) {
	e, store := b.one(t)
	start(t, e, jobs.RunConfig{}, func(context.Context, jobs.Delivery) jobs.Outcome {
		named := Answer("own")
		named.ID = "own"
		return jobs.Done(Answer("one"), Answer("two"), named)
	})
	enqueue(t, e, jobs.Job{ID: "job"})
	awaitState(t, e, "job", jobs.Recorded)
	assert.Equal(t, 3, recorded(t, store, "job", "job/2", "own"))
}

func testKnown(t *testing.T, b Backend) {
	e, store := b.one(t)
	lost := errors.New("the answer got lost")
	outcomes := map[string]jobs.Outcome{
		"retried": jobs.Retry(4*moment, lost), "snoozed": jobs.Snooze(4*moment, nil), "requeued": jobs.DeadLetter(lost),
	}
	var c calls
	var uncalled atomic.Int64
	start(t, e, jobs.RunConfig{OnSettled: func(s jobs.Settled) {
		if s.Ending == jobs.Finished && s.Took == 0 {
			uncalled.Add(1)
		}
	}}, c.then(func(_ context.Context, d jobs.Delivery) jobs.Outcome { return outcomes[d.ID] }))
	for id := range outcomes {
		enqueue(t, e, jobs.Job{ID: id})
	}
	c.await(t, len(outcomes))
	awaitState(t, e, "requeued", jobs.Dead)
	for id := range outcomes {
		p := Answer("found")
		p.ID = id
		require.NoError(t, store.Record(t.Context(), p))
	}
	n, err := e.Requeue(t.Context(), "requeued")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	awaitEmpty(t, e, jobs.DefaultQueue)
	for id := range outcomes {
		assert.Equal(t, jobs.Recorded, stateOf(t, e, id), id)
	}
	assert.Equal(t, len(outcomes), c.count())
	require.Eventually(t, func() bool { return uncalled.Load() == int64(len(outcomes)) }, patience, time.Millisecond,
		"no call took any time")
}

func testGate(t *testing.T, b Backend) {
	e, _ := b.one(t)
	var open atomic.Bool
	var asked atomic.Int64
	gate := jobs.GateFunc(func(context.Context, string) time.Duration {
		asked.Add(1)
		if open.Load() {
			return 0
		}
		return time.Hour // it opens early
	})
	enqueue(t, e, batch("j", 20)...)
	var c calls
	start(t, e, jobs.RunConfig{Gate: gate}, c.then(done))
	time.Sleep(2 * moment)
	assert.Zero(t, c.count())
	assert.Equal(t, 20, figures(t, e, jobs.DefaultQueue).Ready)
	assert.Positive(t, asked.Load())
	open.Store(true)
	begin := time.Now()
	c.await(t, 1)
	assert.Less(t, time.Since(begin), b.Soon)
	c.await(t, 20)
	all, _ := c.deliveries()
	for _, d := range all {
		assert.Equal(t, 1, d.Attempt)
	}
}

func testGatePerQueue(t *testing.T, b Backend) {
	e, _ := b.one(t)
	gate := jobs.GateFunc(func(_ context.Context, queue string) time.Duration {
		if queue == "shut" {
			return 50 * time.Millisecond
		}
		return 0
	})
	enqueue(t, e, jobs.Job{ID: "in", Queue: "shut", Priority: 2}, jobs.Job{ID: "out", Queue: "open"})
	var c calls
	start(t, e, jobs.RunConfig{Gate: gate, Queues: []string{"shut", "open"}}, c.then(done))
	awaitState(t, e, "out", jobs.Recorded)
	time.Sleep(moment)
	assert.Equal(t, []string{"out"}, c.ids())
	assert.Equal(t, jobs.Waiting, stateOf(t, e, "in"))
}

func testQueues(t *testing.T, b Backend) {
	e, _ := b.one(t)
	enqueue(t, e, jobs.Job{ID: "a", Queue: "a"}, jobs.Job{ID: "b", Queue: "b"}, jobs.Job{ID: "c", Queue: "c"})
	var c calls
	start(t, e, jobs.RunConfig{Queues: []string{"a", "c"}}, c.then(done))
	awaitState(t, e, "a", jobs.Recorded)
	awaitState(t, e, "c", jobs.Recorded)
	time.Sleep(moment)
	assert.Equal(t, jobs.Waiting, stateOf(t, e, "b"))
	assert.Error(t, e.Run(t.Context(), jobs.RunConfig{Queues: []string{""}}, done))
	assert.Error(t, e.Run(t.Context(), jobs.RunConfig{Workers: -1}, done))
}

func testWorkers(t *testing.T, b Backend) {
	e, _ := b.one(t)
	enqueue(t, e, batch("j", 40)...)
	var running, most atomic.Int64
	all := make(chan struct{}) // closed when as many run as may
	full := sync.OnceFunc(func() { close(all) })
	start(t, e, jobs.RunConfig{Workers: 4}, func(ctx context.Context, _ jobs.Delivery) jobs.Outcome {
		n := running.Add(1)
		if n == 4 {
			full()
		}
		defer running.Add(-1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		select {
		case <-all:
		case <-ctx.Done():
		}
		time.Sleep(10 * time.Millisecond) // time for one too many
		return jobs.Done(Answer("yes"))
	})
	awaitEmpty(t, e, jobs.DefaultQueue)
	assert.EqualValues(t, 4, most.Load())
}

func testNoLimits(t *testing.T, b Backend) {
	e, _ := b.one(t)
	enqueue(t, e, jobs.Job{ID: "job"})
	start(t, e, jobs.RunConfig{Workers: 20_000, Budget: math.MaxInt64}, done)
	awaitState(t, e, "job", jobs.Recorded)
}

func testBudget(t *testing.T, b Backend) {
	e, _ := b.one(t)
	enqueue(t, e, jobs.Job{ID: "slow", MaxAttempts: 1})
	took := make(chan time.Duration, 1)
	start(t, e, jobs.RunConfig{Budget: moment, OnSettled: func(s jobs.Settled) { took <- s.Took }},
		func(ctx context.Context, _ jobs.Delivery) jobs.Outcome {
			<-ctx.Done()
			return jobs.Retry(0, ctx.Err())
		})
	awaitState(t, e, "slow", jobs.Dead)
	assert.GreaterOrEqual(t, <-took, moment)
	assert.Contains(t, deadLetters(t, e, "")[0].LastError, context.DeadlineExceeded.Error())
}

func testDrain(t *testing.T, b Backend) {
	e, store := b.one(t)
	enqueue(t, e, batch("j", 8)...)
	var c calls
	stop := start(t, e, jobs.RunConfig{Workers: 4}, c.then(func(ctx context.Context, _ jobs.Delivery) jobs.Outcome {
		time.Sleep(moment)
		if ctx.Err() != nil {
			return jobs.Retry(0, ctx.Err())
		}
		return jobs.Done(Answer("yes"))
	}))
	c.await(t, 4)
	stop()
	assert.Equal(t, 4, c.count(), "no job is taken once the shutdown has begun")
	assert.Equal(t, 4, recorded(t, store, c.ids()...))
	s := figures(t, e, jobs.DefaultQueue)
	assert.Equal(t, [2]int{4, 0}, [2]int{s.Ready, s.Running})
}

func testTold(t *testing.T, b Backend) {
	e, _ := b.one(t)
	enqueue(t, e, jobs.Job{ID: "job"})
	telling, release := make(chan struct{}), make(chan struct{})
	var told atomic.Bool
	stop := start(t, e, jobs.RunConfig{OnSettled: func(jobs.Settled) {
		close(telling)
		<-release
		told.Store(true)
	}}, func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.DeadLetter(errors.New("no")) })
	<-telling
	time.AfterFunc(moment, func() { close(release) })
	stop()
	assert.True(t, told.Load())
}

func testToldForEver(t *testing.T, b Backend) {
	e, _ := b.one(t)
	enqueue(t, e, jobs.Job{ID: "job"})
	telling, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	stop := start(t, e, jobs.RunConfig{Drain: -1, OnSettled: func(jobs.Settled) {
		close(telling)
		<-release
	}}, func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.DeadLetter(errors.New("no")) })
	<-telling
	stop()
	assert.Equal(t, jobs.Dead, stateOf(t, e, "job"))
}

func testGiveBack(t *testing.T, b Backend) {
	e, store := b.one(t)
	enqueue(t, e, jobs.Job{ID: "heeds", MaxAttempts: 2}, jobs.Job{ID: "ignores", MaxAttempts: 1}, jobs.Job{ID: "finishes"})
	var c calls
	release := make(chan struct{})
	stop := start(t, e, jobs.RunConfig{Drain: -1}, c.then(func(ctx context.Context, d jobs.Delivery) jobs.Outcome {
		if d.ID == "ignores" {
			<-release
			return jobs.Done(Answer("late"))
		}
		if d.ID == "finishes" {
			<-ctx.Done()
			return jobs.Done(Answer("at last"))
		}
		if d.Attempt == 1 {
			return jobs.Retry(time.Millisecond, errors.New("first"))
		}
		<-ctx.Done()
		return jobs.Retry(0, ctx.Err())
	}))
	c.await(t, 4)
	begin := time.Now()
	stop()
	assert.Less(t, time.Since(begin), 2*time.Second+b.Soon)
	assert.Equal(t, jobs.Recorded, stateOf(t, e, "finishes"))
	for id, before := range map[string]jobs.Delivery{"heeds": {Attempt: 1, LastError: "first"}, "ignores": {}} {
		assert.Equal(t, jobs.Waiting, stateOf(t, e, id))
		_, d, err := e.Find(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, before.Attempt, d.Attempt, "%s: the attempt does not count", id)
		assert.Equal(t, before.LastError, d.LastError, "%s: nor does its error", id)
	}
	close(release)
	time.Sleep(moment)
	assert.Zero(t, recorded(t, store, "ignores"), "a result after the job was given back counts for nothing")

	start(t, e, jobs.RunConfig{}, done)
	awaitState(t, e, "ignores", jobs.Recorded)
	awaitState(t, e, "heeds", jobs.Recorded)
}

func testTwoEngines(t *testing.T, b Backend) {
	const n = 400
	engines, store := b.Open(t, 2, 0)
	var c calls
	slow := c.then(func(context.Context, jobs.Delivery) jobs.Outcome {
		time.Sleep(5 * time.Millisecond)
		return jobs.Done(Answer("yes"))
	})
	var first, second atomic.Int64
	counting := func(n *atomic.Int64) jobs.RunConfig {
		return jobs.RunConfig{Workers: 4, OnSettled: func(jobs.Settled) { n.Add(1) }}
	}
	start(t, engines[0], counting(&first), slow)
	start(t, engines[1], counting(&second), slow)
	js := batch("j", n)
	enqueue(t, engines[0], js[:n/2]...)
	enqueue(t, engines[1], js[n/2:]...)
	awaitEmpty(t, engines[0], jobs.DefaultQueue)
	ids := c.ids()
	slices.Sort(ids)
	assert.Len(t, ids, n)
	assert.Len(t, slices.Compact(ids), n, "no job was called twice")
	assert.Equal(t, n, recorded(t, store, ids...))
	assert.Positive(t, first.Load(), "the first engine worked")
	assert.Positive(t, second.Load(), "the second engine worked")
	assert.False(t, strings.Contains(fmt.Sprint(deadLetters(t, engines[1], "")), "j"))
}
