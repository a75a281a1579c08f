package jobstest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/telemetry"
)

const (
	patience = 20 * time.Second       // for what surely comes
	moment   = 300 * time.Millisecond // for what must not come
)

// one opens one engine with its store.
func (b Backend) one(t *testing.T) (jobs.Engine, *predictions.Store) {
	engines, store := b.Open(t, 1, 0)
	return engines[0], store
}

// Answer returns a prediction as a handler might make it.
func Answer(label string) predictions.Prediction {
	return predictions.Prediction{Function: "jobstest", Label: label, Confidence: 0.5, Source: telemetry.Live, At: time.Now()}
}

// start runs an engine until the end of the test, or until the func that it
// returns is called, which waits for the end of Run.
func start(t *testing.T, e jobs.Engine, c jobs.RunConfig, h jobs.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, c, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			assert.NoError(t, err, "Run")
		case <-time.After(2 * patience):
			t.Error("Run did not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

func enqueue(t *testing.T, e jobs.Engine, js ...jobs.Job) []jobs.Receipt {
	t.Helper()
	receipts, err := e.Enqueue(t.Context(), js...)
	require.NoError(t, err)
	require.Len(t, receipts, len(js))
	return receipts
}

// batch returns n jobs whose IDs begin with prefix.
func batch(prefix string, n int) []jobs.Job {
	js := make([]jobs.Job, n)
	for i := range js {
		js[i] = jobs.Job{ID: fmt.Sprintf("%s%04d", prefix, i), Payload: []byte("x")}
	}
	return js
}

func stateOf(t *testing.T, e jobs.Engine, id string) jobs.State {
	t.Helper()
	state, _, err := e.Find(t.Context(), id)
	require.NoError(t, err)
	return state
}

// awaitState waits until a job is in a state.
func awaitState(t *testing.T, e jobs.Engine, id string, want jobs.State) {
	t.Helper()
	require.Eventually(t, func() bool { return stateOf(t, e, id) == want }, patience, 2*time.Millisecond, "%s never became %v", id, want)
}

// figures returns those of a queue, zero if it is not known.
func figures(t *testing.T, e jobs.Engine, queue string) jobs.Stats {
	t.Helper()
	all, err := e.Stats(t.Context())
	require.NoError(t, err)
	for _, s := range all {
		if s.Queue == queue {
			return s
		}
	}
	return jobs.Stats{}
}

// awaitEmpty waits until nothing waits or runs in a queue.
func awaitEmpty(t *testing.T, e jobs.Engine, queue string) {
	t.Helper()
	require.Eventually(t, func() bool {
		s := figures(t, e, queue)
		return s.Ready+s.Scheduled+s.Running == 0
	}, patience, 5*time.Millisecond, "the queue never became empty")
}

func deadLetters(t *testing.T, e jobs.Engine, queue string) []jobs.DeadJob {
	t.Helper()
	var all []jobs.DeadJob
	for dead, err := range e.DeadLetters(t.Context(), queue) {
		require.NoError(t, err)
		all = append(all, dead)
	}
	return all
}

func recorded(t *testing.T, s *predictions.Store, ids ...string) int {
	t.Helper()
	has, err := s.Has(t.Context(), ids...)
	require.NoError(t, err)
	n := 0
	for _, yes := range has {
		if yes {
			n++
		}
	}
	return n
}

// calls keeps what a handler was given.
type calls struct {
	mu  sync.Mutex
	all []jobs.Delivery // guarded by mu
	at  []time.Time     // likewise
}

// then returns a handler that keeps each delivery and hands it on.
func (c *calls) then(h jobs.Handler) jobs.Handler {
	return func(ctx context.Context, d jobs.Delivery) jobs.Outcome {
		c.mu.Lock()
		c.all, c.at = append(c.all, d), append(c.at, time.Now())
		c.mu.Unlock()
		return h(ctx, d)
	}
}

// done is a handler that records a prediction.
func done(context.Context, jobs.Delivery) jobs.Outcome { return jobs.Done(Answer("yes")) }

func (c *calls) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

func (c *calls) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, d := range c.all {
		ids = append(ids, d.ID)
	}
	return ids
}

func (c *calls) deliveries() ([]jobs.Delivery, []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all), slices.Clone(c.at)
}

// await waits until there were n calls.
func (c *calls) await(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return c.count() >= n }, patience, time.Millisecond, "fewer than %d calls", n)
}
