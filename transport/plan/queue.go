package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// A Queue is how the jobs of a durable queue are kept and done. It has the names of
// package nyckel/jobs, which takes what is here with its FromPlan and FromLive; the
// database that the queue lives in, its gate and its handlers are the program's.
type Queue struct {
	// Work is what jobs have whose queue has the name of no function, and what
	// functions have that say nothing else.
	Work

	// Workers is how many jobs are done at the same time, of whatever queue. Zero
	// means 16.
	Workers int

	// Drain is how long jobs under way have to end when the program does, or when
	// other workers take over. Zero means 30 s; negative means not at all.
	Drain time.Duration

	// Bound is how many jobs of a queue may wait and run. Zero means 100,000;
	// negative means no bound.
	Bound int

	// ByteBound is what their payloads may weigh, in bytes. Zero means 1 GiB;
	// negative means no bound.
	ByteBound int64

	// Lease is how long a job stays with a worker that gives no sign of life. Zero
	// means 30 s; at least 100 ms. The queue on PostgreSQL has none.
	Lease time.Duration

	// Poll is how often an idle worker looks for jobs of other processes. Zero means
	// 100 ms; at least 1 ms. The queue on PostgreSQL is told of them.
	Poll time.Duration
}

// A Work is how the jobs of one queue are done, which is that of a function.
type Work struct {
	// MaxAttempts is how often a job is tried before it becomes a dead letter, from
	// when it is enqueued. Zero means 8.
	MaxAttempts int

	// Priority is from -1 to 2; of the jobs that are due, those with a higher one go
	// first, whatever their queue.
	Priority int

	// Budget is how long one attempt may take, with all that the stack does for it.
	// Zero means 30 s, or the Total of a function's stack if that is more.
	Budget time.Duration

	// Backoff is how long a job waits for its next attempt, unless the service says
	// when to come back.
	Backoff Pause
}

// A Pause is a wait that doubles from one attempt to the next, by up to a fifth
// more or less each.
type Pause struct {
	// Base is the first wait. Zero means 1 s; at least 1 ms.
	Base time.Duration

	// Max is the longest one. Zero means 10 min, or Base if that is more.
	Max time.Duration
}

// WithDefaults returns q with its zero fields filled.
func (q Queue) WithDefaults() Queue {
	q.Work = q.Work.WithDefaults()
	q.Workers = cmp.Or(q.Workers, 16)
	q.Drain = cmp.Or(q.Drain, 30*time.Second)
	q.Bound = cmp.Or(q.Bound, 100_000)
	q.ByteBound = cmp.Or(q.ByteBound, 1<<30)
	q.Lease = cmp.Or(q.Lease, 30*time.Second)
	q.Poll = cmp.Or(q.Poll, 100*time.Millisecond)
	return q
}

// WithDefaults returns w with its zero fields filled.
func (w Work) WithDefaults() Work {
	w.MaxAttempts = cmp.Or(w.MaxAttempts, 8)
	w.Budget = cmp.Or(w.Budget, 30*time.Second)
	w.Backoff.Base = cmp.Or(w.Backoff.Base, time.Second)
	w.Backoff.Max = cmp.Or(w.Backoff.Max, max(10*time.Minute, w.Backoff.Base))
	return w
}

// Work returns how the function's jobs are done, with its zero fields filled.
func (f Function) Work() Work {
	w := f.Queue.WithDefaults()
	if f.Queue.Budget == 0 {
		w.Budget = max(w.Budget, f.WithDefaults().Total)
	}
	return w
}

const (
	leastByteBound = 1 << 20 // one payload of the largest size
	mostBackoff    = 365 * 24 * time.Hour
)

// Validate reports everything that is wrong with the settings, a zero field being
// right.
func (q Queue) Validate() error {
	work := q.Work.Validate()
	q = q.WithDefaults()
	return errors.Join(
		work,
		within(q.Workers >= 1 && q.Workers <= 10_000, "Workers", q.Workers, "1 to 10000"),
		within(q.ByteBound < 0 || q.ByteBound >= leastByteBound, "ByteBound", q.ByteBound, fmt.Sprintf("at least %d, one payload, or negative for none", leastByteBound)),
		within(q.Lease >= 100*time.Millisecond, "Lease", q.Lease, "at least 100ms"),
		within(q.Poll >= time.Millisecond, "Poll", q.Poll, "at least 1ms"),
	)
}

// Validate reports everything that is wrong with the settings, a zero field being
// right.
func (w Work) Validate() error {
	w = w.WithDefaults()
	return errors.Join(
		within(w.MaxAttempts >= 1 && w.MaxAttempts <= 10_000, "MaxAttempts", w.MaxAttempts, "1 to 10000"),
		within(w.Priority >= -1 && w.Priority <= 2, "Priority", w.Priority, "-1 to 2"),
		within(w.Budget > 0, "Budget", w.Budget, "above 0"),
		within(w.Backoff.Base >= time.Millisecond, "Backoff.Base", w.Backoff.Base, "at least 1ms"),
		within(w.Backoff.Max >= w.Backoff.Base, "Backoff.Max", w.Backoff.Max, fmt.Sprintf("at least Base, %v", w.Backoff.Base)),
		within(w.Backoff.Max <= mostBackoff, "Backoff.Max", w.Backoff.Max, fmt.Sprintf("at most %v, a year", mostBackoff)),
	)
}

func within(ok bool, field string, value any, want string) error {
	if ok {
		return nil
	}
	return &policy.SettingError{Path: "Queue." + field, Value: fmt.Sprint(value), Want: want}
}

// usesQueue reports whether anything is said of queues.
func (f File) usesQueue() bool {
	if f.Queue != (Queue{}) {
		return true
	}
	for _, function := range f.Functions {
		if function.Queue != (Work{}) {
			return true
		}
	}
	return false
}

// queue checks what a function's jobs have of their own, and whether an attempt has
// the time that its call may take.
func (c *checker) queue(path string, f Function) {
	said := leaves(c.file.Queue.Work.Validate())
	err := f.Queue.Validate()
	for _, one := range leaves(err) {
		if !slices.ContainsFunc(said, func(before error) bool { return before.Error() == one.Error() }) {
			c.settings(path+".", one)
		}
	}
	total := f.WithDefaults().Total
	if err != nil || f.ID == "" || f.Queue.Budget == 0 || f.Queue.Budget >= total {
		return
	}
	c.report(path+".Queue.Budget", "is %v, want at least %s, %v: the call of a job would be cut off before its stack can answer by other means",
		f.Queue.Budget, c.spelled("Total"), total)
}
