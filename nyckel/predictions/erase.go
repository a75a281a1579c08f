package predictions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Erased says what an erasure deleted.
type Erased struct {
	Predictions int
	Inputs      int
	Truths      int

	// InLog is true if the database still has the old pages in its write-ahead
	// log, because somebody was reading them. They go when the log is next written
	// back; another Erase tries that.
	InLog bool
}

// Erase deletes everything about one sample of a function, by its external id:
// predictions, inputs, truths and their corrections.
//
// On a SQLite database that package nyckel/sqlite opened it is gone from the file
// as well: deleted content is overwritten, and the write-ahead log is emptied. Of few
// rows the file may hold a second copy all the same, which SQLite left in a page when
// it moved the row to another one, long before: VACUUM writes the file anew, without
// those, and another Erase empties the log of the old pages.
//
// On PostgreSQL its bytes stay in the files, though no query finds them, until VACUUM
// FULL writes the tables anew: VACUUM alone frees their place, but does not overwrite
// it. The statistics of the planner hold names until ANALYZE, and the server's
// write-ahead log holds all until it is recycled.
//
// Of backups nobody here knows, nor of what the service keeps, nor of what a [Writer]
// has queued, which is recorded all the same ([Writer.Flush] before), nor of jobs: one
// that waits is recorded once it is done, and a dead one keeps its payload until it is
// discarded.
func (s *Store) Erase(ctx context.Context, function, externalID string) (Erased, error) {
	if function == "" || externalID == "" {
		return Erased{}, errors.New("predictions: erase needs a function and an external id")
	}
	var e Erased
	err := s.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		const these = "FROM sparekey_predictions WHERE function = $1 AND external_id = $2"
		for _, step := range []struct {
			query string
			args  []any
			count *int
		}{
			{"INSERT INTO sparekey_erasing (external_id) VALUES ($1)", []any{externalID}, nil},
			{"DELETE FROM sparekey_inputs WHERE prediction IN (SELECT seq " + these + ")", []any{function, externalID}, &e.Inputs},
			// One that still has an input was recorded since.
			{"DELETE " + these + " AND NOT EXISTS (SELECT 1 FROM sparekey_inputs WHERE prediction = seq)", []any{function, externalID}, &e.Predictions},
			{"DELETE FROM sparekey_truths WHERE function = $1 AND sample = $2", []any{function, externalID}, &e.Truths},
			{"DELETE FROM sparekey_erasing", nil, nil},
		} {
			result, err := tx.ExecContext(ctx, s.dialect.sql(step.query), step.args...)
			if err != nil {
				return fmt.Errorf("predictions: erase: %w", err)
			}
			if step.count == nil {
				continue
			}
			n, err := result.RowsAffected()
			if err != nil {
				return fmt.Errorf("predictions: erase: %w", err)
			}
			*step.count = int(n)
		}
		return nil
	})
	if err != nil {
		return Erased{}, err
	}
	e.InLog, err = s.emptyLog(ctx)
	return e, err
}

// Prune deletes the inputs of predictions made before a moment, and returns how
// many. The predictions stay. From SQLite's files the inputs are gone as after
// [Store.Erase], but nobody is told if a reader keeps them in the log.
func (s *Store) Prune(ctx context.Context, before time.Time) (int, error) {
	var deleted int64
	err := s.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.dialect.sql("DELETE FROM sparekey_inputs WHERE at < $1"), before.UnixMicro())
		if err != nil {
			return fmt.Errorf("predictions: prune: %w", err)
		}
		deleted, err = result.RowsAffected()
		return err
	})
	if err == nil {
		_, err = s.emptyLog(ctx)
	}
	return int(deleted), err
}

// emptyLog writes SQLite's write-ahead log back and truncates it. It reports
// whether somebody prevented that.
func (s *Store) emptyLog(ctx context.Context) (prevented bool, err error) {
	if s.dialect != SQLite {
		return false, nil
	}
	var busy, pages, written int
	if err := s.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &written); err != nil {
		return true, fmt.Errorf("predictions: empty the log: %w", err)
	}
	return busy != 0, nil
}
