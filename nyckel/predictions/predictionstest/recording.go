package predictionstest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// noon is when most predictions of the suite were made.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// full is a prediction with every field set.
func full() predictions.Prediction {
	return predictions.Prediction{
		ID: "job-1", Function: "tickets", Model: "m1", SampleID: "sample_1", ExternalID: "ticket 1 ' \" % é",
		InputHash: []byte{1, 2, 3}, Input: []byte(`"where is my parcel?"`), Label: "delivery", LabelID: "label_1", Confidence: 0.875,
		Labels: []predictions.LabelConfidence{{Label: "delivery", LabelID: "label_1", Confidence: 0.875}, {Label: "billing", Confidence: 0.125}},
		Source: telemetry.Similar, Similarity: 0.75, Rule: "by keyword", Verdict: policy.Overloaded, Attempts: 3,
		Latency: 1234567 * time.Microsecond, TraceID: "0102030405060708090a0b0c0d0e0f10", At: noon,
	}
}

func roundTrip(t *testing.T, s *predictions.Store) {
	long := func() string {
		var b strings.Builder
		for b.Len() < 512 {
			b.WriteString(rand.Text()) // which no database can compress
		}
		return b.String()[:512]
	}
	longest := predictions.Prediction{ID: long(), Function: long(), Model: long(), ExternalID: long(), Label: long()}
	must(t, s.Record(t.Context(), longest))
	must(t, s.SetTruth(t.Context(), predictions.Truth{PredictionID: longest.ID, Label: long()}))
	keep := reopen(t, s, predictions.Options{KeepInputs: true, KeepLabels: true})
	must(t, keep.Record(t.Context(), full()))
	got := one(t, s, predictions.Query{ID: "job-1"}).Prediction
	if !got.At.Equal(noon) {
		t.Errorf("At = %v, want %v", got.At, noon)
	}
	got.At = noon
	equal(t, "prediction", got, full())

	must(t, s.Record(t.Context(), predictions.Prediction{Function: "f", Label: "x"}))
	least := one(t, s, predictions.Query{Function: "f"})
	equal(t, "source", least.Source, telemetry.Live)
	equal(t, "verdict", least.Verdict, policy.OK)
	if len(least.ID) != 36 || least.ID[14] != '7' || time.Since(least.At).Abs() > time.Hour {
		t.Errorf("id %q, at %v", least.ID, least.At)
	}
	for i, at := range []time.Time{time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, -1000, time.UTC)} {
		id := fmt.Sprint("moment ", i)
		must(t, s.Record(t.Context(), predictions.Prediction{ID: id, Function: "ages", Label: "x", At: at}))
		equal(t, "the first moment and the last one", one(t, s, predictions.Query{ID: id}).At.UTC(), at)
	}
	has, err := s.Has(t.Context(), "job-1", least.ID, "job-2")
	must(t, err)
	equal(t, "Has", has, map[string]bool{"job-1": true, least.ID: true})
}

func idempotent(t *testing.T, s *predictions.Store) {
	keep := reopen(t, s, predictions.Options{KeepInputs: true})
	must(t, keep.Record(t.Context(), full()))
	other := full()
	other.Label, other.Input = "other", []byte("other")
	twin := predictions.Prediction{ID: "twin", Function: "f", Label: "first", Input: []byte("first")}
	second := twin
	second.Label, second.Input = "second", []byte("second")
	must(t, keep.Record(t.Context(), other, twin, second))
	equal(t, "label", one(t, s, predictions.Query{ID: "job-1"}).Label, "delivery")
	equal(t, "input", string(one(t, s, predictions.Query{ID: "job-1"}).Input), string(full().Input))
	equal(t, "the first of two", one(t, s, predictions.Query{ID: "twin"}).Label, "first")
	equal(t, "its input", string(one(t, s, predictions.Query{ID: "twin"}).Input), "first")

	pruned, err := keep.Prune(t.Context(), noon.Add(time.Second))
	must(t, err)
	equal(t, "pruned", pruned, 1)
	must(t, keep.Record(t.Context(), full()))
	equal(t, "an input that was pruned", one(t, s, predictions.Query{ID: "job-1"}).Input, nil)
}

func refused(t *testing.T, s *predictions.Store) {
	good := predictions.Prediction{ID: "good", Function: "f", Label: "x"}
	keep := reopen(t, s, predictions.Options{KeepLabels: true})
	for name, change := range map[string]func(p *predictions.Prediction){
		"no function":     func(p *predictions.Prediction) { p.Function = "" },
		"confidence 1.01": func(p *predictions.Prediction) { p.Confidence = 1.01 },
		"confidence NaN":  func(p *predictions.Prediction) { p.Confidence = math.NaN() },
		"similarity -1":   func(p *predictions.Prediction) { p.Similarity = -1 },
		"a zero":          func(p *predictions.Prediction) { p.Label = "a\x00b" },
		"a long label":    func(p *predictions.Prediction) { p.Label = strings.Repeat("x", 513) },
		"not UTF-8":       func(p *predictions.Prediction) { p.Label = "\xff" },
		"a label's NaN":   func(p *predictions.Prediction) { p.Labels = []predictions.LabelConfidence{{Confidence: math.NaN()}} },
		"no verdict":      func(p *predictions.Prediction) { p.Verdict = 200 },
		"a long id":       func(p *predictions.Prediction) { p.ExternalID = strings.Repeat("x", 513) },
		"the year 0":      func(p *predictions.Prediction) { p.At = time.Date(1, 1, 1, 0, 0, 0, -1, time.UTC) },
		"the year 10000":  func(p *predictions.Prediction) { p.At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		bad := predictions.Prediction{ID: "bad", Function: "f", Label: "x"}
		change(&bad)
		if err := keep.Record(t.Context(), good, bad); !errors.Is(err, predictions.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	equal(t, "entries", len(all(t, s, predictions.Query{})), 0)
}

func sources(t *testing.T, s *predictions.Store) {
	want := []telemetry.Source{telemetry.Live, telemetry.Cache, telemetry.Stale, telemetry.Similar, telemetry.Rule, telemetry.Static, "eu-west"}
	for i, source := range want {
		must(t, s.Record(t.Context(), predictions.Prediction{ID: fmt.Sprint(i), Function: "f", Label: "x", Source: source, Rule: "r", At: noon}))
	}
	for i, source := range want {
		equal(t, "source", one(t, s, predictions.Query{ID: fmt.Sprint(i)}).Source, source)
		equal(t, "entries of the source", len(all(t, s, predictions.Query{Source: source})), 1)
	}
	for step, start := range map[time.Duration]time.Time{0: {}, 1: noon} { // of less than the microseconds that are kept
		shares, err := s.Sources(t.Context(), predictions.Scope{Step: step})
		must(t, err)
		equal(t, "sources", len(shares), len(want))
		for _, share := range shares {
			equal(t, "share", share.Share, 1.0/7)
			equal(t, "start", share.Start, start)
		}
	}
	performance, err := s.Performance(t.Context(), predictions.Scope{})
	must(t, err)
	equal(t, "predictions that count towards the model", performance[0].N, 1)
}

func laterVerdict(t *testing.T, s *predictions.Store) {
	must(t, s.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO sparekey_predictions (id, function, model, sample_id, label, label_id, confidence,
			source, similarity, rule, verdict, attempts, latency, trace_id, at)
			VALUES ('first', 'f', '', '', 'x', '', 1, 'live', 0, '', 'of_a_later_version', 1, 1, '', 1)`)
		return err
	}))
	must(t, s.Record(t.Context(), predictions.Prediction{ID: "second", Function: "f", Label: "x"}))
	entries := all(t, s, predictions.Query{})
	equal(t, "entries", ids(entries), []string{"first", "second"})
	equal(t, "verdict", entries[0].Verdict, policy.Unknown)
}

func appendOnly(t *testing.T, s *predictions.Store) {
	p := full()
	p.SampleID = ""
	must(t, s.Record(t.Context(), p))
	exec := func(query string) error {
		return s.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query)
			return err
		})
	}
	for _, column := range strings.Split("id function model external_id label label_id rule source verdict trace_id", " ") {
		if err := exec("UPDATE sparekey_predictions SET " + column + " = 'x'"); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s was changed: %v", column, err)
		}
	}
	for _, column := range strings.Split("confidence similarity attempts latency at", " ") {
		if err := exec("UPDATE sparekey_predictions SET " + column + " = 1"); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s was changed: %v", column, err)
		}
	}
	if err := exec("DELETE FROM sparekey_predictions"); err == nil || !strings.Contains(err.Error(), "append-only") {
		t.Errorf("a prediction was deleted: %v", err)
	}
	must(t, exec("UPDATE sparekey_predictions SET sample_id = 'sample_2'"))
	if exec("UPDATE sparekey_predictions SET sample_id = 'sample_3'") == nil {
		t.Error("the sample was changed")
	}
	equal(t, "sample", one(t, s, predictions.Query{}).SampleID, "sample_2")
}

func retention(t *testing.T, s *predictions.Store) {
	must(t, reopen(t, s, predictions.Options{}).Record(t.Context(), full()))
	got := one(t, s, predictions.Query{ID: "job-1"})
	if got.Input != nil || got.Labels != nil {
		t.Errorf("kept %q and %v", got.Input, got.Labels)
	}
	keep := reopen(t, s, predictions.Options{KeepInputs: true})
	for i := range 3 {
		p := full()
		p.ID, p.At = fmt.Sprint(i), noon.Add(time.Duration(i)*time.Hour)
		must(t, keep.Record(t.Context(), p))
	}
	n, err := keep.Prune(t.Context(), noon.Add(time.Hour))
	must(t, err)
	equal(t, "pruned", n, 1)
	equal(t, "pruned input", one(t, s, predictions.Query{ID: "0"}).Input, nil)
	equal(t, "input", string(one(t, s, predictions.Query{ID: "1"}).Input), string(full().Input))
}

func hashes(t *testing.T, s *predictions.Store) {
	p := full()
	p.InputHash = nil
	must(t, s.Record(t.Context(), p))
	sum := sha256.Sum256(p.Input)
	equal(t, "hash", one(t, s, predictions.Query{ID: p.ID}).InputHash, sum[:])
	p.ID = "keyed"
	key := []byte("a key")
	must(t, reopen(t, s, predictions.Options{HashKey: key}).Record(t.Context(), p))
	mac := hmac.New(sha256.New, key)
	mac.Write(p.Input)
	equal(t, "hash with a key", one(t, s, predictions.Query{ID: p.ID}).InputHash, mac.Sum(nil))
}

func updates(t *testing.T, s *predictions.Store) {
	boom := errors.New("boom")
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			err := s.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				if err := s.RecordTx(ctx, tx, predictions.Prediction{ID: fmt.Sprint(i), Function: "f", Label: "x"}); err != nil {
					return err
				}
				switch i % 4 {
				case 1:
					return boom
				case 2: // an error of the database's spoils its transaction
					_, err := tx.ExecContext(ctx, "INSERT INTO no_such_table VALUES (1)")
					return err
				}
				return nil
			})
			if wantErr := i%4 == 1 || i%4 == 2; (err != nil) != wantErr || i%4 == 1 && !errors.Is(err, boom) {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	group.Wait()
	equal(t, "entries", len(all(t, s, predictions.Query{})), 50)
	for _, e := range all(t, s, predictions.Query{}) {
		var i int
		if _, err := fmt.Sscan(e.ID, &i); err != nil || i%4 == 1 || i%4 == 2 {
			t.Errorf("update %s was undone and is there", e.ID)
		}
	}
}

func panics(t *testing.T, s *predictions.Store) {
	func() {
		defer func() { equal[any](t, "panic", recover(), "boom") }()
		_ = s.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_ = s.RecordTx(ctx, tx, full())
			panic("boom")
		})
	}()
	must(t, s.Record(t.Context(), predictions.Prediction{ID: "after", Function: "f", Label: "x"}))
	equal(t, "entries", ids(all(t, s, predictions.Query{})), []string{"after"})
}

func nested(t *testing.T, s *predictions.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var inner error
	must(t, s.Update(ctx, func(ctx context.Context, _ *sql.Tx) error {
		inner = s.Record(ctx, full())
		return nil
	}))
	equal(t, "refused", inner != nil, s.Dialect() == predictions.SQLite)
}

func concurrent(t *testing.T, s *predictions.Store) {
	const writers, each = 8, 40
	other := reopen(t, s, predictions.Options{})
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			store := s
			if w%2 == 1 {
				store = other
			}
			for i := range each {
				if err := store.Record(t.Context(), predictions.Prediction{ID: fmt.Sprintf("%d-%d", w, i), Function: "f", Label: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	equal(t, "entries", len(all(t, s, predictions.Query{})), writers*each)
}

// crossed has two record the same predictions in opposite orders.
func crossed(t *testing.T, s *predictions.Store) {
	const n = 300 // in several statements
	var up []predictions.Prediction
	for i := range n {
		up = append(up, predictions.Prediction{ID: fmt.Sprintf("%04d", i), Function: "f", Label: "x", At: noon})
	}
	down := slices.Clone(up)
	slices.Reverse(down)
	var group sync.WaitGroup
	for _, some := range [][]predictions.Prediction{up, down} {
		group.Go(func() {
			if err := s.Record(t.Context(), some...); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	equal(t, "entries", len(all(t, s, predictions.Query{})), n)
}

func closed(t *testing.T, s *predictions.Store) {
	again := reopen(t, s, predictions.Options{})
	begun, end, done, shut := make(chan struct{}), make(chan struct{}), make(chan error), make(chan error)
	go func() {
		done <- again.Update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			close(begun)
			<-end
			return again.RecordTx(ctx, tx, predictions.Prediction{ID: "begun", Function: "f", Label: "x"})
		})
	}()
	<-begun
	go func() { shut <- again.Close() }()
	select {
	case err := <-shut:
		t.Errorf("it was closed before an update had ended: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(end)
	must(t, <-done)
	must(t, <-shut)
	equal(t, "ids", ids(all(t, s, predictions.Query{})), []string{"begun"})
	if err := again.Record(t.Context(), full()); !errors.Is(err, predictions.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
	must(t, again.Close())
	must(t, s.Record(t.Context(), full()))
}

func ended(t *testing.T, s *predictions.Store) {
	must(t, s.Record(t.Context(), full()))
	must(t, s.SetTruth(t.Context(), predictions.Truth{PredictionID: "job-1", Label: "x"}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	scope := predictions.Scope{Function: "tickets"}
	for name, call := range map[string]func() error{
		"Record":      func() error { return s.Record(ctx, predictions.Prediction{Function: "f", Label: "x"}) },
		"SetTruth":    func() error { return s.SetTruth(ctx, predictions.Truth{PredictionID: "job-1", Label: "y"}) },
		"Truths":      func() error { _, err := s.Truths(ctx, "tickets", full().ExternalID); return err },
		"Has":         func() error { _, err := s.Has(ctx, "job-1"); return err },
		"Erase":       func() error { _, err := s.Erase(ctx, "tickets", full().ExternalID); return err },
		"Prune":       func() error { _, err := s.Prune(ctx, time.Now()); return err },
		"Performance": func() error { _, err := s.Performance(ctx, scope); return err },
		"Confusion":   func() error { _, err := s.Confusion(ctx, scope); return err },
		"Calibration": func() error { _, err := s.Calibration(ctx, scope); return err },
		"Sources":     func() error { _, err := s.Sources(ctx, scope); return err },
		"Drift":       func() error { _, err := s.Drift(ctx, predictions.Span{}, scope); return err },
		"Export":      func() error { return s.Export(ctx, io.Discard, predictions.CSV, predictions.Query{}) },
		"Migrate":     func() error { return predictions.Migrate(ctx, s.DB(), s.Dialect(), "thing", files(one1)) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context.Canceled", name, err)
		}
	}
	equal(t, "truth", one(t, s, predictions.Query{}).Truth, "x")
}

func files(texts ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i, text := range texts {
		for _, d := range []predictions.Dialect{predictions.SQLite, predictions.PostgreSQL} {
			files[fmt.Sprintf("%04d_step.%v.sql", i+1, d)] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return files
}

const one1, two2 = "CREATE TABLE first_table (a TEXT);\nCREATE TABLE first_other (a TEXT);\n", "CREATE TABLE second_table (a TEXT);\n"

func newerSchema(t *testing.T, s *predictions.Store) {
	migrate := func(texts ...string) error {
		return predictions.Migrate(t.Context(), s.DB(), s.Dialect(), "thing", files(texts...))
	}
	must(t, migrate(one1))
	must(t, migrate(one1, two2))
	must(t, migrate(one1, two2))
	if err := migrate(one1); !errors.Is(err, predictions.ErrNewerSchema) {
		t.Errorf("error %v, want ErrNewerSchema", err)
	}
	must(t, predictions.Migrate(t.Context(), s.DB(), s.Dialect(), "another thing", files("CREATE TABLE third_table (a TEXT);")))
}

func changedMigration(t *testing.T, s *predictions.Store) {
	must(t, predictions.Migrate(t.Context(), s.DB(), s.Dialect(), "thing", files(one1)))
	must(t, predictions.Migrate(t.Context(), s.DB(), s.Dialect(), "thing", files(strings.ReplaceAll(one1, "\n", "\r\n"))))
	if err := predictions.Migrate(t.Context(), s.DB(), s.Dialect(), "thing", files(one1+"-- a comment\n")); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("error %v", err)
	}
	broken := files(one1, two2+"CREATE NONSENSE;")
	if predictions.Migrate(t.Context(), s.DB(), s.Dialect(), "thing", broken) == nil {
		t.Error("a broken migration went through")
	}
	must(t, predictions.Migrate(t.Context(), s.DB(), s.Dialect(), "thing", files(one1, two2)))
}

func startTogether(t *testing.T, s *predictions.Store) {
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if err := predictions.Migrate(t.Context(), s.DB(), s.Dialect(), "thing", files(one1, two2)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
