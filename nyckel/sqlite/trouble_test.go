package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

// small opens a store of one connection, so that a pragma holds for all.
func small(t *testing.T, options predictions.Options) (*predictions.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{Conns: 1})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return openStore(t, db, options), path
}

// setPages sets the size beyond which the database is full, as a disk may be.
func setPages(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	var got int
	require.NoError(t, db.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", n)).Scan(&got))
	require.LessOrEqual(t, got, max(n, 100))
}

// fill records predictions until the database is full, and returns the ids that
// were acknowledged.
func fill(t *testing.T, store *predictions.Store) (acknowledged []string) {
	t.Helper()
	for i := range 10_000 {
		p := batch(i, 1)[0]
		if err := store.Record(t.Context(), p); err != nil {
			require.ErrorContains(t, err, "database or disk is full")
			return acknowledged
		}
		acknowledged = append(acknowledged, p.ID)
	}
	t.Fatal("the database is never full")
	return nil
}

func TestFullDisk(t *testing.T) {
	store, _ := small(t, predictions.Options{})
	setPages(t, store.DB(), 60)
	acknowledged := fill(t, store)
	require.NotEmpty(t, acknowledged)
	has, err := store.Has(t.Context(), acknowledged...)
	require.NoError(t, err)
	assert.Len(t, has, len(acknowledged), "what was acknowledged is there")

	setPages(t, store.DB(), 1<<20)
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{Function: "f", Label: "x"}), "the store goes on")
}

func TestWriterOutlastsAFullDisk(t *testing.T) {
	store, _ := small(t, predictions.Options{})
	setPages(t, store.DB(), 60)
	fill(t, store)
	trouble := make(chan error, 100)
	var dropped atomic.Int64
	w := predictions.NewWriter(store, predictions.WriterOptions{
		Queue:   40,
		OnError: func(err error) { trouble <- err },
		OnDrop:  func(predictions.Prediction) { dropped.Add(1) },
	})
	var accepted []string
	for i := range 50 {
		p := batch(50_000+i, 1)[0]
		if err := w.Put(t.Context(), p); err == nil {
			accepted = append(accepted, p.ID)
		} else {
			require.ErrorIs(t, err, predictions.ErrDropped)
		}
	}
	require.ErrorContains(t, <-trouble, "full")
	stats := w.Stats()
	assert.Equal(t, len(accepted), stats.Queued+int(stats.Recorded))
	assert.EqualValues(t, 50-len(accepted), stats.Dropped)
	assert.Equal(t, stats.Dropped, dropped.Load())
	assert.LessOrEqual(t, stats.Queued, 40)
	assert.ErrorContains(t, stats.LastErr, "full")

	setPages(t, store.DB(), 1<<20)
	require.NoError(t, w.Close(t.Context()))
	has, err := store.Has(t.Context(), accepted...)
	require.NoError(t, err)
	assert.Len(t, has, len(accepted), "what was accepted is there once there is room")
	assert.NoError(t, w.Stats().LastErr)
}

// A writer in trouble tries again after 0.1 s at first and 5 s at last, and once it went
// well begins anew.
func TestWriterTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, _ := small(t, predictions.Options{})
		var tries []time.Duration
		start := time.Now()
		w := predictions.NewWriter(store, predictions.WriterOptions{OnError: func(error) { tries = append(tries, time.Since(start)) }})
		setPages(t, store.DB(), 60)
		fill(t, store)
		for round := range 2 {
			setPages(t, store.DB(), 60) // or those that it has
			tries, start = nil, time.Now()
			for _, p := range batch(50_000+100*round, 100) {
				require.NoError(t, w.Put(t.Context(), p))
			}
			time.Sleep(20 * time.Second)
			synctest.Wait()
			const ms = time.Millisecond
			assert.Equal(t, []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 11300 * ms, 16300 * ms}, tries)
			assert.EqualValues(t, len(tries)*(round+1), w.Stats().Failures)
			setPages(t, store.DB(), 1<<20)
			require.NoError(t, w.Flush(t.Context()))
		}
		require.NoError(t, w.Close(t.Context()))
		require.NoError(t, store.Close())
	})
}

func TestWriterSaysWhatItLost(t *testing.T) {
	store, _ := small(t, predictions.Options{})
	setPages(t, store.DB(), 60)
	fill(t, store)
	trouble := make(chan error, 100)
	w := predictions.NewWriter(store, predictions.WriterOptions{OnError: func(err error) { trouble <- err }})
	for _, p := range batch(50_000, 20) {
		require.NoError(t, w.Put(t.Context(), p))
	}
	<-trouble
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := w.Close(ctx)
	require.ErrorContains(t, err, "predictions were not recorded")
	assert.ErrorContains(t, err, "full")
	assert.Error(t, w.Flush(t.Context()))
}

// A writer whose store was closed has nothing more to wait for.
func TestWriterOfAClosedStore(t *testing.T) {
	store, _ := small(t, predictions.Options{})
	w := predictions.NewWriter(store, predictions.WriterOptions{})
	require.NoError(t, store.Close())
	require.NoError(t, w.Put(t.Context(), batch(0, 1)[0]))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.ErrorIs(t, w.Flush(ctx), predictions.ErrClosed)
	require.ErrorIs(t, w.Put(t.Context(), batch(1, 1)[0]), predictions.ErrClosed)
	err := w.Close(ctx)
	require.ErrorContains(t, err, "1 predictions were not recorded")
	require.ErrorIs(t, err, predictions.ErrClosed)
	assert.NoError(t, ctx.Err(), "it did not wait")
}

// stall keeps the store's writer busy until the func it returns is called.
func stall(t *testing.T, store *predictions.Store) (release func()) {
	t.Helper()
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- store.Update(context.Background(), func(context.Context, *sql.Tx) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	release = sync.OnceFunc(func() { close(end); assert.NoError(t, <-done) })
	t.Cleanup(release)
	return release
}

// What the writer does not take of a client is not passed over in silence, and keeps
// nothing else from being recorded.
func TestWriterCountsWhatItRefuses(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{KeepLabels: true})
	var dropped []string
	var errs []error
	w := predictions.NewWriter(store, predictions.WriterOptions{
		Queue:   1,
		OnDrop:  func(p predictions.Prediction) { dropped = append(dropped, p.Label) },
		OnError: func(err error) { errs = append(errs, err) },
	})
	release := stall(t, store)
	answer := func(label string, externalID string) nyckel.Record {
		return nyckel.Record{Function: "f", ExternalID: externalID, Prediction: &nyckel.Prediction{LabelName: label}}
	}
	w.RecordPrediction(t.Context(), answer("long", strings.Repeat("x", 513)))
	w.RecordPrediction(t.Context(), answer("short", "x"))
	w.RecordPrediction(t.Context(), answer("one too many", "x"))
	release()
	require.NoError(t, w.Close(t.Context()))
	assert.Equal(t, []string{"long", "one too many"}, dropped)
	stats := w.Stats()
	assert.EqualValues(t, 2, stats.Dropped)
	assert.EqualValues(t, 1, stats.Recorded)

	w.RecordPrediction(t.Context(), answer("late", "x"))
	assert.Equal(t, []string{"long", "one too many", "late"}, dropped)
	require.Len(t, errs, 2, "want of room is only counted")
	assert.ErrorIs(t, errs[0], predictions.ErrInvalid)
	assert.ErrorIs(t, errs[1], predictions.ErrClosed)
}

func TestWriterBlocks(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	release := stall(t, store)
	w := predictions.NewWriter(store, predictions.WriterOptions{Queue: 2, Block: time.Minute})
	ps := batch(0, 4)
	require.NoError(t, w.Put(t.Context(), ps[0]))
	require.NoError(t, w.Put(t.Context(), ps[1]))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, w.Put(ctx, ps[2]), predictions.ErrDropped, "it waits no longer than its caller")
	require.ErrorIs(t, w.Flush(ctx), context.Canceled)
	result := make(chan error)
	go func() { result <- w.Put(t.Context(), ps[3]) }()
	release()
	require.NoError(t, <-result)
	require.NoError(t, w.Close(t.Context()))
	has, err := store.Has(t.Context(), ps[0].ID, ps[1].ID, ps[2].ID, ps[3].ID)
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{ps[0].ID: true, ps[1].ID: true, ps[3].ID: true}, has)
	assert.EqualValues(t, 1, w.Stats().Dropped)
}

// Who waits for room that another one takes waits on.
func TestWriterBlocksSeveral(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	release := stall(t, store)
	w := predictions.NewWriter(store, predictions.WriterOptions{Queue: 1, Block: time.Minute})
	ps := batch(0, 5)
	require.NoError(t, w.Put(t.Context(), ps[0]))
	var waiting sync.WaitGroup
	for _, p := range ps[1:] {
		noted := noticed{t.Context(), make(chan struct{}, 1)}
		waiting.Go(func() { assert.NoError(t, w.Put(noted, p)) })
		<-noted.awaited
	}
	release()
	waiting.Wait()
	require.NoError(t, w.Close(t.Context()))
	assert.EqualValues(t, len(ps), w.Stats().Recorded)
}

// noticed is a context that says when somebody waits for it.
type noticed struct {
	context.Context
	awaited chan struct{} // holds one element
}

func (n noticed) Done() <-chan struct{} {
	select {
	case n.awaited <- struct{}{}:
	default:
	}
	return n.Context.Done()
}

// Who waits for room in a writer that is closed, and gives up, hears so at once.
func TestWriterClosedWhileOneWaits(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	stall(t, store)
	w := predictions.NewWriter(store, predictions.WriterOptions{Queue: 1, Block: time.Hour})
	ps := batch(0, 2)
	require.NoError(t, w.Put(t.Context(), ps[0]))
	patient, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	waiting, result := noticed{patient, make(chan struct{}, 1)}, make(chan error)
	go func() { result <- w.Put(waiting, ps[1]) }()
	<-waiting.awaited
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, w.Close(gone))
	require.ErrorIs(t, <-result, predictions.ErrClosed)
}

func TestWriterBoundsBytes(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{KeepInputs: true})
	release := stall(t, store)
	w := predictions.NewWriter(store, predictions.WriterOptions{Bytes: 1000})
	put := func(size int) error {
		return w.Put(t.Context(), predictions.Prediction{Function: "f", Label: "x", Input: make([]byte, size)})
	}
	require.NoError(t, put(5000), "a single one may weigh more")
	require.ErrorIs(t, put(1), predictions.ErrDropped)
	require.NoError(t, put(0)) // none to wait for
	release()
	require.NoError(t, w.Flush(t.Context()))
	release = stall(t, store)
	require.NoError(t, put(600))
	require.NoError(t, put(400))
	require.ErrorIs(t, put(1), predictions.ErrDropped)
	release()
	require.NoError(t, w.Close(t.Context()))
}

// What is recorded is let go of, also if the queue grew meanwhile, as that of most of
// these writers did.
func TestWriterLetsGo(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{KeepInputs: true})
	var writers [8]*predictions.Writer
	var inputs []weak.Pointer[[1000]byte]
	for i := range writers {
		release := stall(t, store)
		writers[i] = predictions.NewWriter(store, predictions.WriterOptions{})
		for range 50 {
			input := new([1000]byte)
			inputs = append(inputs, weak.Make(input))
			require.NoError(t, writers[i].Put(t.Context(), predictions.Prediction{Function: "f", Label: "x", Input: input[:]}))
		}
		release()
		require.NoError(t, writers[i].Flush(t.Context()))
	}
	require.NoError(t, store.Close()) // and with it what the updates held
	runtime.GC()
	for i, input := range inputs {
		assert.True(t, input.Value() == nil, "input %d", i)
	}
	for _, w := range writers {
		require.NoError(t, w.Close(t.Context()))
	}
}

// Inputs that are not kept are hashed, and take no room.
func TestWriterOfInputsThatAreNotKept(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	release := stall(t, store)
	w := predictions.NewWriter(store, predictions.WriterOptions{Bytes: 1000})
	for range 3 {
		require.NoError(t, w.Put(t.Context(), predictions.Prediction{Function: "f", Label: "x", Input: make([]byte, 5000)}))
	}
	release()
	require.NoError(t, w.Close(t.Context()))
	n := 0
	for e, err := range store.Audit(t.Context(), predictions.Query{}) {
		require.NoError(t, err)
		assert.NotEmpty(t, e.InputHash)
		n++
	}
	assert.Equal(t, 3, n)
}

// An update that has begun goes on though its caller has gone.
func TestUpdateIsNotInterrupted(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, store.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		cancel()
		return store.RecordTx(ctx, tx, predictions.Prediction{ID: "a", Function: "f", Label: "x"})
	}))
	has, err := store.Has(t.Context(), "a")
	require.NoError(t, err)
	assert.True(t, has["a"])
}

// An update whose caller has gone before it began is not done; the others of its
// group are.
func TestUpdateTakenBack(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	release := stall(t, store)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := fmt.Errorf("gone for lunch")
	result := make(chan error)
	go func() { result <- store.Record(ctx, predictions.Prediction{ID: "a", Function: "f", Label: "x"}) }()
	cancel(gone)
	require.ErrorIs(t, <-result, gone)
	go func() {
		result <- store.Record(t.Context(), predictions.Prediction{ID: "b", Function: "f", Label: "x"})
	}()
	release()
	require.NoError(t, <-result)
	has, err := store.Has(t.Context(), "a", "b")
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"b": true}, has)
}

// An update that ends the transaction of its group, as a full disk does, fails alone:
// the others are done without it, and once.
func TestUpdateThatEndsItsTransaction(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	alone := store.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "ROLLBACK")
		return err
	})
	assert.ErrorContains(t, alone, "predictions: commit: ")
	_, err := store.DB().ExecContext(t.Context(), "CREATE TABLE done (i INTEGER) STRICT")
	require.NoError(t, err)
	errs := make([]error, 200)
	ends := func(i int) bool { return i%50 == 7 }
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = store.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				if ends(i) {
					_, err := tx.ExecContext(ctx, "ROLLBACK")
					return err
				}
				if _, err := tx.ExecContext(ctx, "INSERT INTO done VALUES (?)", i); err != nil {
					return err
				}
				return store.RecordTx(ctx, tx, predictions.Prediction{ID: strconv.Itoa(i), Function: "f", Label: "x"})
			})
		})
	}
	wg.Wait()
	var done int
	require.NoError(t, store.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM done").Scan(&done))
	assert.Equal(t, 196, done)
	for i, err := range errs {
		there, hasErr := store.Has(t.Context(), strconv.Itoa(i))
		require.NoError(t, hasErr)
		assert.Equal(t, !ends(i), there[strconv.Itoa(i)], "%d: %v", i, err)
		if ends(i) {
			assert.ErrorContains(t, err, "predictions: commit: ")
		} else {
			assert.NoError(t, err)
		}
	}
}

// An update that ends its goroutine fails, and so may those that share its
// transaction. The others go on.
func TestUpdateThatEndsItsGoroutine(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	errs := make([]error, 200)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = store.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				defer func() {
					if i%50 == 7 {
						runtime.Goexit()
					}
				}()
				return store.RecordTx(ctx, tx, predictions.Prediction{ID: strconv.Itoa(i), Function: "f", Label: "x"})
			})
		})
	}
	wg.Wait()
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{ID: "last", Function: "f", Label: "x"}))
	for i, err := range errs {
		there, hasErr := store.Has(t.Context(), strconv.Itoa(i))
		require.NoError(t, hasErr)
		assert.Equal(t, err == nil, there[strconv.Itoa(i)], "%d: %v", i, err)
	}
	assert.Error(t, errs[7])
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db := openDB(t, path)
	openStore(t, db, predictions.Options{})
	_, err := db.Exec("INSERT INTO sparekey_migrations VALUES ('predictions', 99, '0099_future.sqlite.sql', '', 0)")
	require.NoError(t, err)
	_, err = predictions.Open(t.Context(), openDB(t, path), predictions.SQLite, predictions.Options{})
	require.ErrorIs(t, err, predictions.ErrNewerSchema)
	assert.ErrorContains(t, err, "0099_future.sqlite.sql")
}

func TestErasedFromTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	store := openStore(t, openDB(t, path), predictions.Options{KeepInputs: true, KeepLabels: true})
	secret := func(n int) string { return fmt.Sprintf("secret-of-ticket-%06d", n) }
	for i := range 300 {
		require.NoError(t, store.Record(t.Context(), predictions.Prediction{
			Function: "f", ExternalID: secret(i), Label: "x", Input: bytes.Repeat([]byte(secret(i)), 1+i%300), At: start,
			Labels: []predictions.LabelConfidence{{Label: secret(i), Confidence: 1}},
		}))
		require.NoError(t, store.SetTruth(t.Context(),
			predictions.Truth{Function: "f", ExternalID: secret(i), Label: "y", By: secret(i)}))
	}
	content := func() []byte {
		var all []byte
		for _, suffix := range []string{"", "-wal"} {
			part, err := os.ReadFile(path + suffix)
			require.NoError(t, err)
			all = append(all, part...)
		}
		return all
	}
	for _, n := range []int{0, 17, 299} {
		require.Contains(t, string(content()), secret(n))
		erased, err := store.Erase(t.Context(), "f", secret(n))
		require.NoError(t, err)
		assert.Equal(t, predictions.Erased{Predictions: 1, Inputs: 1, Truths: 1}, erased)
		assert.False(t, bytes.Contains(content(), []byte(secret(n))), "ticket %d is gone from the file", n)
	}
	assert.True(t, bytes.Contains(content(), []byte(secret(18))))

	input := []byte(secret(250) + secret(250)) // names are said once at a time
	require.True(t, bytes.Contains(content(), input))
	_, err := store.Prune(t.Context(), time.Now())
	require.NoError(t, err)
	assert.False(t, bytes.Contains(content(), input), "inputs that were pruned are gone, too")
	assert.True(t, bytes.Contains(content(), []byte(secret(250))))
}

// SQLite leaves copies of some rows in pages from which it moved them, and does not
// overwrite those with the rows. VACUUM takes them away.
func TestErasedAfterVacuum(t *testing.T) {
	for range 10 { // how much is left hangs on how the pages fall, and now and then it is nothing
		store, left := eraseHalf(t)
		if left() == 0 {
			continue
		}
		_, err := store.DB().ExecContext(t.Context(), "VACUUM")
		require.NoError(t, err)
		erased, err := store.Erase(t.Context(), "f", "secret-of-00 ")
		require.NoError(t, err)
		assert.Equal(t, predictions.Erased{}, erased)
		assert.Zero(t, left())
		return
	}
	t.Fatal("SQLite does better by now: say so")
}

// eraseHalf returns a store that half of 2,000 predictions were erased from, and how many
// texts of theirs its files hold.
func eraseHalf(t *testing.T) (store *predictions.Store, left func() int) {
	path := filepath.Join(t.TempDir(), "store.db")
	store = openStore(t, openDB(t, path), predictions.Options{KeepInputs: true})
	random := rand.New(rand.NewPCG(1, 2))
	secret := func(n int) string { return fmt.Sprintf("secret-of-%02d ", n) }
	for range 20 {
		var batch []predictions.Prediction
		for i := range 100 {
			input := strings.Repeat(secret(i), 1+random.IntN(60))
			batch = append(batch, predictions.Prediction{Function: "f", ExternalID: secret(i), Label: "x", Input: []byte(input), At: start})
		}
		require.NoError(t, store.Record(t.Context(), batch...))
	}
	for i := range 50 {
		_, err := store.Erase(t.Context(), "f", secret(i))
		require.NoError(t, err)
	}
	return store, func() (n int) {
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(path + suffix)
			require.NoError(t, err)
			for i := range 50 {
				n += bytes.Count(content, []byte(secret(i)))
			}
		}
		return n
	}
}

// A reader that stays on an old state keeps the log from being emptied: Erase says
// so, and a later one makes up for it.
func TestErasedBesideAReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	store := openStore(t, db, predictions.Options{})
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{Function: "f", ExternalID: "e", Label: "x"}))
	reader, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	var n int
	require.NoError(t, reader.QueryRow("SELECT COUNT(*) FROM sparekey_predictions").Scan(&n))
	erased, err := store.Erase(t.Context(), "f", "e")
	require.NoError(t, err)
	assert.Equal(t, predictions.Erased{Predictions: 1, InLog: true}, erased)
	require.NoError(t, reader.Rollback())
	erased, err = store.Erase(t.Context(), "f", "e")
	require.NoError(t, err)
	assert.Equal(t, predictions.Erased{}, erased)
}

// Another process that holds the lock for too long is an error, not a loss. Who opens a
// store that is up to date only reads.
func TestLockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	store := openStore(t, db, predictions.Options{})
	other, err := openDB(t, path).Begin()
	require.NoError(t, err)
	openStore(t, db, predictions.Options{})
	err = store.Record(t.Context(), predictions.Prediction{ID: "a", Function: "f", Label: "x"})
	require.ErrorContains(t, err, "database is locked")
	require.NoError(t, other.Rollback())
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{ID: "a", Function: "f", Label: "x"}))
}
