package jobs_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

func finish(p *jobs.Progress, n int) {
	for range n {
		p.Settled(jobs.Settled{Ending: jobs.Finished})
	}
}

func TestProgressFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := jobs.NewProgress(jobs.ProgressConfig{Total: 1000})
		assert.Equal(t, jobs.Figures{Total: 1000}, p.Figures())
		time.Sleep(time.Second)
		finish(p, 20)
		p.Settled(jobs.Settled{Ending: jobs.DeadLettered})
		p.Settled(jobs.Settled{Ending: jobs.Retried})
		p.Settled(jobs.Settled{Ending: jobs.Snoozed})
		p.Settled(jobs.Settled{Ending: jobs.GivenBack})
		time.Sleep(time.Second)
		want := jobs.Figures{Done: 20, Failed: 1, Retries: 1, Total: 1000, Elapsed: 2 * time.Second, Rate: 10.5}
		want.Left = time.Duration(979 / want.Rate * float64(time.Second))
		assert.Equal(t, want, p.Figures())
	})
}

// The rate is that of the last seconds, however long the work has gone on.
func TestProgressRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := jobs.NewProgress(jobs.ProgressConfig{}) // nobody knows how many there are, nor then what is left
		for range 60 {
			finish(p, 5)
			time.Sleep(time.Second)
		}
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			finish(p, 10)
			time.Sleep(500 * time.Millisecond)
		}
		assert.Equal(t, 10.0, p.Figures().Rate)
		assert.Zero(t, p.Figures().Left)
		time.Sleep(time.Hour)
		assert.Zero(t, p.Figures().Rate)
	})
}

// What would take longer than a duration can be takes long.
func TestProgressForAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := jobs.NewProgress(jobs.ProgressConfig{Total: math.MaxInt})
		time.Sleep(time.Second)
		finish(p, 1)
		assert.Positive(t, p.Figures().Left)
	})
}

func TestProgressShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		var told []jobs.Figures
		p := jobs.NewProgress(jobs.ProgressConfig{
			Total: 40, Output: &out, Every: 2 * time.Second,
			OnFigures: func(f jobs.Figures) { told = append(told, f) },
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		time.AfterFunc(time.Second, func() { finish(p, 20) })
		p.Show(ctx)
		assert.Equal(t, "20 of 40 done (50 %), 10.0/s, 2s left\n20 of 40 done (50 %), 5.0/s, 4s left\n20 of 40 done (50 %), 4.0/s, 5s left\n", out.String())
		assert.Len(t, told, 3)
	})
}

func TestFiguresString(t *testing.T) {
	for want, f := range map[string]jobs.Figures{
		"0 done, 0.0/s": {},
		"7 of 10 done (80 %), 1 failed, 0.5/s, 4s left": {Done: 7, Failed: 1, Total: 10, Rate: 0.5, Left: 4 * time.Second},
		"3 done, 0.0/s":              {Done: 3, Held: time.Second - 1},
		"4 done, 0.0/s, held for 1s": {Done: 4, Held: time.Second},
		"3 done, 0.0/s, held for 2s": {Done: 3, Held: 3*time.Second - 1},
	} {
		assert.Equal(t, want, f.String())
	}
}

// A gate is a Rationed one that can be closed.
type gate struct{ wait time.Duration }

func (g *gate) Ready(context.Context, string) time.Duration   { return g.wait }
func (g *gate) Ration(_ context.Context, _ string, n int) int { return n / 2 }

func TestProgressGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := jobs.NewProgress(jobs.ProgressConfig{})
		var g gate
		watched, ok := p.Gate(&g).(jobs.Rationed)
		require.True(t, ok)
		assert.Equal(t, 4, watched.Ration(t.Context(), "a", 8))
		assert.Zero(t, watched.Ready(t.Context(), "a"))
		time.Sleep(time.Second)
		assert.Zero(t, p.Figures().Held)

		g.wait = time.Minute
		assert.Equal(t, time.Minute, watched.Ready(t.Context(), "a"))
		time.Sleep(time.Second)
		watched.Ready(t.Context(), "a")
		watched.Ready(t.Context(), "b")
		time.Sleep(time.Second)
		assert.Equal(t, 2*time.Second, p.Figures().Held, "since it closed first, and of the queue held longest")

		g.wait = 0
		watched.Ready(t.Context(), "a")
		assert.Equal(t, time.Second, p.Figures().Held, "the other queue's")
		watched.Ready(t.Context(), "b")
		assert.Zero(t, p.Figures().Held)

		_, ok = p.Gate(jobs.GateFunc(func(context.Context, string) time.Duration { return 0 })).(jobs.Rationed)
		assert.False(t, ok, "it gets no rations that it did not have")
	})
}

func TestProgressNote(t *testing.T) {
	var out strings.Builder
	jobs.NewProgress(jobs.ProgressConfig{Output: &out}).Note("the service is down")
	assert.Equal(t, "the service is down\n", out.String())
	jobs.NewProgress(jobs.ProgressConfig{}).Note("nobody hears it")
}
