package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// fakeQueue is an engine without a database, for what is measured around one: its
// queue is full at first, and each of its jobs ends in another way.
type fakeQueue struct {
	jobs.Engine
	asked int
}

func (q *fakeQueue) Enqueue(_ context.Context, js ...jobs.Job) ([]jobs.Receipt, error) {
	if q.asked++; q.asked == 1 {
		return nil, &jobs.FullError{Queue: function}
	}
	receipts := make([]jobs.Receipt, len(js))
	for i, j := range js {
		receipts[i] = jobs.Receipt{ID: j.ID, New: i == 0}
	}
	return receipts, nil
}

func (q *fakeQueue) Run(ctx context.Context, c jobs.RunConfig, _ jobs.Handler) error {
	for c.Gate.Ready(ctx, function) > 0 {
		time.Sleep(time.Millisecond)
	}
	for _, ending := range []jobs.Ending{jobs.Finished, jobs.Retried, jobs.Snoozed, jobs.DeadLettered, jobs.GivenBack} {
		c.OnSettled(jobs.Settled{
			Delivery: jobs.Delivery{Job: jobs.Job{Queue: function}, Attempt: 1}, Ending: ending, Took: time.Second, Picked: time.Second,
		})
	}
	return nil
}

func (q *fakeQueue) Stats(context.Context) ([]jobs.Stats, error) {
	return []jobs.Stats{{Queue: function, Ready: 1, Bound: 10}}, nil
}

func (q *fakeQueue) Close() error { return nil }

// doJobs takes a queue through everything that is measured of it, until the end of the
// test.
func doJobs(t *testing.T) {
	t.Helper()
	queue, err := jobs.Measured(&fakeQueue{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, queue.Close()) })
	_, err = queue.Enqueue(t.Context(), jobs.Job{ID: "a"})
	require.True(t, errors.Is(err, jobs.ErrFull))
	_, err = queue.Enqueue(t.Context(), jobs.Job{ID: "a"}, jobs.Job{ID: "a"})
	require.NoError(t, err)
	asked := 0
	gate := jobs.GateFunc(func(context.Context, string) time.Duration {
		asked++
		return time.Duration(max(0, 3-asked)) * time.Second
	})
	require.NoError(t, queue.Run(t.Context(), jobs.RunConfig{Gate: gate}, nil))
}
