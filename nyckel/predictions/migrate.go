package predictions

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// ErrNewerSchema means that the database was migrated by a later version of the
// program than this one, which therefore leaves it alone.
var ErrNewerSchema = errors.New("the database's schema is newer than this program")

// Migrate brings the tables of one component, called name, up to date. Its files
// lie at the top of files and are named by number, from 1 without a gap, words
// and dialect: 0001_predictions.sqlite.sql. Each is executed once; all that are
// missing go into one transaction, so that the database is never in between.
// Programs that open the database at the same time wait for each other.
//
// A file that was executed must not change any more: its checksum is compared.
// The error matches [ErrNewerSchema] if the database has more migrations than
// files.
func Migrate(ctx context.Context, db *sql.DB, d Dialect, name string, files fs.FS) error {
	wanted, err := migrations(files, d)
	if err != nil {
		return fmt.Errorf("predictions: migrations of %s: %w", name, err)
	}
	m := migrator{dialect: d, name: name, wanted: wanted}
	missing, err := m.missing(ctx, db)
	if err == nil && len(missing) > 0 {
		err = m.migrate(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("predictions: migrate %s: %w", name, err)
	}
	return nil
}

type migration struct {
	file, text string
}

func (m migration) checksum() string {
	sum := sha256.Sum256([]byte(m.text))
	return hex.EncodeToString(sum[:])
}

// migrations reads the files of a dialect in order. Ends of lines are made
// equal, as a checkout may change them and checksums must not.
func migrations(files fs.FS, d Dialect) ([]migration, error) {
	if d != SQLite && d != PostgreSQL {
		return nil, errors.New("the dialect is neither SQLite nor PostgreSQL")
	}
	names, err := fs.Glob(files, "*."+d.name+".sql") // sorted
	if err != nil {
		return nil, err
	}
	var found []migration
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("%s: want number %d", name, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		found = append(found, migration{name, strings.ReplaceAll(string(text), "\r\n", "\n")})
	}
	return found, nil
}

type migrator struct {
	dialect Dialect
	name    string
	wanted  []migration
}

// querier is what *sql.DB, *sql.Conn and *sql.Tx have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// missing returns the migrations that the database lacks. It only reads, so that
// a program that may not change tables can open a database that is up to date.
func (m migrator) missing(ctx context.Context, q querier) ([]migration, error) {
	exists := "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sparekey_migrations')"
	if m.dialect == PostgreSQL {
		exists = "SELECT to_regclass('sparekey_migrations') IS NOT NULL"
	}
	var there bool
	if err := q.QueryRowContext(ctx, exists).Scan(&there); err != nil {
		return nil, err
	}
	if !there {
		return m.wanted, nil
	}
	rows, err := q.QueryContext(ctx, m.dialect.sql(`SELECT file, checksum FROM sparekey_migrations WHERE name = $1 ORDER BY number`), m.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var file, checksum string
		if err := rows.Scan(&file, &checksum); err != nil {
			return nil, err
		}
		if n >= len(m.wanted) {
			return nil, fmt.Errorf("%w: it has %s", ErrNewerSchema, file)
		}
		if checksum != m.wanted[n].checksum() {
			return nil, fmt.Errorf("%s was executed as %s and has changed since", m.wanted[n].file, file)
		}
	}
	return m.wanted[n:], rows.Err()
}

// migrate executes what is missing. Another program may have been faster, so it
// looks again once it holds the lock.
func (m migrator) migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // of no use after a commit
	if err := m.lock(ctx, tx); err != nil {
		return err
	}
	missing, err := m.missing(ctx, tx)
	if err != nil {
		return err
	}
	for i, file := range missing {
		if _, err := tx.ExecContext(ctx, file.text); err != nil {
			return fmt.Errorf("%s: %w", file.file, err)
		}
		_, err := tx.ExecContext(ctx, m.dialect.sql(`INSERT INTO sparekey_migrations (name, number, file, checksum, executed_at)
			VALUES ($1, $2, $3, $4, $5)`),
			m.name, len(m.wanted)-len(missing)+i+1, file.file, file.checksum(), time.Now().UnixMicro())
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// lock makes this transaction the only one that migrates. On SQLite the attempt
// to write does so.
func (m migrator) lock(ctx context.Context, tx *sql.Tx) error {
	if m.dialect == PostgreSQL {
		key := fnv.New64a()
		key.Write([]byte("sparekey_migrations"))
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(key.Sum64())); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS sparekey_migrations (
		name        TEXT NOT NULL,
		number      INTEGER NOT NULL,
		file        TEXT NOT NULL,
		checksum    TEXT NOT NULL,
		executed_at BIGINT NOT NULL, -- microseconds since 1970
		PRIMARY KEY (name, number)
	)`)
	return err
}
