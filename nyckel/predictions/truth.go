package predictions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// A Truth is what a sample really was. It holds for every prediction about the
// sample: all of the function with the external id or, for a prediction that has
// none, that one.
type Truth struct {
	// Function and ExternalID name the sample, of which no prediction need be
	// recorded yet; or PredictionID does, whose prediction must be.
	Function     string
	ExternalID   string
	PredictionID string

	// Label is the right label, as Prediction.Label would say it.
	Label string

	// By is who says so.
	By string

	// At is when it was said, kept in microseconds. Zero means now.
	At time.Time
}

// A TruthRecord is a truth as the store keeps it.
type TruthRecord struct {
	Truth

	// Current is false for one that was corrected since.
	Current bool

	// Submit says whether the service has been told, SubmittedAt when, and
	// SubmitError what went wrong the last time.
	Submit      SubmitState
	SubmittedAt time.Time
	SubmitError string
}

func (t Truth) validate() error {
	switch {
	case t.Label == "":
		return fmt.Errorf("%w: a truth without a label", ErrInvalid)
	case t.PredictionID == "" && (t.Function == "" || t.ExternalID == ""):
		return fmt.Errorf("%w: a truth needs a function and an external id, or the id of a prediction", ErrInvalid)
	case t.PredictionID != "" && t.ExternalID != "":
		return fmt.Errorf("%w: a truth has either an external id or the id of a prediction", ErrInvalid)
	case !hasPlace(t.At):
		return fmt.Errorf("%w: a truth of the year %d", ErrInvalid, t.At.UTC().Year())
	}
	if err := checkIndexed(t.Function, t.ExternalID, t.PredictionID); err != nil {
		return err
	}
	return checkText(t.Label, t.By)
}

// SetTruth records truths, all or none. The last one that was set is the current
// one, whatever its At; those before it are kept. Saying the same again changes
// nothing. The error matches [ErrInvalid] if a truth makes no sense, and [ErrNotFound]
// if no prediction has the PredictionID.
func (s *Store) SetTruth(ctx context.Context, truths ...Truth) error {
	for _, t := range truths {
		if err := t.validate(); err != nil {
			return err
		}
	}
	return s.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		subjects := make([]subject, len(truths))
		for i, t := range truths {
			var err error
			if subjects[i], err = s.subjectOf(ctx, tx, t); err != nil {
				return err
			}
		}
		if err := s.lock(ctx, tx, subjects); err != nil {
			return err
		}
		for i, t := range truths {
			if err := s.setTruth(ctx, tx, subjects[i], t); err != nil {
				return err
			}
		}
		return nil
	})
}

// A subject is the sample that a truth is about, as the table names it.
type subject struct{ function, id string }

// lock has those who speak about one sample take turns.
func (s *Store) lock(ctx context.Context, tx *sql.Tx, subjects []subject) error {
	if s.dialect != PostgreSQL { // SQLite has one writer at a time
		return nil
	}
	for _, key := range lockKeys(subjects) {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext('sparekey_truths'), $1)", key); err != nil {
			return fmt.Errorf("predictions: truth: %w", err)
		}
	}
	return nil
}

// maxLocks is how many locks one transaction takes at most: those of all transactions
// share a table that holds some thousands.
const maxLocks = 256

// lockKeys returns what stands for samples in locks, in one order whoever asks: of two
// with several samples one then waits for the other, and not both.
func lockKeys(subjects []subject) []int64 {
	keys := make([]int64, len(subjects))
	for i, about := range subjects {
		h := fnv.New64a()
		h.Write([]byte(about.function + "\x1f" + about.id))
		keys[i] = int64(h.Sum64() % maxLocks)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (s *Store) setTruth(ctx context.Context, tx *sql.Tx, about subject, t Truth) error {
	var label string
	err := tx.QueryRowContext(ctx, s.dialect.sql("SELECT label FROM sparekey_truths WHERE function = $1 AND sample = $2 AND current = 1"), about.function, about.id).Scan(&label)
	if err == nil && label == t.Label {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("predictions: truth: %w", err)
	}
	if t.At.IsZero() {
		t.At = time.Now()
	}
	for _, statement := range []struct {
		query string
		args  []any
	}{
		{"UPDATE sparekey_truths SET current = 0 WHERE function = $1 AND sample = $2 AND current = 1", []any{about.function, about.id}},
		{`INSERT INTO sparekey_truths (function, sample, label, by_whom, at, current, submit, submit_error)
			VALUES ($1, $2, $3, $4, $5, 1, 'open', '')`, []any{about.function, about.id, t.Label, t.By, t.At.UnixMicro()}},
	} {
		if _, err := tx.ExecContext(ctx, s.dialect.sql(statement.query), statement.args...); err != nil {
			return fmt.Errorf("predictions: truth: %w", err)
		}
	}
	return nil
}

// subjectOf returns what a truth is about.
func (s *Store) subjectOf(ctx context.Context, tx *sql.Tx, t Truth) (about subject, err error) {
	if t.PredictionID == "" {
		return subject{t.Function, t.ExternalID}, nil
	}
	query := s.dialect.sql("SELECT function, COALESCE(external_id, id) FROM sparekey_predictions WHERE id = $1")
	err = tx.QueryRowContext(ctx, query, t.PredictionID).Scan(&about.function, &about.id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return subject{}, fmt.Errorf("%w: %q", ErrNotFound, t.PredictionID)
	case err != nil:
		return subject{}, fmt.Errorf("predictions: truth: %w", err)
	case t.Function != "" && t.Function != about.function:
		return subject{}, fmt.Errorf("%w: prediction %q is of function %q, not %q", ErrInvalid, t.PredictionID, about.function, t.Function)
	}
	return about, nil
}

// Truths returns all truths that were set for a sample, the current one last. The
// sample is an external id or, of a prediction that has none, its id.
func (s *Store) Truths(ctx context.Context, function, sample string) ([]TruthRecord, error) {
	rows, err := s.db.QueryContext(ctx, s.dialect.sql(`SELECT label, by_whom, at, current, submit, COALESCE(submitted_at, 0), submit_error
		FROM sparekey_truths WHERE function = $1 AND sample = $2 ORDER BY seq`), function, sample)
	if err != nil {
		return nil, fmt.Errorf("predictions: truths: %w", err)
	}
	defer rows.Close()
	var records []TruthRecord
	for rows.Next() {
		r := TruthRecord{Truth: Truth{Function: function, ExternalID: sample}}
		var at, submitted int64
		var current int
		if err := rows.Scan(&r.Label, &r.By, &at, &current, &r.Submit, &submitted, &r.SubmitError); err != nil {
			return nil, fmt.Errorf("predictions: truths: %w", err)
		}
		r.At, r.Current = time.UnixMicro(at), current == 1
		if submitted > 0 {
			r.SubmittedAt = time.UnixMicro(submitted)
		}
		records = append(records, r)
	}
	return records, rows.Err()
}

// A SubmitState says whether the service was told a truth.
type SubmitState string

// The states.
const (
	SubmitOpen      SubmitState = "open"      // not tried yet
	SubmitDone      SubmitState = "done"      // the service has it
	SubmitLater     SubmitState = "later"     // tried; to be tried again
	SubmitAmbiguous SubmitState = "ambiguous" // several samples have the external id: never guessed
	SubmitRefused   SubmitState = "refused"   // the service does not want it, or cannot be told
	SubmitSkipped   SubmitState = "skipped"   // it confirms a prediction, and was not drawn
)
