package jobs

import (
	"context"
	"errors"
	"time"
)

const (
	waitChunk = 256     // how many jobs [EnqueueWait] hands over at once,
	waitBytes = 8 << 20 // and what their payloads may weigh
)

// EnqueueWait enqueues jobs and waits for room if a queue is full, until ctx ends.
// It hands the jobs over in parts, so that part of them may be accepted when it
// fails: the receipts are those of the jobs that were, from the first on. All the
// jobs can be given again: those that are there already change nothing.
func EnqueueWait(ctx context.Context, e Engine, jobs ...Job) ([]Receipt, error) {
	receipts := make([]Receipt, 0, len(jobs))
	size := waitChunk
	for len(receipts) < len(jobs) {
		part := upTo(size, jobs[len(receipts):])
		got, err := e.Enqueue(ctx, part...)
		full, isFull := errors.AsType[*FullError](err)
		switch {
		case err == nil:
			receipts = append(receipts, got...)
			size = min(2*size, waitChunk)
			continue
		case !isFull:
			return receipts, err
		case len(part) > 1:
			size = len(part) / 2 // some may fit
			continue
		}
		if err := sleep(ctx, full.RetryAfter); err != nil {
			return receipts, err
		}
	}
	return receipts, nil
}

// upTo returns the first n of some jobs, or as many as are light enough, but at least one.
func upTo(n int, jobs []Job) []Job {
	n = min(n, len(jobs))
	weight := 0
	for i, j := range jobs[:n] {
		if weight += len(j.Payload); weight > waitBytes && i > 0 {
			return jobs[:i]
		}
	}
	return jobs[:n]
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
