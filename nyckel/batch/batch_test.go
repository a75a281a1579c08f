package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/batch"
	"github.com/sparekey/sparekey/policy"
)

// serviceTime is how long a call of the tests takes.
const serviceTime = 100 * time.Millisecond

// invalid is the error of a service that was sent what it does not want.
func invalid(text string) error {
	return &policy.Error{Verdict: policy.Verdict{Class: policy.Invalid, Message: text}, Status: 400}
}

// A scripted is a service of array calls that writes down what it is sent. It
// doubles numbers; 13 is poison for the call it is in.
type scripted struct {
	mu    sync.Mutex
	calls [][]int       // guarded by mu
	at    []time.Time   // guarded by mu: when they began
	ended []error       // guarded by mu: why their context had ended, if so
	takes time.Duration // 0 is serviceTime
}

func (s *scripted) all(ctx context.Context, items []int) ([]batch.Result[int], error) {
	s.mu.Lock()
	s.calls, s.at = append(s.calls, slices.Clone(items)), append(s.at, time.Now())
	s.mu.Unlock()
	select {
	case <-time.After(max(serviceTime, s.takes)):
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, context.Cause(ctx))
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if slices.Contains(items, 13) {
		return nil, invalid("one of the items is 13")
	}
	var results []batch.Result[int]
	for _, item := range items {
		results = append(results, batch.Result[int]{Value: 2 * item})
	}
	return results, nil
}

func (s *scripted) service() batch.Service[int, int] {
	return batch.Service[int, int]{All: s.all, Key: func(i int) any { return i }}
}

// submitted is what came of a Submit, and how long that took.
type submitted struct {
	value int
	err   error
	after time.Duration
}

// submit submits all values at once, in order, and waits for the outcomes.
func submit(t *testing.T, b *batch.Batcher[int, int], values ...int) []submitted {
	t.Helper()
	got := make([]submitted, len(values))
	var wg sync.WaitGroup
	for i, value := range values {
		wg.Go(func() { got[i] = submitOne(t.Context(), b, value) })
		synctest.Wait() // in this order
	}
	wg.Wait()
	return got
}

func submitOne(ctx context.Context, b *batch.Batcher[int, int], value int) submitted {
	begin := time.Now()
	v, err := b.Submit(ctx, value)
	return submitted{v, err, time.Since(begin)}
}

func TestSubmitGathersUntilTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Delay: 20 * time.Millisecond})
		got := submit(t, b, 1, 2, 3)
		require.Equal(t, [][]int{{1, 2, 3}}, s.calls)
		for i, g := range got {
			require.Equal(t, submitted{2 * (i + 1), nil, 20*time.Millisecond + serviceTime}, g)
		}
		require.Equal(t, batch.Stats{Requests: 3, Answered: 3, Batches: 1, Items: 3, Calls: 1}, b.Stats())
	})
}

// A full batch that waits for its slot until all have left it takes nothing from the one
// that was opened after it.
func TestSubmitGathersBesideABatchThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Size: 2, Delay: time.Second, Concurrency: 1})
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		ask := func(ctx context.Context, values ...int) {
			for _, value := range values {
				wg.Go(func() { submitOne(ctx, b, value) })
				synctest.Wait() // in this order
			}
		}
		ask(t.Context(), 1, 2)
		ask(ctx, 3, 4)
		ask(t.Context(), 5)
		leave()
		synctest.Wait()
		ask(t.Context(), 6)
		wg.Wait()
		require.Equal(t, [][]int{{1, 2}, {5, 6}}, s.calls)
	})
}

// A batch that all leave in the moment in which it goes is none.
func TestSubmitCountsNoBatchThatIsLeft(t *testing.T) {
	const delay = 20 * time.Millisecond
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			b := batch.New(batch.Service[int, int]{Each: func(context.Context, int) (int, error) { return 1, nil }}, batch.Config{Delay: delay})
			ctx, cancel := context.WithTimeout(t.Context(), delay)
			defer cancel()
			submitOne(ctx, b, 1)
			synctest.Wait()
			stats := b.Stats()
			require.Equal(t, stats.Items, stats.Batches, "the one who left, or was answered")
		})
	}
}

func TestSubmitSendsAFullBatchAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Size: 2, Delay: time.Hour})
		got := submit(t, b, 1, 2)
		require.Equal(t, [][]int{{1, 2}}, s.calls)
		require.Equal(t, serviceTime, got[0].after)
		require.Equal(t, serviceTime, got[1].after)
	})
}

func TestSubmitGathersWhileItWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Delay: -1, Concurrency: 1})
		got := submit(t, b, 1, 2, 3)
		require.Equal(t, [][]int{{1}, {2, 3}}, s.calls)
		require.Equal(t, serviceTime, got[0].after)
		require.Equal(t, 2*serviceTime, got[2].after)
	})
}

// A batch that is full takes in no more, though it still waits for its slot.
func TestSubmitNeverExceedsTheSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Size: 2, Delay: time.Millisecond, Concurrency: 1})
		submit(t, b, 1, 2, 3, 4, 5, 6, 7)
		require.Equal(t, [][]int{{1, 2}, {3, 4}, {5, 6}, {7}}, s.calls)
	})
}

func TestSubmitNeverExceedsTheConcurrency(t *testing.T) {
	for _, kind := range []string{"array calls", "single calls"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var now, most int
				one := func(_ context.Context, item int) (int, error) {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					time.Sleep(serviceTime)
					mu.Lock()
					now--
					mu.Unlock()
					return item, nil
				}
				service := batch.Service[int, int]{Each: one}
				if kind == "array calls" {
					service = batch.Service[int, int]{All: func(ctx context.Context, items []int) ([]batch.Result[int], error) {
						_, _ = one(ctx, 0)
						return make([]batch.Result[int], len(items)), nil
					}}
				}
				b := batch.New(service, batch.Config{Size: 2, Concurrency: 3})
				submit(t, b, make([]int, 24)...)
				require.Equal(t, 3, most)
			})
		})
	}
}

func TestSubmitMergesEqualInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type answer struct{ text *string }
		calls := 0
		b := batch.New(batch.Service[string, answer]{
			Each: func(_ context.Context, item string) (answer, error) {
				calls++
				return answer{&item}, nil
			},
			Key: func(item string) any {
				if item == "unlike any" {
					return nil
				}
				return item
			},
			Copy: func(a answer) answer { own := *a.text; return answer{&own} },
		}, batch.Config{Concurrency: 1})
		var wg sync.WaitGroup
		var mu sync.Mutex
		distinct := map[*string]bool{}
		for range 5 {
			for _, text := range []string{"same", "unlike any"} {
				wg.Go(func() {
					a, err := b.Submit(t.Context(), text)
					if err != nil || *a.text != text {
						t.Errorf("Submit(%q) = %q, %v", text, *a.text, err)
					}
					mu.Lock()
					defer mu.Unlock()
					distinct[a.text] = true
				})
			}
		}
		wg.Wait()
		require.Equal(t, 1+5, calls)
		require.Len(t, distinct, 10, "each caller has its own copy")
		require.Equal(t, batch.Stats{Requests: 10, Answered: 10, Merged: 4, Batches: 1, Items: 6, Calls: 6}, b.Stats())
	})
}

func TestSubmitKeepsGroupsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		service := s.service()
		service.Group = func(_ context.Context, item int) any { return item % 2 }
		b := batch.New(service, batch.Config{})
		submit(t, b, 1, 2, 3, 4)
		require.ElementsMatch(t, [][]int{{1, 3}, {2, 4}}, s.calls)
	})
}

func TestAPoisonedItemFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Size: 8})
		got := submit(t, b, 1, 2, 3, 4, 5, 13, 7, 8)
		require.Equal(t, [][]int{{1, 2, 3, 4, 5, 13, 7, 8}, {1, 2, 3, 4}, {5, 13, 7, 8}, {5, 13}, {5}, {13}, {7, 8}}, s.calls)
		for i, g := range got {
			if i == 5 {
				require.EqualError(t, g.err, "sparekey: invalid: status 400: one of the items is 13")
				continue
			}
			require.NoError(t, g.err)
		}
		require.Equal(t, batch.Stats{Requests: 8, Answered: 7, Failed: 1, Batches: 1, Items: 8, Calls: 7}, b.Stats())
	})
}

func TestAnErrorThatIsNoItemsFaultIsForAll(t *testing.T) {
	overloaded := &policy.Error{Verdict: policy.Verdict{Class: policy.Overloaded}}
	tests := []struct {
		name string
		call func() ([]batch.Result[int], error)
		want string
	}{
		{"overloaded", func() ([]batch.Result[int], error) { return nil, overloaded }, "sparekey: overloaded"},
		{
			"one result too few", func() ([]batch.Result[int], error) { return make([]batch.Result[int], 2), nil },
			"batch: the call gave 2 results for 3 items",
		},
		{"a panic", func() ([]batch.Result[int], error) { panic("oh no") }, "batch: the call panicked: oh no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				b := batch.New(batch.Service[int, int]{All: func(context.Context, []int) ([]batch.Result[int], error) {
					calls++
					return tt.call()
				}}, batch.Config{})
				for _, g := range submit(t, b, 1, 2, 3) {
					require.ErrorContains(t, g.err, tt.want)
				}
				require.Equal(t, 1, calls)
				require.NoError(t, b.Close(t.Context()))
			})
		})
	}
}

// A call that ends its goroutine, as a fake that fails a test may, leaves nobody
// waiting: neither those whose call it was nor those who were next.
func TestACallThatEndsItsGoroutine(t *testing.T) {
	services := map[string]batch.Service[int, int]{
		"each": {Each: func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }},
		"all": {All: func(_ context.Context, items []int) ([]batch.Result[int], error) {
			if len(items) > 1 {
				return nil, &policy.Error{Verdict: policy.Verdict{Class: policy.Invalid}}
			}
			runtime.Goexit()
			return nil, nil
		}},
	}
	for name, service := range services {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := batch.New(service, batch.Config{Concurrency: 1})
				for _, g := range submit(t, b, 1, 2, 3) {
					require.EqualError(t, g.err, "batch: the call ended its goroutine")
				}
				require.NoError(t, b.Close(t.Context()))
				require.Equal(t, 3, b.Stats().Failed)
			})
		})
	}
}

// A panic of Copy or Suspect is the outcome of those who still wait, as that of a call is.
func TestAPanicAfterTheCall(t *testing.T) {
	tests := map[string]struct {
		service  batch.Service[int, int]
		answered int
	}{
		"copy": {batch.Service[int, int]{
			Each: func(_ context.Context, i int) (int, error) { return 2 * i, nil },
			Key:  func(i int) any { return i },
			Copy: func() func(int) int {
				copies := 0
				return func(i int) int {
					if copies++; copies == 2 {
						panic("oh no")
					}
					return i
				}
			}(),
		}, 1},
		"suspect": {batch.Service[int, int]{
			All:     func(context.Context, []int) ([]batch.Result[int], error) { return nil, invalid("bad") },
			Suspect: func(error) bool { panic("oh no") },
		}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := batch.New(tt.service, batch.Config{})
				answered := 0
				for _, g := range submit(t, b, 1, 1, 1, 1) {
					if g.err == nil {
						require.Equal(t, 2, g.value)
						answered++
						continue
					}
					require.ErrorContains(t, g.err, "batch: the call panicked: oh no")
				}
				require.Equal(t, tt.answered, answered)
				require.NoError(t, b.Close(t.Context()))
				require.Equal(t, 4-tt.answered, b.Stats().Failed)
				require.Equal(t, tt.answered, b.Stats().Answered)
			})
		})
	}
}

// A call of one part of a batch that panics is not the outcome of the other part.
func TestAPanicOfOnePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batch.New(batch.Service[int, int]{All: func(_ context.Context, items []int) ([]batch.Result[int], error) {
			switch {
			case len(items) == 4:
				return nil, invalid("bad")
			case items[0] == 1:
				panic("oh no")
			}
			return []batch.Result[int]{{Value: 6}, {Value: 8}}, nil
		}}, batch.Config{})
		got := submit(t, b, 1, 2, 3, 4)
		require.ErrorContains(t, got[0].err, "batch: the call panicked: oh no")
		require.ErrorContains(t, got[1].err, "batch: the call panicked: oh no")
		require.Equal(t, []int{6, 8}, []int{got[2].value, got[3].value})
		require.NoError(t, errors.Join(got[2].err, got[3].err))
	})
}

// Suspect is not asked about a call that went well.
func TestSuspectIsAskedAboutErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		service := s.service()
		service.Suspect = func(error) bool { return true }
		submit(t, batch.New(service, batch.Config{}), 1, 2)
		require.Equal(t, [][]int{{1, 2}}, s.calls)
	})
}

func TestACallerLeavesAtOnceAndTheCallGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted{takes: time.Second}
		b := batch.New(s.service(), batch.Config{Delay: -1})
		enough := errors.New("seen enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Millisecond, func() { cancel(enough) })

		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { require.Equal(t, submitted{0, enough, 10 * time.Millisecond}, submitOne(ctx, b, 1)) })
		b2 := batch.New(s.service(), batch.Config{Delay: time.Millisecond})
		wg.Go(func() { require.Equal(t, submitted{0, enough, 10 * time.Millisecond}, submitOne(ctx, b2, 2)) })
		wg.Go(func() {
			require.Equal(t, submitted{4, nil, time.Second + time.Millisecond}, submitOne(t.Context(), b2, 2))
		})
		wg.Wait()
		require.Len(t, s.ended, 2)
		require.EqualError(t, s.ended[0], "batch: nobody waits for the answer any more")
		require.NoError(t, s.ended[1])
		require.Equal(t, batch.Stats{Requests: 2, Left: 1, Answered: 1, Merged: 1, Batches: 1, Items: 1, Calls: 1}, b2.Stats())
	})
}

// Whoever leaves just when the outcome comes has the one or the other, and counts once.
func TestWhoLeavesAsTheOutcomeComes(t *testing.T) {
	for range 500 {
		ctx, cancel := context.WithCancel(t.Context())
		b := batch.New(batch.Service[int, int]{Each: func(context.Context, int) (int, error) {
			cancel()
			return 4, nil
		}}, batch.Config{Delay: -1})
		v, err := b.Submit(ctx, 2)
		if err == nil {
			require.Equal(t, 4, v)
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
		require.NoError(t, b.Close(t.Context()))
		stats := b.Stats()
		require.Equal(t, 1, stats.Left+stats.Answered)
		require.Equal(t, err == nil, stats.Answered == 1)
	}
}

func TestWhoLeavesBeforeTheCallIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Delay: 20 * time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			require.Equal(t, submitted{0, context.DeadlineExceeded, 10 * time.Millisecond}, submitOne(ctx, b, 13))
		})
		wg.Go(func() { require.NoError(t, submitOne(t.Context(), b, 1).err) })
		wg.Wait()
		require.Equal(t, [][]int{{1}}, s.calls)

		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.Error(t, submitOne(gone, b, 2).err)
		require.ErrorIs(t, submitOne(gone, b, 2).err, context.DeadlineExceeded)
		time.Sleep(time.Second)
		require.Len(t, s.calls, 1, "nobody is left to call for")
		require.Equal(t, batch.Stats{Requests: 4, Refused: 1, Left: 2, Answered: 1, Batches: 1, Items: 1, Calls: 1}, b.Stats())
	})
}

// Who asks for what somebody else has just given up is answered.
func TestWhatWasLeftCanBeAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Delay: 20 * time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { require.NoError(t, submitOne(t.Context(), b, 1).err) })
		require.ErrorIs(t, submitOne(ctx, b, 2).err, context.DeadlineExceeded)
		patient, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.Equal(t, submitted{4, nil, 10*time.Millisecond + serviceTime}, submitOne(patient, b, 2))
	})
}

// Of a call that is split, the parts are without those who left meanwhile.
func TestWhoLeavesBetweenTwoCallsIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), serviceTime)
		defer cancel()
		var wg sync.WaitGroup
		for _, value := range []int{13, 2, 3, 4} {
			wg.Go(func() {
				if value == 3 {
					submitOne(ctx, b, value)
				} else {
					submitOne(t.Context(), b, value)
				}
			})
			synctest.Wait() // in this order
		}
		wg.Wait()
		require.Equal(t, [][]int{{13, 2, 3, 4}, {13, 2}, {13}, {2}, {4}}, s.calls)
	})
}

// Who is late when a call fails may still leave, whatever became of those before him.
func TestWhoIsLateLeavesAfterTheOthers(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			bad := errors.New("bad")
			b := batch.New(batch.Service[int, int]{
				Each: func(context.Context, int) (int, error) { time.Sleep(serviceTime); return 0, bad },
				Key:  func(i int) any { return i },
			}, batch.Config{Delay: time.Millisecond})
			ctx, cancel := context.WithTimeout(t.Context(), serviceTime+time.Millisecond) // when the call fails
			defer cancel()
			var wg sync.WaitGroup
			wg.Go(func() { require.ErrorIs(t, submitOne(t.Context(), b, 1).err, bad) })
			synctest.Wait()
			wg.Go(func() { require.ErrorIs(t, submitOne(ctx, b, 1).err, context.DeadlineExceeded) })
			wg.Wait()
		})
	}
}

func TestWhoLeavesWhileTheBatchWaitsForASlotIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Delay: -1, Concurrency: 1})
		ctx, cancel := context.WithTimeout(t.Context(), serviceTime/2)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { require.NoError(t, submitOne(t.Context(), b, 1).err) })
		synctest.Wait()
		wg.Go(func() { require.ErrorIs(t, submitOne(ctx, b, 2).err, context.DeadlineExceeded) })
		wg.Wait()
		require.NoError(t, b.Close(t.Context()))
		require.Equal(t, [][]int{{1}}, s.calls)
	})
}

func TestTheCallHasTheLatestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type deadline struct {
			in time.Duration
			ok bool
		}
		var got []deadline
		b := batch.New(batch.Service[int, int]{All: func(ctx context.Context, items []int) ([]batch.Result[int], error) {
			at, ok := ctx.Deadline()
			got = append(got, deadline{time.Until(at), ok})
			return make([]batch.Result[int], len(items)), nil
		}}, batch.Config{Delay: time.Second})
		within := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		var wg sync.WaitGroup
		for _, d := range []time.Duration{3 * time.Second, 5 * time.Second, 4 * time.Second} {
			wg.Go(func() { _, _ = b.Submit(within(d), 1) })
		}
		wg.Wait()
		wg.Go(func() { _, _ = b.Submit(within(time.Minute), 1) })
		wg.Go(func() { _, _ = b.Submit(t.Context(), 2) })
		wg.Wait()
		require.Equal(t, deadline{4 * time.Second, true}, got[0])
		require.False(t, got[1].ok, "one of them has all the time")
	})
}

type nameKey struct{}

func TestASingleCallHasTheFirstCallersValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batch.New(batch.Service[int, any]{
			Each: func(ctx context.Context, _ int) (any, error) { return ctx.Value(nameKey{}), nil },
			Key:  func(i int) any { return i },
		}, batch.Config{})
		var wg sync.WaitGroup
		for _, name := range []string{"Ann", "Ben"} {
			wg.Go(func() {
				got, err := b.Submit(context.WithValue(t.Context(), nameKey{}, name), 1)
				if err != nil || got != "Ann" {
					t.Errorf("%s: %v, %v", name, got, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
	})
}

func TestSubmitRefusesWhenTheQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{MaxQueue: 2, Concurrency: 1, Delay: time.Millisecond})
		got := submit(t, b, 1, 2, 3)
		require.NoError(t, got[1].err)
		require.ErrorIs(t, got[2].err, batch.ErrFull)
		require.Zero(t, got[2].after)
		refusal, ok := errors.AsType[*policy.Refusal](got[2].err)
		require.True(t, ok)
		require.Equal(t, "queue_full", refusal.Reason)
		require.NoError(t, submit(t, b, 3)[0].err, "there is room again")
		require.Equal(t, 1, b.Stats().Refused)
	})
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s scripted
		b := batch.New(s.service(), batch.Config{Delay: time.Hour})
		var wg sync.WaitGroup
		wg.Go(func() { require.Equal(t, submitted{2, nil, serviceTime}, submitOne(t.Context(), b, 1)) })
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, b.Close(t.Context()))
		require.Equal(t, serviceTime, time.Since(begin))
		wg.Wait()
		require.Equal(t, submitted{0, batch.ErrClosed, 0}, submitOne(t.Context(), b, 1))
		require.Equal(t, 1, b.Stats().Refused)
		require.NoError(t, b.Close(t.Context()), "a second time")
	})
}

func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted{takes: time.Hour}
		b := batch.New(s.service(), batch.Config{Delay: time.Minute, Concurrency: 1, Size: 1})
		var wg sync.WaitGroup
		for i := range 3 { // one under way, two that wait
			wg.Go(func() { require.Equal(t, submitted{0, batch.ErrClosed, time.Second}, submitOne(t.Context(), b, i)) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, b.Close(ctx), context.DeadlineExceeded)
		wg.Wait()
		require.NoError(t, b.Close(t.Context()), "the call was broken off")
		require.Len(t, s.calls, 1)
		require.Equal(t, batch.Stats{Requests: 3, Left: 3, Batches: 1, Items: 1, Calls: 1}, b.Stats())
	})
}

// Who leaves while the call fails hears why it left, not what became of the call.
func TestWhoLeavesHearsWhy(t *testing.T) {
	mine := errors.New("enough")
	for range 20 { // both are there to be heard
		ctx, cancel := context.WithCancelCause(t.Context())
		b := batch.New(batch.Service[int, int]{
			Each: func(context.Context, int) (int, error) { cancel(mine); return 0, invalid("the item") },
		}, batch.Config{Delay: -1})
		_, err := b.Submit(ctx, 1)
		require.Same(t, mine, err)
		require.Equal(t, batch.Stats{Requests: 1, Left: 1, Batches: 1, Items: 1, Calls: 1}, b.Stats())
	}
}

// Close says nil when all is answered, however late it is asked to.
func TestCloseWhenAllIsAnswered(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // it could look at its context first
		var s scripted
		require.NoError(t, batch.New(s.service(), batch.Config{}).Close(ended))
	}
}

// A batch that is about to be split when Close gives up is not asked about any more, and
// its callers hear why.
func TestCloseGivesUpBetweenTwoCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var b *batch.Batcher[int, int]
		b = batch.New(batch.Service[int, int]{
			All:     func(context.Context, []int) ([]batch.Result[int], error) { return nil, invalid("one is wrong") },
			Suspect: func(error) bool { return b.Close(ended) != nil },
		}, batch.Config{})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				_, err := b.Submit(t.Context(), i)
				assert.ErrorIs(t, err, batch.ErrClosed)
			})
		}
		wg.Wait()
		require.Equal(t, 1, b.Stats().Calls)
	})
}

func TestNewPanicsOnNonsense(t *testing.T) {
	var s scripted
	each := func(context.Context, int) (int, error) { return 0, nil }
	tests := []struct {
		service batch.Service[int, int]
		cfg     batch.Config
		want    string
	}{
		{batch.Service[int, int]{}, batch.Config{}, "batch: a Service needs either All or Each"},
		{batch.Service[int, int]{All: s.all, Each: each}, batch.Config{}, "batch: a Service needs either All or Each"},
		{s.service(), batch.Config{Size: -1}, "batch: Config.Size is -1, want at least 0"},
		{s.service(), batch.Config{Concurrency: -1}, "batch: Config.Concurrency is -1, want at least 0"},
		{s.service(), batch.Config{MaxQueue: -1}, "batch: Config.MaxQueue is -1, want at least 0"},
	}
	for _, tt := range tests {
		require.PanicsWithValue(t, tt.want, func() { batch.New(tt.service, tt.cfg) }, fmt.Sprintf("%+v", tt.cfg))
	}
}
