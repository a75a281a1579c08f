package jobs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"
)

// An Engine keeps jobs and has them done. It is safe for concurrent use; several
// engines, in several processes, may work on one database.
type Engine interface {
	// Enqueue accepts all jobs or none. What it accepted is durable when it
	// returns. A job whose ID is known, be it waiting, running, dead or recorded, is
	// not accepted again; its receipt says so. The receipts are in the order of the
	// jobs.
	//
	// The error is a [*FullError] if a queue has no room for its jobs, and says what
	// is wrong if a job is not valid.
	Enqueue(ctx context.Context, jobs ...Job) ([]Receipt, error)

	// Run has jobs done by h until ctx ends. Then it takes no more, waits for the
	// handlers (see [RunConfig.Drain]), gives back what they did not finish, without
	// counting the attempt, and returns nil. Trouble with the database does not end
	// it: see [RunConfig.OnError].
	//
	// A job whose prediction has been recorded since it was enqueued is done without a
	// call.
	Run(ctx context.Context, c RunConfig, h Handler) error

	// Stats returns the figures of every queue that holds a job, or did, by name.
	Stats(ctx context.Context) ([]Stats, error)

	// Find returns where the job stands, and the job itself unless it is recorded
	// or unknown.
	Find(ctx context.Context, id string) (State, *Delivery, error)

	// DeadLetters returns the dead jobs of a queue, the one that died first, first.
	// "" means all queues. The sequence ends after an error.
	DeadLetters(ctx context.Context, queue string) iter.Seq2[DeadJob, error]

	// Requeue makes dead jobs wait again, due now, with all their attempts and no
	// LastError, and returns how many it found. It does not heed the bounds of the
	// queue.
	Requeue(ctx context.Context, ids ...string) (int, error)

	// Discard forgets dead jobs, and returns how many it found.
	Discard(ctx context.Context, ids ...string) (int, error)

	// Close frees what the engine itself holds, after Run has returned. It closes
	// neither the store nor the database.
	Close() error
}

// A Gate says whether the work of a queue makes sense now. It must be safe for
// concurrent use and quick.
type Gate interface {
	// Ready returns zero if jobs may be taken, or how long to wait before it is
	// asked again. It is asked before a job is taken, not once per job.
	Ready(ctx context.Context, queue string) time.Duration
}

// GateFunc is a func as a [Gate].
type GateFunc func(ctx context.Context, queue string) time.Duration

// Ready calls f.
func (f GateFunc) Ready(ctx context.Context, queue string) time.Duration { return f(ctx, queue) }

// Stats are the figures of one queue at one moment.
type Stats struct {
	Queue string

	Ready     int // wait and are due
	Scheduled int // wait and are not due yet
	Running   int // a worker has them
	Dead      int // given up

	// Bytes is what the payloads weigh, those of dead jobs left out.
	Bytes int64

	// OldestReady is how long the job that is due for longest has been so, and
	// OldestRunning how long ago the longest running one was taken, zero if there is
	// none.
	OldestReady   time.Duration
	OldestRunning time.Duration

	// Bound and ByteBound are how many jobs and bytes may wait and run, zero if there
	// is no bound.
	Bound     int
	ByteBound int64
}

// Defaults of the bounds of one queue.
const (
	DefaultBound     = 100_000
	DefaultByteBound = 1 << 30
)

// ErrFull is matched by every [FullError].
var ErrFull = errors.New("jobs: queue is full")

// ErrClosed is returned by the methods of an engine after Close.
var ErrClosed = errors.New("jobs: engine is closed")

// A FullError says that a queue has no room for the jobs now.
type FullError struct {
	Queue string

	// Jobs and Bytes are what the queue holds, Bound and ByteBound what it may
	// hold, negative if there is no bound.
	Jobs, Bound      int
	Bytes, ByteBound int64

	// RetryAfter is when it makes sense to try again.
	RetryAfter time.Duration
}

// Error returns one line.
func (e *FullError) Error() string {
	return fmt.Sprintf("%v: %s holds %s jobs, %s bytes; retry after %v",
		ErrFull, e.Queue, of(int64(e.Jobs), int64(e.Bound)), of(e.Bytes, e.ByteBound), e.RetryAfter)
}

// of returns, for example, "5 of 100", and "5" if there is no bound.
func of(n, bound int64) string {
	if bound < 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%d of %d", n, bound)
}

// Unwrap returns [ErrFull].
func (e *FullError) Unwrap() error { return ErrFull }
