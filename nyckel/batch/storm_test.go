package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/batch"
)

// A question of the storm. Its number says what becomes of it.
type question struct{ number int }

func (q question) poisoned() bool { return q.number%97 == 0 } // fails the whole call
func (q question) failing() bool  { return q.number%31 == 5 } // fails by itself

type storm struct {
	mu    sync.Mutex
	calls int // guarded by mu
	most  int // guarded by mu: calls at once
	now   int // guarded by mu
}

func (s *storm) begin(q question) (takes time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.now++
	s.most = max(s.most, s.now)
	return time.Duration(10+q.number%40) * time.Millisecond
}

func (s *storm) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
}

func (s *storm) wait(ctx context.Context, q question) error {
	takes := s.begin(q)
	defer s.end()
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *storm) answer(q question) (*int, error) {
	if q.failing() {
		return nil, fmt.Errorf("question %d fails", q.number)
	}
	answer := 3 * q.number
	return &answer, nil
}

func (s *storm) all(ctx context.Context, items []question) ([]batch.Result[*int], error) {
	if err := s.wait(ctx, items[0]); err != nil {
		return nil, err
	}
	var results []batch.Result[*int]
	for _, q := range items {
		if q.poisoned() {
			return nil, invalid(fmt.Sprintf("question %d is poison", q.number))
		}
		answer, err := s.answer(q)
		results = append(results, batch.Result[*int]{Value: answer, Err: err})
	}
	return results, nil
}

func (s *storm) each(ctx context.Context, q question) (*int, error) {
	if err := s.wait(ctx, q); err != nil {
		return nil, err
	}
	if q.poisoned() {
		return nil, invalid(fmt.Sprintf("question %d is poison", q.number))
	}
	return s.answer(q)
}

// A caller of the storm: when it comes, what it asks, and how long it waits.
type caller struct {
	question
	comes, patience time.Duration
	cancels         bool // rather than having a deadline; 0 patience is for ever
}

func randomCaller(random *rand.Rand) caller {
	c := caller{question: question{random.IntN(4000)}, comes: time.Duration(random.IntN(500)) * time.Millisecond}
	if random.IntN(3) == 0 {
		c.patience = time.Duration(1+random.IntN(200_000)) * time.Microsecond
		c.cancels = random.IntN(2) == 0
	}
	return c
}

// ask submits the caller's question and says what came of it: "answered",
// "failed" or "left". Anything but its own outcome is an error.
func (c caller) ask(b *batch.Batcher[question, *int], parent context.Context) (string, error) {
	time.Sleep(c.comes)
	mine := errors.New("given up by this very caller")
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	switch {
	case c.patience > 0 && c.cancels:
		timer := time.AfterFunc(c.patience, func() { cancel(mine) })
		defer timer.Stop()
	case c.patience > 0:
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, c.patience, mine)
		defer stop()
	}
	begin := time.Now()
	answer, err := b.Submit(ctx, c.question)
	took := time.Since(begin)
	if c.patience > 0 && took > c.patience {
		return "", fmt.Errorf("came back after %v, later than %v", took, c.patience)
	}
	switch {
	case err == nil && !c.poisoned() && !c.failing():
		if *answer != 3*c.number {
			return "", fmt.Errorf("got %d: changed by another, or another's", *answer)
		}
		*answer = -1 // it is this caller's own
		return "answered", nil
	case err != nil && c.poisoned() && err.Error() == invalid(fmt.Sprintf("question %d is poison", c.number)).Error():
		return "failed", nil
	case err != nil && c.failing() && err.Error() == fmt.Sprintf("question %d fails", c.number):
		return "failed", nil
	case c.patience > 0 && took == c.patience && (err == mine || !c.cancels && errors.Is(err, context.DeadlineExceeded)): //nolint:errorlint // itself, not one that is like it
		return "left", nil
	}
	return "", fmt.Errorf("%+v got %v, %w after %v", c, answer, err, took)
}

func TestEachOfTenThousandGetsItsOwnOutcome(t *testing.T) {
	const callers = 10_000
	for _, kind := range []string{"array calls", "single calls"} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s, seed %d", kind, seed), func(t *testing.T) {
				reader := collect(t)
				synctest.Test(t, func(t *testing.T) {
					var s storm
					service := batch.Service[question, *int]{
						All:   s.all,
						Group: func(_ context.Context, q question) any { return q.number % 3 },
						Key:   func(q question) any { return q },
						Copy:  func(answer *int) *int { own := *answer; return &own },
					}
					cfg := batch.Config{Concurrency: 200, Name: "storm"}
					if kind == "single calls" {
						service.All, service.Each = nil, s.each
					}
					b := batch.New(service, cfg)
					random := rand.New(rand.NewPCG(seed, 0))
					outcomes := map[string]int{}
					var mu sync.Mutex
					var wg sync.WaitGroup
					for range callers {
						c := randomCaller(random)
						wg.Go(func() {
							outcome, err := c.ask(b, t.Context())
							if err != nil {
								t.Error(err)
							}
							mu.Lock()
							defer mu.Unlock()
							outcomes[outcome]++
						})
					}
					wg.Wait()
					require.NoError(t, b.Close(t.Context()))

					stats := b.Stats()
					require.Equal(t, callers, stats.Requests)
					require.Equal(t, outcomes["answered"], stats.Answered)
					require.Equal(t, outcomes["failed"], stats.Failed)
					require.Equal(t, outcomes["left"], stats.Left)
					require.Equal(t, s.calls, stats.Calls)
					require.Zero(t, stats.Waiting)
					require.Zero(t, s.now)
					require.LessOrEqual(t, s.most, cfg.Concurrency)
					for _, outcome := range []string{"answered", "failed", "left"} {
						require.Greater(t, outcomes[outcome], 100, outcome)
					}
					require.Greater(t, stats.Merged, 50)
					require.Equal(t, outcomes, reader.requests(t, "storm"))
					calls, batches, items, sent := reader.total(t)
					require.Equal(t, []int{stats.Calls, stats.Batches, stats.Items}, []int{calls, batches, items})
					require.LessOrEqual(t, sent, callers)
					require.GreaterOrEqual(t, sent, stats.Answered+stats.Failed)
				})
			})
		}
	}
}
