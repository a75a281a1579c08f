package jobstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

func testIdempotent(t *testing.T, b Backend) {
	engines, store := b.Open(t, 2, 0)
	a, z := engines[0], engines[1]
	job := jobs.Job{ID: "job", Payload: []byte("first")}
	again := jobs.Job{ID: "job", Payload: []byte("second"), Queue: "other", Priority: 1}

	got := enqueue(t, a, job, again)
	assert.Equal(t, []jobs.Receipt{{ID: "job", New: true, State: jobs.Waiting}, {ID: "job", State: jobs.Waiting}}, got)
	assert.Equal(t, []jobs.Receipt{{ID: "job", State: jobs.Waiting}}, enqueue(t, z, again), "while it waits")

	var c calls
	next := make(chan jobs.Outcome)
	stop := start(t, a, jobs.RunConfig{}, c.then(func(context.Context, jobs.Delivery) jobs.Outcome { return <-next }))
	c.await(t, 1)
	assert.Equal(t, []jobs.Receipt{{ID: "job", State: jobs.Running}}, enqueue(t, z, again), "while it runs")

	next <- jobs.DeadLetter(errors.New("no"))
	awaitState(t, a, "job", jobs.Dead)
	assert.Equal(t, []jobs.Receipt{{ID: "job", State: jobs.Dead}}, enqueue(t, z, again), "while it is dead")

	n, err := z.Requeue(t.Context(), "job")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	next <- jobs.Done(Answer("yes"))
	awaitState(t, a, "job", jobs.Recorded)
	assert.Equal(t, []jobs.Receipt{{ID: "job", State: jobs.Recorded}}, enqueue(t, z, again), "once it is recorded")
	stop()

	all, _ := c.deliveries()
	assert.Equal(t, 2, len(all))
	for _, d := range all {
		assert.Equal(t, "first", string(d.Payload))
	}
	assert.Equal(t, 1, recorded(t, store, "job"))
}

func testAllOrNone(t *testing.T, b Backend) {
	e, _ := b.one(t)
	_, err := e.Enqueue(t.Context(), jobs.Job{ID: "good"}, jobs.Job{ID: ""})
	require.Error(t, err)
	assert.Equal(t, jobs.Unknown, stateOf(t, e, "good"))

	receipts, err := e.Enqueue(t.Context())
	assert.NoError(t, err)
	assert.Empty(t, receipts)
}

func testInvalid(t *testing.T, b Backend) {
	e, _ := b.one(t)
	for name, job := range map[string]jobs.Job{
		"no ID":           {},
		"long ID":         {ID: strings.Repeat("x", jobs.MaxID+1)},
		"ID not UTF-8":    {ID: "\xff"},
		"zero byte":       {ID: "a\x00b"},
		"long queue":      {ID: "a", Queue: strings.Repeat("x", jobs.MaxName+1)},
		"long kind":       {ID: "a", Kind: strings.Repeat("x", jobs.MaxName+1)},
		"large payload":   {ID: "a", Payload: make([]byte, jobs.MaxPayload+1)},
		"high priority":   {ID: "a", Priority: jobs.MaxPriority + 1},
		"low priority":    {ID: "a", Priority: jobs.MinPriority - 1},
		"negative number": {ID: "a", MaxAttempts: -1},
		"the far future":  {ID: "a", RunAt: time.Unix(1<<55, 0)},
		"the far past":    {ID: "a", RunAt: time.Unix(-1<<55, 0)},
	} {
		_, err := e.Enqueue(t.Context(), job)
		assert.Error(t, err, name)
	}
	assert.Equal(t, jobs.Stats{}, figures(t, e, jobs.DefaultQueue))

	large := jobs.Job{ID: strings.Repeat("x", jobs.MaxID), Payload: bytes.Repeat([]byte{7}, jobs.MaxPayload)}
	enqueue(t, e, large)
	_, d, err := e.Find(t.Context(), large.ID)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(large.Payload, d.Payload), "the largest payload comes back as it was")
}

func testBound(t *testing.T, b Backend) {
	if b.Overshoot > 0 {
		t.Skip("the bound of this engine is not exact")
	}
	engines, _ := b.Open(t, 1, 10)
	e := engines[0]
	enqueue(t, e, batch("a", 8)...)

	_, err := e.Enqueue(t.Context(), batch("b", 3)...)
	full, ok := errors.AsType[*jobs.FullError](err)
	require.True(t, ok, "error = %v, want a FullError", err)
	assert.ErrorIs(t, err, jobs.ErrFull)
	assert.Equal(t, jobs.DefaultQueue, full.Queue)
	assert.Equal(t, 8, full.Jobs)
	assert.Equal(t, 10, full.Bound)
	assert.Positive(t, full.RetryAfter)
	assert.Equal(t, jobs.Unknown, stateOf(t, e, "b0000"), "none of them was accepted")

	enqueue(t, e, batch("b", 2)...)
	enqueue(t, e, batch("a", 8)...) // they are there: no room is needed
	enqueue(t, e, jobs.Job{ID: "elsewhere", Queue: "other"})
	_, err = e.Enqueue(t.Context(), jobs.Job{ID: "c"})
	assert.ErrorIs(t, err, jobs.ErrFull)

	start(t, e, jobs.RunConfig{}, done)
	awaitEmpty(t, e, jobs.DefaultQueue)
	enqueue(t, e, batch("d", 10)...)
}

func testBoundRace(t *testing.T, b Backend) {
	const bound, producers, each = 100, 8, 50
	engines, _ := b.Open(t, 2, bound)
	var accepted, refused atomic.Int64
	var group sync.WaitGroup
	for p := range producers {
		group.Go(func() {
			for i := range each {
				_, err := engines[p%2].Enqueue(t.Context(), jobs.Job{ID: fmt.Sprintf("%d-%d", p, i)})
				switch {
				case err == nil:
					accepted.Add(1)
				case errors.Is(err, jobs.ErrFull):
					refused.Add(1)
				default:
					t.Errorf("Enqueue: %v", err)
				}
			}
		})
	}
	group.Wait()
	assert.GreaterOrEqual(t, int(accepted.Load()), bound)
	assert.LessOrEqual(t, int(accepted.Load()), bound+b.Overshoot)
	assert.EqualValues(t, producers*each, accepted.Load()+refused.Load())
	assert.EqualValues(t, accepted.Load(), figures(t, engines[0], jobs.DefaultQueue).Ready)
}

func testEnqueueWait(t *testing.T, b Backend) {
	engines, store := b.Open(t, 1, 20)
	e := engines[0]
	start(t, e, jobs.RunConfig{}, done)
	js := batch("j", 100)
	receipts, err := jobs.EnqueueWait(t.Context(), e, js...)
	require.NoError(t, err)
	require.Len(t, receipts, 100)
	awaitEmpty(t, e, jobs.DefaultQueue)
	for i, r := range receipts {
		assert.Equal(t, js[i].ID, r.ID)
		assert.Equal(t, 1, recorded(t, store, r.ID))
	}
}

func testEndedContext(t *testing.T, b Backend) {
	e, _ := b.one(t)
	enqueue(t, e, jobs.Job{ID: "there"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Enqueue(ctx, jobs.Job{ID: "late"})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = e.Stats(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	_, _, err = e.Find(ctx, "there")
	assert.ErrorIs(t, err, context.Canceled)
	_, err = e.Requeue(ctx, "there")
	assert.ErrorIs(t, err, context.Canceled)
	_, err = e.Discard(ctx, "there")
	assert.ErrorIs(t, err, context.Canceled)
	for _, err := range e.DeadLetters(ctx, "") {
		assert.ErrorIs(t, err, context.Canceled)
	}
	assert.NoError(t, e.Run(ctx, jobs.RunConfig{}, done))
	assert.Equal(t, jobs.Waiting, stateOf(t, e, "there"))
	assert.Equal(t, jobs.Unknown, stateOf(t, e, "late"))
}

func testClosed(t *testing.T, b Backend) {
	e, _ := b.one(t)
	require.NoError(t, e.Close())
	assert.NoError(t, e.Close())
	_, err := e.Enqueue(t.Context(), jobs.Job{ID: "a"})
	assert.ErrorIs(t, err, jobs.ErrClosed)
	assert.ErrorIs(t, e.Run(t.Context(), jobs.RunConfig{}, done), jobs.ErrClosed)
	_, err = e.Stats(t.Context())
	assert.ErrorIs(t, err, jobs.ErrClosed)
	_, _, err = e.Find(t.Context(), "a")
	assert.ErrorIs(t, err, jobs.ErrClosed)
	_, err = e.Requeue(t.Context(), "a")
	assert.ErrorIs(t, err, jobs.ErrClosed)
	_, err = e.Discard(t.Context(), "a")
	assert.ErrorIs(t, err, jobs.ErrClosed)
	asked := 0
	for _, err := range e.DeadLetters(t.Context(), "") {
		asked++
		assert.ErrorIs(t, err, jobs.ErrClosed)
	}
	assert.Equal(t, 1, asked)
}

func testStats(t *testing.T, b Backend) {
	e, _ := b.one(t)
	hour := time.Now().Add(time.Hour)
	for priority := jobs.MinPriority; priority <= jobs.MaxPriority; priority++ {
		enqueue(t, e,
			jobs.Job{ID: fmt.Sprint("ready", priority), Priority: priority, Payload: []byte("four")},
			jobs.Job{ID: fmt.Sprint("later", priority), Priority: priority, Payload: []byte("four"), RunAt: hour})
	}
	enqueue(t, e, jobs.Job{ID: "old", RunAt: time.Now().Add(-time.Minute), Queue: "other"})
	s := figures(t, e, jobs.DefaultQueue)
	assert.Equal(t, [4]int{4, 4, 0, 0}, [4]int{s.Ready, s.Scheduled, s.Running, s.Dead})
	assert.EqualValues(t, 32, s.Bytes)
	assert.Equal(t, jobs.DefaultBound, s.Bound)
	assert.EqualValues(t, jobs.DefaultByteBound, s.ByteBound)
	assert.Zero(t, s.OldestRunning)
	assert.InDelta(t, time.Minute, figures(t, e, "other").OldestReady, float64(30*time.Second))
	enqueue(t, e, jobs.Job{ID: "not yet", RunAt: hour, Queue: "third"})
	assert.Zero(t, figures(t, e, "third").OldestReady, "none is ready")

	var c calls
	next := make(chan jobs.Outcome)
	start(t, e, jobs.RunConfig{Workers: 1}, c.then(func(context.Context, jobs.Delivery) jobs.Outcome { return <-next }))
	c.await(t, 1)
	s = figures(t, e, jobs.DefaultQueue)
	assert.Equal(t, [4]int{3, 4, 1, 0}, [4]int{s.Ready, s.Scheduled, s.Running, s.Dead})
	next <- jobs.DeadLetter(errors.New("no"))
	next <- jobs.Done(Answer("yes"))
	next <- jobs.Snooze(time.Hour, nil)
	c.await(t, 4)
	s = figures(t, e, jobs.DefaultQueue)
	assert.Equal(t, [4]int{0, 5, 1, 1}, [4]int{s.Ready, s.Scheduled, s.Running, s.Dead})
	assert.EqualValues(t, 24, s.Bytes)
	next <- jobs.Done()
}
