package jobs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

func TestJobValidate(t *testing.T) {
	tests := []struct {
		name string
		job  jobs.Job
		want string // "" means valid
	}{
		{"least", jobs.Job{ID: "a"}, ""},
		{"most", jobs.Job{ID: strings.Repeat("x", jobs.MaxID), Queue: strings.Repeat("q", jobs.MaxName), Kind: strings.Repeat("k", jobs.MaxName), Payload: make([]byte, jobs.MaxPayload), Priority: 2, MaxAttempts: 99}, ""},
		{"first moment", jobs.Job{ID: "a", RunAt: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)}, ""},
		{"last moment", jobs.Job{ID: "a", RunAt: time.Date(10_000, 1, 1, 0, 0, 0, -1, time.UTC)}, ""},
		{"too early", jobs.Job{ID: "a", RunAt: time.Date(1, 1, 1, 0, 0, 0, -1, time.UTC)}, "RunAt is in the year 0, want 1 to 9999"},
		{"too late", jobs.Job{ID: "a", RunAt: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}, "RunAt is in the year 10000"},
		{"no ID", jobs.Job{}, "ID is empty"},
		{"long ID", jobs.Job{ID: strings.Repeat("x", 201)}, "ID has 201 bytes, want at most 200"},
		{"broken ID", jobs.Job{ID: "\xff"}, "ID is not valid UTF-8"},
		{"zero byte", jobs.Job{ID: "a", Queue: "a\x00"}, "Queue has a zero byte"},
		{"long queue", jobs.Job{ID: "a", Queue: strings.Repeat("x", 101)}, "Queue has 101 bytes"},
		{"long kind", jobs.Job{ID: "a", Kind: strings.Repeat("x", 101)}, "Kind has 101 bytes"},
		{"payload", jobs.Job{ID: "a", Payload: make([]byte, 1<<20+1)}, "Payload has 1048577 bytes, want at most 1048576"},
		{"priority", jobs.Job{ID: "a", Priority: 3}, "Priority is 3, want -1 to 2"},
		{"attempts", jobs.Job{ID: "a", MaxAttempts: -1}, "MaxAttempts is -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.job.Validate()
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func TestJobWithDefaults(t *testing.T) {
	now := time.Unix(1, 0)
	assert.Equal(t, jobs.Job{ID: "a", Queue: "default", RunAt: now, MaxAttempts: 8}, jobs.Job{ID: "a"}.WithDefaults(now))
	own := jobs.Job{ID: "a", Queue: "q", RunAt: time.Unix(2, 0), MaxAttempts: 1}
	assert.Equal(t, own, own.WithDefaults(now))
}

func TestNames(t *testing.T) {
	var states, endings []string
	for i := range uint8(6) {
		states = append(states, jobs.State(i).String())
	}
	for i := range uint8(7) {
		endings = append(endings, jobs.Ending(i).String())
	}
	assert.Equal(t, []string{"unknown", "waiting", "running", "dead", "recorded", "state(5)"}, states)
	assert.Equal(t, []string{"unknown", "finished", "retried", "snoozed", "dead_lettered", "given_back", "ending(6)"}, endings)
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 10: 512 * time.Second, 11: 10 * time.Minute, 999: 10 * time.Minute} {
		for range 50 {
			got := jobs.Backoff(n)
			assert.GreaterOrEqual(t, got, want*8/10, "attempt %d", n)
			assert.LessOrEqual(t, got, want*12/10, "attempt %d", n)
		}
	}
}

func TestDecide(t *testing.T) {
	boom := errors.New("boom")
	c := jobs.RunConfig{Backoff: func(n int) time.Duration { return time.Duration(n) * time.Minute }}
	tests := []struct {
		name    string
		outcome jobs.Outcome
		attempt int // of 3
		want    jobs.Outcome
	}{
		{"retry by the backoff", jobs.Retry(0, boom), 2, jobs.Outcome{Ending: jobs.Retried, After: 2 * time.Minute, Err: boom}},
		{"retry as the service said", jobs.Retry(time.Second, boom), 2, jobs.Outcome{Ending: jobs.Retried, After: time.Second, Err: boom}},
		{"the last attempt", jobs.Retry(time.Second, boom), 3, jobs.Outcome{Ending: jobs.DeadLettered, Err: boom}},
		{"snooze after the last attempt", jobs.Snooze(time.Hour, boom), 3, jobs.Outcome{Ending: jobs.Snoozed, After: time.Hour, Err: boom}},
		{"snooze without a wait", jobs.Snooze(0, nil), 1, jobs.Outcome{Ending: jobs.Snoozed, After: time.Second}},
		{"snooze for less than a moment", jobs.Snooze(time.Microsecond, nil), 1, jobs.Outcome{Ending: jobs.Snoozed, After: time.Second}},
		{"snooze for a moment", jobs.Snooze(time.Millisecond, nil), 1, jobs.Outcome{Ending: jobs.Snoozed, After: time.Millisecond}},
		{"dead letter", jobs.DeadLetter(boom), 1, jobs.Outcome{Ending: jobs.DeadLettered, Err: boom}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := jobs.Delivery{Job: jobs.Job{ID: "a", MaxAttempts: 3}, Attempt: tt.attempt}
			assert.Equal(t, tt.want, tt.outcome.Decide(d, c))
		})
	}
	got := jobs.DeadLetter(nil).Decide(jobs.Delivery{}, c)
	assert.Error(t, got.Err, "a dead letter has a reason")
	got = jobs.Retry(0, boom).Decide(jobs.Delivery{Job: jobs.Job{MaxAttempts: 3}}, jobs.RunConfig{Backoff: func(int) time.Duration { return -1 }})
	assert.Zero(t, got.After, "no wait is less than none")
	got = jobs.Outcome{}.Decide(jobs.Delivery{Job: jobs.Job{MaxAttempts: 3}, Attempt: 1}, c)
	assert.Equal(t, jobs.Retried, got.Ending, "no outcome is a failure")
}

func TestDecideNamesPredictions(t *testing.T) {
	given := []predictions.Prediction{{}, {}, {ID: "own"}, {}}
	got := jobs.Done(given...).Decide(jobs.Delivery{Job: jobs.Job{ID: "a"}}, jobs.RunConfig{})
	var ids []string
	for _, p := range got.Predictions {
		ids = append(ids, p.ID)
	}
	assert.Equal(t, []string{"a", "a/2", "own", "a/4"}, ids)
	assert.Empty(t, given[0].ID, "the handler's stay as they are")
}

func TestErrorText(t *testing.T) {
	assert.Empty(t, jobs.ErrorText(nil))
	assert.Equal(t, "ab�", jobs.ErrorText(errors.New("a\x00b\xff")))
	assert.Equal(t, "<nil>", jobs.ErrorText((*jobs.FullError)(nil)), "a pointer that is nil in an error that is not")
	long := jobs.ErrorText(errors.New("x" + strings.Repeat("ü", jobs.MaxErrorText)))
	assert.Equal(t, "x"+strings.Repeat("ü", jobs.MaxErrorText/2-1), long, "no half of a letter")
}

func TestHandlerCallHasABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := jobs.Handler(func(ctx context.Context, _ jobs.Delivery) jobs.Outcome {
			<-ctx.Done()
			return jobs.Retry(0, ctx.Err())
		})
		begin := time.Now()
		got := h.Call(t.Context(), jobs.Delivery{}, time.Minute)
		assert.ErrorIs(t, got.Err, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(begin))
	})
}

// small is an engine of which only Enqueue works: it has room for so many jobs.
type small struct {
	jobs.Engine
	mu    sync.Mutex
	room  int
	calls []int // how many jobs each call of Enqueue had
	err   error
}

func (s *small) Enqueue(_ context.Context, js ...jobs.Job) ([]jobs.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, len(js))
	if s.err != nil {
		return nil, s.err
	}
	if len(js) > s.room {
		return nil, &jobs.FullError{RetryAfter: time.Second}
	}
	s.room -= len(js)
	receipts := make([]jobs.Receipt, len(js))
	for i, j := range js {
		receipts[i] = jobs.Receipt{ID: j.ID, New: true}
	}
	return receipts, nil
}

func TestEnqueueWait(t *testing.T) {
	js := make([]jobs.Job, 10)
	t.Run("takes the room there is and waits for more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := &small{room: 3}
			time.AfterFunc(2500*time.Millisecond, func() {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.room = 100
			})
			begin := time.Now()
			receipts, err := jobs.EnqueueWait(t.Context(), e, js...)
			require.NoError(t, err)
			assert.Len(t, receipts, 10)
			assert.Equal(t, 3*time.Second, time.Since(begin))
			assert.Equal(t, []int{10, 5, 2, 4, 2, 1, 2, 1, 1, 1, 1, 2, 4}, e.calls)
		})
	})
	t.Run("hands over heavy jobs a few at a time", func(t *testing.T) {
		heavy := slices.Repeat([]jobs.Job{{Payload: make([]byte, jobs.MaxPayload)}}, 20)
		e := &small{room: 100}
		receipts, err := jobs.EnqueueWait(t.Context(), e, heavy...)
		require.NoError(t, err)
		assert.Len(t, receipts, 20)
		assert.Equal(t, []int{8, 8, 4}, e.calls)
	})
	t.Run("hands over light jobs many at a time", func(t *testing.T) {
		e := &small{room: 1000}
		_, err := jobs.EnqueueWait(t.Context(), e, make([]jobs.Job, 600)...)
		require.NoError(t, err)
		assert.Equal(t, []int{256, 256, 88}, e.calls)
	})
	t.Run("leaves it to the engine to refuse one that is too heavy", func(t *testing.T) {
		boom := errors.New("boom")
		e := &small{err: boom}
		_, err := jobs.EnqueueWait(t.Context(), e, jobs.Job{Payload: make([]byte, 9<<20)})
		assert.Equal(t, boom, err)
		assert.Equal(t, []int{1}, e.calls)
	})
	t.Run("ends with the context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			begin := time.Now()
			receipts, err := jobs.EnqueueWait(ctx, &small{room: 3}, js...)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Len(t, receipts, 3)
			assert.Equal(t, 1500*time.Millisecond, time.Since(begin))
		})
	})
	t.Run("hands on other errors", func(t *testing.T) {
		boom := errors.New("boom")
		_, err := jobs.EnqueueWait(t.Context(), &small{err: boom}, js...)
		assert.Equal(t, boom, err)
	})
}

func TestFullErrorNamesTheBoundsThereAre(t *testing.T) {
	err := &jobs.FullError{Queue: "q", Jobs: 7, Bound: 7, Bytes: 40, ByteBound: 100, RetryAfter: time.Second}
	assert.EqualError(t, err, "jobs: queue is full: q holds 7 of 7 jobs, 40 of 100 bytes; retry after 1s")
	err.Bound = -1
	assert.EqualError(t, err, "jobs: queue is full: q holds 7 jobs, 40 of 100 bytes; retry after 1s")
	err.Bound, err.ByteBound = 7, -1
	assert.EqualError(t, err, "jobs: queue is full: q holds 7 of 7 jobs, 40 bytes; retry after 1s")
}

func TestRunConfig(t *testing.T) {
	c := jobs.RunConfig{}.WithDefaults()
	assert.Equal(t, []string{jobs.DefaultQueue}, c.Queues)
	assert.Equal(t, []string{"a", "b"}, jobs.RunConfig{Queues: []string{"b", "a", "b"}}.WithDefaults().Queues)
	assert.Equal(t, 16, c.Workers)
	assert.Equal(t, 30*time.Second, c.Budget)
	assert.Equal(t, 30*time.Second, c.Drain)
	assert.Zero(t, c.Gate.Ready(t.Context(), "any"))
	assert.InDelta(t, time.Second, c.Backoff(1), float64(time.Second)/5)
	assert.NoError(t, c.Validate())
	assert.ErrorContains(t, jobs.RunConfig{Workers: -1, Budget: -1}.Validate(), "Budget")
	assert.ErrorContains(t, jobs.RunConfig{Queues: []string{"a", ""}}.Validate(), "Queues[1]")
}
