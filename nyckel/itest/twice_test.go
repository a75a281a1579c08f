package itest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
)

// enqueuerEnv holds what a process has to enqueue, as JSON.
const enqueuerEnv = "SPAREKEY_ITEST_ENQUEUER"

type enqueuerSpec struct {
	Backend, Name string
	Jobs          int
}

// runEnqueuer enqueues the same jobs three times, one by one, and writes each
// receipt as a line of JSON.
func runEnqueuer(text string) error {
	var spec enqueuerSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	ctx := context.Background()
	engine, err := backends[spec.Backend].open(ctx, spec.Name, 0)
	if err != nil {
		return err
	}
	receipts := json.NewEncoder(os.Stdout)
	for range 3 {
		for i := range spec.Jobs {
			got, err := engine.Enqueue(ctx, jobs.Job{ID: jobID(i), Payload: []byte("x")})
			if err != nil {
				return errors.Join(err, engine.close())
			}
			if err := receipts.Encode(got[0]); err != nil {
				return errors.Join(err, engine.close())
			}
		}
	}
	return engine.close()
}

// enqueueFromTwo has two processes enqueue the same jobs at the same time, and
// returns the six receipts of each job.
func enqueueFromTwo(t *testing.T, spec enqueuerSpec) map[string][]jobs.Receipt {
	t.Helper()
	text, err := json.Marshal(spec)
	require.NoError(t, err)
	var both [2]*bufio.Scanner
	var wait [2]func() error
	for i := range both {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), enqueuerEnv+"="+string(text))
		cmd.Stderr = t.Output()
		output, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		both[i], wait[i] = bufio.NewScanner(output), cmd.Wait
	}
	receipts := map[string][]jobs.Receipt{}
	for i, lines := range both {
		for lines.Scan() {
			var r jobs.Receipt
			require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
			receipts[r.ID] = append(receipts[r.ID], r)
		}
		require.NoError(t, wait[i]())
	}
	require.Len(t, receipts, spec.Jobs)
	for id, all := range receipts {
		require.Len(t, all, 6, id)
	}
	return receipts
}

// TestEnqueuedAgain has two processes enqueue the same jobs three times each, while
// they wait, run, are dead and are recorded: each is one job, one of the receipts
// says that it is new, and all say where it stands.
func TestEnqueuedAgain(t *testing.T) {
	const n = 40
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			spec := enqueuerSpec{Backend: name, Name: b.create(t), Jobs: n}
			// expect has each job in its state, and so many receipts say it is new.
			expect := func(isNew int, state func(i int) jobs.State) {
				t.Helper()
				receipts := enqueueFromTwo(t, spec)
				for i := range n {
					found := 0
					for _, r := range receipts[jobID(i)] {
						assert.Equal(t, state(i), r.State, r.ID)
						if r.New {
							found++
						}
					}
					assert.Equal(t, isNew, found, "receipts of job %d that say it is new", i)
				}
			}
			always := func(s jobs.State) func(int) jobs.State { return func(int) jobs.State { return s } }
			expect(1, always(jobs.Waiting))
			expect(0, always(jobs.Waiting))

			engine, err := b.open(t.Context(), spec.Name, 0)
			require.NoError(t, err)
			w := newHeldWork(n)
			stop := w.run(t, engine, n)
			for range n {
				<-w.taken
			}
			expect(0, always(jobs.Running))

			close(w.release)
			require.Eventually(t, func() bool { return isEmpty(t.Context(), engine) }, 30*time.Second, 10*time.Millisecond)
			expect(0, func(i int) jobs.State {
				if i%2 == 1 {
					return jobs.Dead
				}
				return jobs.Recorded
			})

			var odd []string
			for i := 1; i < n; i += 2 {
				odd = append(odd, jobID(i))
			}
			requeued, err := engine.Requeue(t.Context(), odd...)
			require.NoError(t, err)
			assert.Equal(t, len(odd), requeued)
			for range odd {
				<-w.taken
			}
			require.Eventually(t, func() bool { return isEmpty(t.Context(), engine) }, 30*time.Second, 10*time.Millisecond)
			expect(0, always(jobs.Recorded))
			stop()
			require.NoError(t, engine.close())
			assertAllRecordedOnce(t, b, spec.Name, n)
		})
	}
}

// heldWork is a handler that waits to be released, gives up the odd jobs the first
// time, and does everything else.
type heldWork struct {
	taken   chan struct{}
	release chan struct{}
	calls   atomic.Int64
	n       int64 // so many calls are first ones
}

func newHeldWork(n int) *heldWork {
	return &heldWork{taken: make(chan struct{}, 2*n), release: make(chan struct{}), n: int64(n)}
}

func (w *heldWork) run(t *testing.T, e jobs.Engine, workers int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, jobs.RunConfig{Workers: workers}, w.handle) }()
	stop = func() {
		cancel()
		assert.NoError(t, <-ended)
	}
	return stop
}

func (w *heldWork) handle(_ context.Context, d jobs.Delivery) jobs.Outcome {
	first := w.calls.Add(1) <= w.n
	w.taken <- struct{}{}
	<-w.release
	var i int
	if _, err := fmt.Sscanf(d.ID, "job-%d", &i); err != nil || first && i%2 == 1 {
		return jobs.DeadLetter(errors.New("not the first time"))
	}
	return jobs.Done(jobstest.Answer(labelOf(i)))
}
