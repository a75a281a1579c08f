package itest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
)

// victimEnv holds what the process that is killed has to do, as JSON.
const victimEnv = "SPAREKEY_ITEST_VICTIM"

// A victimSpec is the work of a process that is killed: it enqueues the jobs from
// First to Jobs-1, one by one, and does whatever there is. What it did it writes to
// its output, a line each, which the kernel keeps when the process is gone:
//
//	up         it is about to begin
//	ack 17     job 17 was accepted
//	call 17    job 17 is in the hands of a handler
//	end        nothing is left to be done
type victimSpec struct {
	Backend   string
	Name      string // of the database
	First     int
	Jobs      int
	Producers int
	Workers   int
	Lease     time.Duration
	Budget    time.Duration
	Work      time.Duration // what a call takes
	Drain     time.Duration
	Fatal     int // the job whose handler kills the process; negative means none
	Stay      bool
}

func jobID(i int) string { return fmt.Sprintf("job-%07d", i) }

// labelOf returns what job i predicts.
func labelOf(i int) string { return fmt.Sprintf("label-%d", i%77) }

func runVictim(text string) error {
	var spec victimSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	open := openCareless
	if b, ok := backends[spec.Backend]; ok {
		open = b.open
	}
	engine, err := open(ctx, spec.Name, spec.Lease)
	if err != nil {
		return err
	}
	say("up\n")
	ended := make(chan error, 1)
	go func() {
		ended <- engine.Run(ctx, jobs.RunConfig{
			Workers: spec.Workers,
			Budget:  spec.Budget,
			Drain:   spec.Drain,
			Backoff: func(int) time.Duration { return 10 * time.Millisecond },
			OnError: func(err error) { fmt.Fprintln(os.Stderr, "victim: run:", err) },
		}, spec.handle)
	}()
	spec.produce(ctx, engine)
	for !spec.Stay && ctx.Err() == nil && !isEmpty(ctx, engine) {
		time.Sleep(20 * time.Millisecond)
	}
	if !spec.Stay {
		say("end\n")
		cancel()
	}
	err = <-ended
	if closing := engine.close(); err == nil {
		err = closing
	}
	return err
}

func (s victimSpec) handle(_ context.Context, d jobs.Delivery) jobs.Outcome {
	var i int
	if _, err := fmt.Sscanf(d.ID, "job-%d", &i); err != nil {
		return jobs.DeadLetter(err)
	}
	say(fmt.Sprintf("call %d\n", i))
	if i == s.Fatal {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	time.Sleep(s.Work)
	return jobs.Done(jobstest.Answer(labelOf(i)))
}

// produce enqueues the jobs, again and again while the database is in trouble.
func (s victimSpec) produce(ctx context.Context, e jobs.Engine) {
	var next atomic.Int64
	next.Store(int64(s.First))
	var producers sync.WaitGroup
	for range s.Producers {
		producers.Go(func() {
			for i := int(next.Add(1)) - 1; i < s.Jobs && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				job := jobs.Job{ID: jobID(i), Payload: []byte(strings.Repeat("x", 100))}
				for ctx.Err() == nil {
					if _, err := jobs.EnqueueWait(ctx, e, job); err == nil {
						say(fmt.Sprintf("ack %d\n", i))
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	producers.Wait()
}

func isEmpty(ctx context.Context, e jobs.Engine) bool {
	all, err := e.Stats(ctx)
	if err != nil {
		return false
	}
	for _, s := range all {
		if s.Ready+s.Scheduled+s.Running > 0 {
			return false
		}
	}
	return true
}

// say writes a line at once, in one piece.
func say(line string) {
	_, _ = syscall.Write(syscall.Stdout, []byte(line))
}
