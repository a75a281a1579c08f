package jobs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/transport/plan"
)

const queues = `version: 1
queue: {workers: 4, drain: 5s, max_attempts: 5, priority: -1, backoff: {base: 3s}}
functions:
  tickets: {total: 10s, queue: {priority: 2, budget: 20s, backoff: {base: 1m, max: 2m}}}
  images: {total: 50s}
`

func planOf(t *testing.T, text string) *plan.Plan {
	t.Helper()
	p, err := plan.Parse("f.yaml", []byte(text), nil)
	require.NoError(t, err)
	return p
}

// What a file may leave out is the same as in Go, and so are the names.
func TestSettingsDefaults(t *testing.T) {
	q, c, j := plan.Queue{}.WithDefaults(), jobs.RunConfig{}.WithDefaults(), jobs.Job{}.WithDefaults(time.Now())
	assert.Equal(t, []any{c.Workers, c.Drain, c.Budget, j.MaxAttempts, j.Priority}, []any{q.Workers, q.Drain, q.Budget, q.MaxAttempts, q.Priority})
	assert.Equal(t, []any{jobs.DefaultBound, int64(jobs.DefaultByteBound)}, []any{q.Bound, q.ByteBound})
	for _, priority := range []int{jobs.MinPriority, jobs.MaxPriority} {
		assert.NoError(t, plan.Work{Priority: priority}.Validate())
	}
	assert.NoError(t, plan.Queue{ByteBound: jobs.MaxPayload}.Validate())
	assert.Error(t, plan.Queue{ByteBound: jobs.MaxPayload - 1}.Validate())

	inGo := map[string]reflect.Type{}
	for _, of := range []reflect.Type{reflect.TypeFor[jobs.RunConfig](), reflect.TypeFor[jobs.Job](), reflect.TypeFor[jobs.Stats]()} {
		for _, field := range reflect.VisibleFields(of) {
			inGo[field.Name] = field.Type
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[plan.Queue]()) {
		switch field.Name {
		case "Work", "Lease", "Poll": // the last two are of the engine on SQLite, whose tests ask
		case "Backoff":
			assert.Contains(t, inGo, field.Name)
		default:
			assert.Equal(t, field.Type, inGo[field.Name], field.Name)
		}
	}
}

func TestSettingsJob(t *testing.T) {
	s := jobs.FromPlan(planOf(t, queues))
	for _, tt := range []struct {
		name string
		job  jobs.Job
		want jobs.Job
	}{
		{"of a function", jobs.Job{Queue: "tickets"}, jobs.Job{Queue: "tickets", MaxAttempts: 5, Priority: 2}},
		{"of one that says nothing", jobs.Job{Queue: "images"}, jobs.Job{Queue: "images", MaxAttempts: 5, Priority: -1}},
		{"of no function", jobs.Job{}, jobs.Job{MaxAttempts: 5, Priority: -1}},
		{"with its own", jobs.Job{Queue: "tickets", MaxAttempts: 1, Priority: 1}, jobs.Job{Queue: "tickets", MaxAttempts: 1, Priority: 1}},
	} {
		assert.Equal(t, tt.want, s.Job(tt.job), tt.name)
	}
}

// A bench is an engine that has one delivery done, and tells what it was told.
type bench struct {
	scripted
	delivery jobs.Delivery
	outcome  jobs.Outcome
	config   jobs.RunConfig
	err      error
}

func (b *bench) Run(ctx context.Context, c jobs.RunConfig, h jobs.Handler) error {
	b.config = c
	b.outcome = h.Call(ctx, b.delivery, c.WithDefaults().Budget).Decide(b.delivery, c.WithDefaults())
	return b.err
}

// Each queue has its own budget and waits; what the program says goes before.
func TestSettingsRun(t *testing.T) {
	failing := func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.Retry(0, errors.New("boom")) }
	panicking := func(context.Context, jobs.Delivery) jobs.Outcome { panic("boom") }
	waiting := func(ctx context.Context, _ jobs.Delivery) jobs.Outcome {
		<-ctx.Done()
		return jobs.Retry(7*time.Second, ctx.Err())
	}
	for _, tt := range []struct {
		name       string
		queue      string
		attempt    int
		config     jobs.RunConfig
		handler    jobs.Handler
		wantTook   time.Duration
		wantEnding jobs.Ending
		wantAfter  time.Duration // give or take a fifth
	}{
		{"its backoff", "tickets", 1, jobs.RunConfig{}, failing, 0, jobs.Retried, time.Minute},
		{"its longest wait", "tickets", 4, jobs.RunConfig{}, failing, 0, jobs.Retried, 2 * time.Minute},
		{"the queue's backoff", "images", 2, jobs.RunConfig{}, failing, 0, jobs.Retried, 6 * time.Second},
		{"a panic", "tickets", 1, jobs.RunConfig{}, panicking, 0, jobs.Retried, time.Minute},
		{"another backoff", "tickets", 1, jobs.RunConfig{Backoff: func(int) time.Duration { return time.Hour }}, failing, 0, jobs.Retried, time.Hour},
		{"the last attempt", "tickets", 5, jobs.RunConfig{}, failing, 0, jobs.DeadLettered, 0},
		{"its budget", "tickets", 1, jobs.RunConfig{}, waiting, 20 * time.Second, jobs.Retried, 7 * time.Second},
		{"its total", "images", 1, jobs.RunConfig{}, waiting, 50 * time.Second, jobs.Retried, 7 * time.Second},
		{"the usual budget", "others", 1, jobs.RunConfig{}, waiting, 30 * time.Second, jobs.Retried, 7 * time.Second},
		{"another budget", "tickets", 1, jobs.RunConfig{Budget: time.Second}, waiting, time.Second, jobs.Retried, 7 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := jobs.FromPlan(planOf(t, queues))
				b := &bench{delivery: jobs.Delivery{Job: s.Job(jobs.Job{ID: "a", Queue: tt.queue}), Attempt: tt.attempt}}
				tt.config.Queues = []string{"tickets", "images", "others"}
				begin := time.Now()
				require.NoError(t, s.Run(t.Context(), b, tt.config, tt.handler))
				assert.Equal(t, tt.wantTook, time.Since(begin))
				assert.Equal(t, tt.wantEnding, b.outcome.Ending)
				assert.InDelta(t, float64(tt.wantAfter), float64(b.outcome.After), float64(tt.wantAfter)/5)
			})
		})
	}
}

func TestSettingsRunConfig(t *testing.T) {
	s := jobs.FromPlan(planOf(t, queues))
	done := func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.Done() }
	b := &bench{}
	require.NoError(t, s.Run(t.Context(), b, jobs.RunConfig{Queues: []string{"tickets", "images"}}, done))
	assert.Equal(t, []any{4, 5 * time.Second, 50 * time.Second}, []any{b.config.Workers, b.config.Drain, b.config.Budget}, "the longest budget")
	require.NoError(t, s.Run(t.Context(), b, jobs.RunConfig{Workers: 2, Drain: -1, Budget: time.Second}, done))
	assert.Equal(t, []any{2, time.Duration(-1), time.Second}, []any{b.config.Workers, b.config.Drain, b.config.Budget})

	b.err = errors.New("no database")
	assert.ErrorIs(t, s.Run(t.Context(), b, jobs.RunConfig{}, done), b.err)
	ended, end := context.WithCancel(t.Context())
	end()
	assert.ErrorIs(t, s.Run(ended, b, jobs.RunConfig{}, done), b.err, "an engine tells what is wrong at once")
}

// A factory is an engine whose workers are always at something.
type factory struct {
	scripted
	begun, ended chan jobs.RunConfig
}

func (f *factory) Run(ctx context.Context, c jobs.RunConfig, _ jobs.Handler) error {
	f.begun <- c
	<-ctx.Done()
	time.Sleep(c.Drain)
	f.ended <- c
	return nil
}

// Other workers are at work at once, while those of before come to their end.
func TestSettingsRunLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "sparekey.yaml")
		write := func(text string) {
			require.NoError(t, os.WriteFile(name, []byte("version: 1\n"+text), 0o600))
		}
		write("queue: {workers: 4, drain: 5s}\n")
		live, err := plan.Open(name, plan.Options{})
		require.NoError(t, err)
		reload := func(text string) {
			write(text)
			live.Poll(t.Context())
			live.Poll(t.Context())
			require.Empty(t, live.Status().Problems)
			synctest.Wait()
		}
		s := jobs.FromLive(live)
		f := &factory{begun: make(chan jobs.RunConfig, 9), ended: make(chan jobs.RunConfig, 9)}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx, f, jobs.RunConfig{Queues: []string{"tickets"}}, nil) }()
		assert.Equal(t, 4, (<-f.begun).Workers)

		reload("queue: {workers: 4, drain: 5s, max_attempts: 2, backoff: {base: 2s}}\nfunctions: {tickets: {}}\n")
		assert.Empty(t, f.begun, "the workers are the same")
		assert.Equal(t, 2, s.Job(jobs.Job{}).MaxAttempts)

		begin := time.Now()
		reload("queue: {workers: 8, drain: 5s}\n")
		assert.Equal(t, 8, (<-f.begun).Workers)
		assert.Equal(t, begin, time.Now())
		assert.Equal(t, 4, (<-f.ended).Workers)
		assert.Equal(t, 5*time.Second, time.Since(begin))

		reload("queue: {workers: 8, drain: 7s}\n")
		assert.Equal(t, 7*time.Second, (<-f.begun).Drain)
		assert.Equal(t, 8, (<-f.ended).Workers)
		reload("queue: {workers: 8, drain: 7s}\nfunctions: {tickets: {queue: {budget: 1m}}}\n")
		assert.Equal(t, time.Minute, (<-f.begun).Budget, "a longer budget")
		reload("queue: {workers: 8, drain: 7s}\n")
		assert.Empty(t, f.begun, "a shorter one is kept to by the same workers")
		reload("queue: {workers: 9, drain: 7s}\n")
		assert.Equal(t, time.Minute, (<-f.begun).Budget, "jobs that were begun are not taken for lost")

		begin = time.Now()
		stop()
		assert.NoError(t, <-done)
		assert.Equal(t, 7*time.Second, time.Since(begin), "all have ended")
		assert.Len(t, f.ended, 3)
	})
}

// What an engine was made with does not change unseen.
func TestSettingsOfEngineAreFixed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	require.NoError(t, os.WriteFile(name, []byte("version: 1\n"), 0o600))
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	jobs.FromLive(live)
	for key, text := range map[string]string{"bound": "5", "byte_bound": "2000000", "lease": "1m", "poll": "1s"} {
		require.NoError(t, os.WriteFile(name, []byte("version: 1\nqueue: {"+key+": "+text+"}\n"), 0o600))
		live.Poll(t.Context())
		live.Poll(t.Context())
		assert.Contains(t, live.Status().Problems, "queue."+key+": has changed, but is in use as it was")
	}
}
