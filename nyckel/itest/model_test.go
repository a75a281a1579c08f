package itest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
)

// A model is a queue as it should be, kept in memory. Its clock ticks with what
// happens.
type model struct {
	bound int
	clock int
	jobs  map[string]*modelJob
	done  map[string]bool // recorded
}

type modelJob struct {
	jobs.Job
	seq     int
	due     int // by the clock; negative is long ago
	later   bool
	attempt int
	dead    bool
	died    int
}

func (m *model) tick() int { m.clock++; return m.clock }

func (m *model) count(queue string) (living int) {
	for _, j := range m.jobs {
		if j.Queue == queue && !j.dead {
			living++
		}
	}
	return living
}

func (m *model) state(id string) jobs.State {
	switch j := m.jobs[id]; {
	case j != nil && j.dead:
		return jobs.Dead
	case j != nil:
		return jobs.Waiting
	case m.done[id]:
		return jobs.Recorded
	}
	return jobs.Unknown
}

// enqueue returns the receipts, or false if a queue is full.
func (m *model) enqueue(js []jobs.Job, past int) ([]jobs.Receipt, bool) {
	due := m.tick()
	var receipts []jobs.Receipt
	var added []string
	for _, j := range js {
		state := m.state(j.ID)
		receipts = append(receipts, jobs.Receipt{ID: j.ID, New: state == jobs.Unknown, State: max(state, jobs.Waiting)})
		if state != jobs.Unknown {
			continue
		}
		kept := &modelJob{Job: j, seq: m.tick(), due: due, later: j.RunAt.After(time.Now())}
		if !j.RunAt.IsZero() && !kept.later {
			kept.due = -past
		}
		m.jobs[j.ID] = kept
		added = append(added, j.ID)
	}
	for _, id := range added {
		if m.count(m.jobs[id].Queue) > m.bound {
			for _, id := range added {
				delete(m.jobs, id)
			}
			return nil, false
		}
	}
	return receipts, true
}

// next returns the job of the queues that is due first, nil if there is none.
func (m *model) next(queues []string) *modelJob {
	var due []*modelJob
	for _, j := range m.jobs {
		if !j.dead && !j.later && slices.Contains(queues, j.Queue) {
			due = append(due, j)
		}
	}
	if len(due) == 0 {
		return nil
	}
	return slices.MinFunc(due, func(a, b *modelJob) int {
		return cmp.Or(b.Priority-a.Priority, a.due-b.due, a.seq-b.seq)
	})
}

// work does all that is due and returns the calls, in their order.
func (m *model) work(queues []string, endings func(string, int) jobs.Outcome) (calls []string) {
	for j := m.next(queues); j != nil; j = m.next(queues) {
		j.attempt++
		calls = append(calls, fmt.Sprint(j.ID, "#", j.attempt))
		switch o := endings(j.ID, j.attempt); {
		case o.Ending == jobs.Finished:
			delete(m.jobs, j.ID)
			m.done[j.ID] = true
		case o.Ending == jobs.DeadLettered, o.Ending == jobs.Retried && j.attempt == j.MaxAttempts:
			j.dead, j.died = true, m.tick()
		case o.Ending == jobs.Snoozed:
			j.later = true
			j.attempt--
		default:
			j.due, j.later = m.tick(), o.After > 0
		}
	}
	return calls
}

// dead returns the dead jobs of a queue, in the order in which they died.
func (m *model) dead(queue string) (ids []string) {
	var dead []*modelJob
	for _, j := range m.jobs {
		if j.dead && (queue == "" || j.Queue == queue) {
			dead = append(dead, j)
		}
	}
	slices.SortFunc(dead, func(a, b *modelJob) int { return a.died - b.died })
	for _, j := range dead {
		ids = append(ids, j.ID)
	}
	return ids
}

// TestSQLiteModel does at random what can be done with a queue, and compares it
// with a model after each step.
func TestSQLiteModel(t *testing.T) {
	seeds, steps := uint64(4), 120
	if *long {
		seeds, steps = 40, 500
	}
	for s := range seeds {
		t.Run(fmt.Sprint("seed ", *seed+s), func(t *testing.T) {
			t.Parallel()
			newModelTest(t, *seed+s).run(steps)
		})
	}
}

type modelTest struct {
	*testing.T
	random *rand.Rand
	path   string
	engine *sqlitejobs.Engine
	model  *model
	seed   uint64
}

func newModelTest(t *testing.T, seed uint64) *modelTest {
	m := &modelTest{T: t, random: rand.New(rand.NewPCG(seed, 1)), seed: seed, path: filepath.Join(t.TempDir(), "jobs.db")}
	m.model = &model{bound: 12, jobs: map[string]*modelJob{}, done: map[string]bool{}}
	m.restart()
	return m
}

func (m *modelTest) restart() {
	if m.engine != nil {
		require.NoError(m, m.engine.Close())
	}
	m.engine, _ = openSQLite(m, m.path, sqlitejobs.Options{Bound: m.model.bound, Poll: time.Millisecond})
}

func (m *modelTest) run(steps int) {
	for range steps {
		switch m.random.IntN(10) {
		case 0, 1, 2, 3, 4:
			m.enqueue()
		case 5, 6:
			m.work()
		case 7:
			m.requeue()
		case 8:
			m.discard()
		case 9:
			if m.random.IntN(4) == 0 {
				m.restart()
			}
		}
		m.compare()
	}
	checkIntegrity(m, m.path)
}

const modelIDs = 60

func (m *modelTest) id() string { return fmt.Sprint("job-", m.random.IntN(modelIDs)) }

func (m *modelTest) enqueue() {
	js := make([]jobs.Job, 1+m.random.IntN(5))
	past := 1 + m.random.IntN(1000)
	for i := range js {
		js[i] = jobs.Job{
			ID:          m.id(),
			Queue:       []string{"a", "b"}[m.random.IntN(2)],
			Priority:    m.random.IntN(4) - 1,
			MaxAttempts: 1 + m.random.IntN(3),
			Payload:     make([]byte, m.random.IntN(10)),
		}
		switch m.random.IntN(4) {
		case 0:
			js[i].RunAt = time.Now().Add(time.Hour)
		case 1:
			js[i].RunAt = time.Unix(1_000_000-int64(past), 0)
		}
	}
	want, ok := m.model.enqueue(js, past)
	got, err := m.engine.Enqueue(context.Background(), js...)
	if !ok {
		require.ErrorIs(m, err, jobs.ErrFull)
		return
	}
	require.NoError(m, err)
	require.Equal(m, want, got)
}

// ending is how an attempt ends: the same each time.
func (m *modelTest) ending(id string, attempt int) jobs.Outcome {
	random := rand.New(rand.NewPCG(m.seed, uint64(attempt)+10*uint64(len(id))+100*uint64(id[len(id)-1])))
	switch random.IntN(6) {
	case 0:
		return jobs.DeadLetter(errors.New("wrong"))
	case 1:
		return jobs.Retry(0, errors.New("again"))
	case 2:
		return jobs.Retry(time.Hour, errors.New("later"))
	case 3:
		return jobs.Snooze(time.Hour, nil)
	}
	return jobs.Done(jobstest.Answer("yes"))
}

func (m *modelTest) work() {
	queues := [][]string{{"a"}, {"b"}, {"a", "b"}}[m.random.IntN(3)]
	want := m.model.work(queues, m.ending)
	var mu sync.Mutex
	var got []string
	var settled atomic.Int64
	stop := work(m.T, m.engine, jobs.RunConfig{
		Queues:    queues,
		Workers:   1,
		Backoff:   func(int) time.Duration { return 0 },
		OnSettled: func(jobs.Settled) { settled.Add(1) },
	}, func(_ context.Context, d jobs.Delivery) jobs.Outcome {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprint(d.ID, "#", d.Attempt))
		return m.ending(d.ID, d.Attempt)
	})
	require.Eventually(m, func() bool { return settled.Load() >= int64(len(want)) }, 30*time.Second, time.Millisecond)
	time.Sleep(5 * time.Millisecond) // for calls that should not be
	stop()
	require.Equal(m, want, got)
}

func (m *modelTest) requeue() {
	ids := []string{m.id(), m.id()}
	want := 0
	for _, id := range slices.Compact(slices.Clone(ids)) {
		if j := m.model.jobs[id]; j != nil && j.dead {
			j.dead, j.later, j.attempt, j.due = false, false, 0, m.model.tick()
			want++
		}
	}
	got, err := m.engine.Requeue(context.Background(), ids...)
	require.NoError(m, err)
	require.Equal(m, want, got)
}

func (m *modelTest) discard() {
	id := m.id()
	want := 0
	if j := m.model.jobs[id]; j != nil && j.dead {
		delete(m.model.jobs, id)
		want++
	}
	got, err := m.engine.Discard(context.Background(), id)
	require.NoError(m, err)
	require.Equal(m, want, got)
}

// compare checks that the queue is as the model has it.
func (m *modelTest) compare() {
	for i := range modelIDs {
		id := fmt.Sprint("job-", i)
		state, d, err := m.engine.Find(context.Background(), id)
		require.NoError(m, err)
		require.Equal(m, m.model.state(id), state, id)
		if d != nil {
			require.Equal(m, m.model.jobs[id].attempt, d.Attempt, id)
		}
	}
	all, err := m.engine.Stats(context.Background())
	require.NoError(m, err)
	for _, s := range all {
		var want jobs.Stats
		for _, j := range m.model.jobs {
			switch {
			case j.Queue != s.Queue:
				continue
			case j.dead:
				want.Dead++
				continue
			case j.later:
				want.Scheduled++
			default:
				want.Ready++
			}
			want.Bytes += int64(len(j.Payload))
		}
		require.Equal(m, want, jobs.Stats{Ready: s.Ready, Scheduled: s.Scheduled, Running: s.Running, Dead: s.Dead, Bytes: s.Bytes})
	}
	for _, queue := range []string{"", "a", "b"} {
		var got []string
		for dead, err := range m.engine.DeadLetters(context.Background(), queue) {
			require.NoError(m, err)
			got = append(got, dead.ID)
		}
		assert.Equal(m, m.model.dead(queue), got)
	}
}
