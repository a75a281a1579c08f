package itest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
	"github.com/sparekey/sparekey/nyckel/postgres/move"
	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
	"github.com/sparekey/sparekey/nyckel/postgres/riverjobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// moverEnv holds the databases between which a process moves, from and to.
const moverEnv = "SPAREKEY_ITEST_MOVE"

// runMove moves and says how far it is: "step" after each step, "hash" at the end.
func runMove(spec string) error {
	ctx := context.Background()
	path, dsn, _ := strings.Cut(spec, "\n")
	from, err := openSQLiteBackend(ctx, path, 0)
	if err != nil {
		return err
	}
	to, err := openRiverBackend(ctx, dsn, 0)
	if err != nil {
		return err
	}
	report, err := move.Move(ctx, move.Config{
		From: from.store, To: to.store, Jobs: to.Engine.(*riverjobs.Engine),
		OnProgress: func(p move.Progress) { say(fmt.Sprintf("step %s %d/%d\n", p.Part, p.Done, p.Total)) },
	})
	if err != nil {
		return err
	}
	say(fmt.Sprintf("moved %d %d %d %d %s\n", report.Predictions, report.Truths, report.Jobs, report.Dead, report.Hash))
	return errors.Join(from.close(), to.close())
}

// Stores whose records begin alike move to one place without standing in each
// other's way.
func TestMoveOfSeveral(t *testing.T) {
	to, err := openRiverBackend(t.Context(), pgtest.New(t), 0)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, to.close()) })
	for i, sample := range []string{"a", "b", "c", "d"} {
		_, from := openSQLite(t, filepath.Join(t.TempDir(), "old.db"), sqlitejobs.Options{})
		if i >= 2 { // the same prediction first, of whichever time
			require.NoError(t, from.Record(t.Context(), predictions.Prediction{ID: "first", Function: "f", Label: "x", At: time.Unix(1, 0)}))
		}
		require.NoError(t, from.SetTruth(t.Context(), predictions.Truth{Function: "f", ExternalID: sample, Label: "x"}))
		report, err := move.Move(t.Context(), move.Config{From: from, To: to.store})
		require.NoError(t, err)
		assert.Equal(t, 1, report.Truths)
		truths, err := to.store.Truths(t.Context(), "f", sample)
		require.NoError(t, err)
		assert.Len(t, truths, 1, sample)
	}
}

// What was said, taken back and said again, all at one time as an import may tell it,
// is the truth on the new side too.
func TestMoveOfATruthSaidAgain(t *testing.T) {
	to, err := openRiverBackend(t.Context(), pgtest.New(t), 0)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, to.close()) })
	_, from := openSQLite(t, filepath.Join(t.TempDir(), "old.db"), sqlitejobs.Options{})
	for _, label := range []string{"x", "y", "x"} {
		require.NoError(t, from.SetTruth(t.Context(), predictions.Truth{Function: "f", ExternalID: "a", Label: label, At: time.Unix(1, 0)}))
	}
	want, err := from.Truths(t.Context(), "f", "a")
	require.NoError(t, err)
	for range 2 {
		_, err = move.Move(t.Context(), move.Config{From: from, To: to.store})
		require.NoError(t, err)
		got, err := to.store.Truths(t.Context(), "f", "a")
		require.NoError(t, err)
		assert.Equal(t, want, got)
		_, err = to.store.DB().ExecContext(t.Context(), "DELETE FROM sparekey_moves") // it begins anew
		require.NoError(t, err)
	}
}

// That a sample was moved is forgotten with the sample.
func TestMoveThenErase(t *testing.T) {
	to, err := openRiverBackend(t.Context(), pgtest.New(t), 0)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, to.close()) })
	_, from := openSQLite(t, filepath.Join(t.TempDir(), "old.db"), sqlitejobs.Options{})
	require.NoError(t, from.Record(t.Context(), predictions.Prediction{ID: "call of ann", Function: "f", ExternalID: "ann", Label: "x"}))
	require.NoError(t, from.SetTruth(t.Context(), predictions.Truth{Function: "f", ExternalID: "ann", Label: "x"}))
	_, err = move.Move(t.Context(), move.Config{From: from, To: to.store})
	require.NoError(t, err)
	erased, err := to.store.Erase(t.Context(), "f", "ann")
	require.NoError(t, err)
	assert.Equal(t, predictions.Erased{Predictions: 1, Truths: 1}, erased)
	var moves string
	require.NoError(t, to.store.DB().QueryRowContext(t.Context(), "SELECT string_agg(m::text, ' ') FROM sparekey_moves m").Scan(&moves))
	assert.NotContains(t, moves, "ann")
}

// An empty input and an empty hash are something else than none.
func TestMoveOfEmptyBytes(t *testing.T) {
	to, err := openRiverBackend(t.Context(), pgtest.New(t), 0)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, to.close()) })
	_, old := openSQLite(t, filepath.Join(t.TempDir(), "old.db"), sqlitejobs.Options{})
	from, err := predictions.Open(t.Context(), old.DB(), predictions.SQLite, predictions.Options{KeepInputs: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, from.Close()) })
	require.NoError(t, from.Record(t.Context(),
		predictions.Prediction{ID: "empty input", Function: "f", Input: []byte{}},
		predictions.Prediction{ID: "empty hash", Function: "f", InputHash: []byte{}},
		predictions.Prediction{ID: "none", Function: "f"},
	))
	_, err = move.Move(t.Context(), move.Config{From: from, To: to.store})
	require.NoError(t, err)
	assert.Equal(t, 1, scalar[int](t, to.store.DB(), "SELECT count(*) FROM sparekey_inputs WHERE input = ''"))
	assert.Equal(t, "none", scalar[string](t, to.store.DB(), "SELECT id FROM sparekey_predictions WHERE input_hash IS NULL"))
}

// TestMove moves to PostgreSQL and is killed five times on the way: nothing is
// missing, nothing is there twice, and the work goes on on the new side.
func TestMove(t *testing.T) {
	recorded, waiting := 10_000, 1_000
	if *long {
		recorded, waiting = 100_000, 10_000
	}
	ctx := t.Context()
	path, dsn := filepath.Join(t.TempDir(), "old.db"), pgtest.New(t)
	old, err := openSQLiteBackend(ctx, path, time.Minute)
	require.NoError(t, err)
	fillOld(t, old, recorded, waiting)
	require.NoError(t, old.close())

	// Predictions, truths, jobs and the check, in steps of 500.
	steps := 2*recorded/500 + waiting/500
	var last string
	for kills := 0; last == ""; kills++ {
		mover := exec.Command(os.Args[0])
		mover.Env = append(os.Environ(), moverEnv+"="+path+"\n"+dsn)
		mover.Stderr = t.Output()
		output, err := mover.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, mover.Start())
		seen := 0
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if seen++; kills < 5 && seen == steps/8 {
				require.NoError(t, mover.Process.Kill())
			}
			if text, ok := strings.CutPrefix(lines.Text(), "moved "); ok {
				last = text
			}
		}
		err = mover.Wait()
		if kills < 5 {
			require.Error(t, err, "kill %d came too late", kills)
		} else {
			require.NoError(t, err)
		}
	}
	assert.Regexp(t, fmt.Sprintf(`^%d 102 %d 2 [0-9a-f]{64}$`, recorded+1, waiting), last)
	t.Log(last)

	to, err := openRiverBackend(ctx, dsn, 0)
	require.NoError(t, err)
	defer to.close()
	db := to.store.DB()
	assert.Equal(t, recorded+1, scalar[int](t, db, "SELECT count(*) FROM sparekey_predictions"))
	assert.Equal(t, recorded+1, scalar[int](t, db, "SELECT count(*) FROM sparekey_inputs"))
	assert.Equal(t, 102, scalar[int](t, db, "SELECT count(*) FROM sparekey_truths"))
	assert.Equal(t, 100, scalar[int](t, db, "SELECT count(*) FROM sparekey_truths WHERE current = 1"))
	assert.Equal(t, waiting+2, scalar[int](t, db, "SELECT count(*) FROM sparekey_river_inputs"))
	var dead []jobs.DeadJob
	for d, err := range to.DeadLetters(ctx, "") {
		require.NoError(t, err)
		dead = append(dead, d)
	}
	require.Len(t, dead, 2)
	assert.Equal(t, "no good", dead[0].LastError)
	assert.Equal(t, 1, dead[0].Attempt)
	assert.Equal(t, "payload of dead-0", string(dead[0].Payload))
	_, d, err := to.Find(ctx, "later")
	require.NoError(t, err)
	assert.Equal(t, jobs.MaxPriority, d.Priority)
	assert.WithinDuration(t, time.Now().Add(time.Hour), d.RunAt, 10*time.Minute)

	n, err := to.Requeue(ctx, "dead-0", "dead-1")
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	complete(t, waiting+1, to.Engine) // all but the one for later
	assert.Equal(t, recorded+1+waiting+1, scalar[int](t, db, "SELECT count(*) FROM sparekey_predictions"))
}

// fillOld records predictions, with inputs and truths, and leaves jobs behind:
// waiting ones, two dead ones, and one that is due in an hour.
func fillOld(t *testing.T, old *opened, recorded, waiting int) {
	t.Helper()
	ctx := t.Context()
	store, err := predictions.Open(ctx, old.store.DB(), predictions.SQLite, predictions.Options{KeepInputs: true, KeepLabels: true})
	require.NoError(t, err)
	defer store.Close()
	ps := make([]predictions.Prediction, 0, 1000)
	for i := range recorded + 1 {
		p := jobstest.Answer(labelOf(i))
		p.ID, p.ExternalID, p.Input = fmt.Sprintf("before-%d", i), fmt.Sprintf("sample-%d", i), fmt.Appendf(nil, `"text %d"`, i)
		p.Labels = []predictions.LabelConfidence{{Label: "ü", Confidence: 1.0 / 3}}
		if ps = append(ps, p); len(ps) == cap(ps) || i == recorded {
			require.NoError(t, store.Record(ctx, ps...))
			ps = ps[:0]
		}
	}
	truth := func(i int, label string) {
		require.NoError(t, store.SetTruth(ctx, predictions.Truth{Function: "jobstest", ExternalID: fmt.Sprintf("sample-%d", i), Label: label, By: "test"}))
	}
	for i := range 100 {
		truth(i, labelOf(i))
	}
	truth(7, "corrected")
	truth(7, "corrected again")

	_, err = old.Enqueue(ctx, jobs.Job{ID: "dead-0", Payload: []byte("payload of dead-0")}, jobs.Job{ID: "dead-1"})
	require.NoError(t, err)
	run, stop := context.WithCancel(ctx)
	var settled int
	require.NoError(t, old.Run(run, jobs.RunConfig{Workers: 1, OnSettled: func(jobs.Settled) {
		if settled++; settled == 2 {
			stop()
		}
	}}, func(context.Context, jobs.Delivery) jobs.Outcome { return jobs.DeadLetter(errors.New("no good")) }))
	fill(t, old.Engine, waiting-1, 500)
	_, err = old.Enqueue(ctx, jobs.Job{ID: "later", RunAt: time.Now().Add(time.Hour), Priority: jobs.MaxPriority})
	require.NoError(t, err)
}

// TestMoveOfLargeJobs moves payloads that are too large to go all at once: one statement
// with hundreds of them takes longer than it may.
func TestMoveOfLargeJobs(t *testing.T) {
	ctx := t.Context()
	from, err := openSQLiteBackend(ctx, filepath.Join(t.TempDir(), "old.db"), 0)
	require.NoError(t, err)
	defer from.close()
	for i := range 20 {
		_, err := from.Enqueue(ctx, jobs.Job{ID: jobID(i), Payload: make([]byte, jobs.MaxPayload)})
		require.NoError(t, err)
	}
	to, err := openRiverBackend(ctx, pgtest.New(t), 0)
	require.NoError(t, err)
	defer to.close()
	queue := &weighed{Queue: to.Engine.(move.Queue)}
	report, err := move.Move(ctx, move.Config{From: from.store, To: to.store, Jobs: queue})
	require.NoError(t, err)
	assert.Equal(t, 20, report.Jobs)
	assert.LessOrEqual(t, queue.most, 9*jobs.MaxPayload)
	stats, err := to.Stats(ctx)
	require.NoError(t, err)
	assert.Equal(t, 20, stats[0].Ready)
}

// weighed notes what the heaviest call of Enqueue weighed.
type weighed struct {
	move.Queue
	most int
}

func (w *weighed) Enqueue(ctx context.Context, js ...jobs.Job) ([]jobs.Receipt, error) {
	sum := 0
	for _, j := range js {
		sum += len(j.Payload)
	}
	w.most = max(w.most, sum)
	return w.Queue.Enqueue(ctx, js...)
}

// TestMoveDiffers moves to a place where the same id stands for something else.
func TestMoveDiffers(t *testing.T) {
	ctx := t.Context()
	from, err := openSQLiteBackend(ctx, filepath.Join(t.TempDir(), "old.db"), 0)
	require.NoError(t, err)
	defer from.close()
	to, err := openRiverBackend(ctx, pgtest.New(t), 0)
	require.NoError(t, err)
	defer to.close()
	for side, label := range map[*opened]string{from: "here", to: "there"} {
		p := jobstest.Answer(label)
		p.ID = "same"
		require.NoError(t, side.store.Record(ctx, p))
	}
	_, err = move.Move(ctx, move.Config{From: from.store, To: to.store})
	assert.ErrorIs(t, err, move.ErrDiffers)
	_, err = move.Move(ctx, move.Config{From: to.store, To: from.store})
	assert.ErrorContains(t, err, "to move from")
}
