package itest_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
)

// pairs is a gate that lets two jobs through whenever none is at work.
type pairs struct{ running, done atomic.Int64 }

func (p *pairs) Ready(context.Context, string) time.Duration {
	if p.running.Load() > 0 {
		return time.Millisecond
	}
	return 0
}

func (p *pairs) Ration(context.Context, string, int) int {
	p.running.Add(2)
	return 2
}

// As many jobs are taken as the gate lets through, and no more.
func TestSQLiteRation(t *testing.T) {
	t.Parallel()
	engine, _ := openSQLite(t, filepath.Join(t.TempDir(), "jobs.db"), sqlitejobs.Options{})
	fill(t, engine, 20, 20)
	var gate pairs
	var taken atomic.Int64
	done := make(chan struct{})
	work(t, engine, jobs.RunConfig{
		Gate: &gate,
		OnSettled: func(jobs.Settled) {
			all := gate.done.Add(1) == 20
			gate.running.Add(-1) // after that, since the next ones are counted against it
			if all {
				close(done)
			}
		},
	}, func(context.Context, jobs.Delivery) jobs.Outcome {
		now := taken.Add(1) - gate.done.Load()
		assert.LessOrEqual(t, now, int64(2))
		time.Sleep(5 * time.Millisecond)
		return jobs.Done(jobstest.Answer("yes"))
	})
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("the work did not end")
	}
}
