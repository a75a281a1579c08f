package jobs

import (
	"context"
	"errors"
	"time"
)

// waitChunk is how many jobs [EnqueueWait] hands over at once.
const waitChunk = 256

// EnqueueWait enqueues jobs and waits for room if a queue is full, until ctx ends.
// It hands the jobs over in parts, so that part of them may be accepted when it
// fails: the receipts are those of the jobs that were, from the first on. All the
// jobs can be given again: those that are there already change nothing.
func EnqueueWait(ctx context.Context, e Engine, jobs ...Job) ([]Receipt, error) {
	receipts := make([]Receipt, 0, len(jobs))
	size := waitChunk
	for len(receipts) < len(jobs) {
		rest := jobs[len(receipts):]
		got, err := e.Enqueue(ctx, rest[:min(size, len(rest))]...)
		full, isFull := errors.AsType[*FullError](err)
		switch {
		case err == nil:
			receipts = append(receipts, got...)
			size = min(2*size, waitChunk)
			continue
		case !isFull:
			return receipts, err
		case size > 1 && len(rest) > 1:
			size = max(1, min(size, len(rest))/2) // some may fit
			continue
		}
		if err := sleep(ctx, full.RetryAfter); err != nil {
			return receipts, err
		}
	}
	return receipts, nil
}

// sleep waits, at least a moment, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
