package predictions

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"
)

//go:embed migrations/*.sql
var embedded embed.FS

// ErrClosed is returned by the writing methods of a [Store] after Close.
var ErrClosed = errors.New("predictions: store is closed")

// Options configure a [Store]. The zero value keeps neither inputs nor the
// labels that came second.
type Options struct {
	// KeepInputs keeps the inputs of predictions, until [Store.Prune].
	KeepInputs bool

	// KeepLabels keeps the confidences of all labels of an answer.
	KeepLabels bool

	// HashKey is the key with which inputs are hashed. Without one the hash of a
	// short text gives the text away to whoever tries all likely ones. With
	// another key equal inputs no longer have equal hashes.
	HashKey []byte

	// OwnDB makes Close close the database too.
	OwnDB bool
}

// A Store records predictions and truths in a database. It is safe for concurrent
// use, and several stores, in several processes, may use one database.
type Store struct {
	db      *sql.DB
	dialect Dialect
	options Options
	many    *sql.Stmt  // inserts maxRows rows
	group   *committer // nil on PostgreSQL, which groups commits by itself
	direct  door       // for updates without a group
}

// A door lets updates in until it is closed.
type door struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

// enter reports whether the door was open. Who entered says when he is done.
func (d *door) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.inside.Add(1)
	}
	return !d.closed
}

// close waits for those inside.
func (d *door) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.inside.Wait()
}

// Open returns a store on a database, whose tables it creates or brings up to
// date: see [Migrate]. On SQLite the database must be one that package
// nyckel/sqlite opened, or be set up as there.
func Open(ctx context.Context, db *sql.DB, d Dialect, options Options) (*Store, error) {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, err
	}
	if err := Migrate(ctx, db, d, "predictions", files); err != nil {
		return nil, err
	}
	s := &Store{db: db, dialect: d, options: options}
	if s.many, err = db.PrepareContext(ctx, s.inserts(maxRows)); err != nil {
		return nil, fmt.Errorf("predictions: %w", err)
	}
	if d == SQLite {
		s.group = newCommitter(db)
	}
	return s, nil
}

// DB returns the database. Use it to read; writers that do not go through
// [Store.Update] make those that do wait.
func (s *Store) DB() *sql.DB { return s.db }

// Dialect returns the dialect of the database.
func (s *Store) Dialect() Dialect { return s.dialect }

// Close waits until what was given to Update is committed. Later writes fail with
// [ErrClosed].
func (s *Store) Close() error {
	if s.group != nil {
		s.group.close()
	}
	s.direct.close()
	err := s.many.Close()
	if s.options.OwnDB {
		err = errors.Join(err, s.db.Close())
	}
	return err
}

// Update calls fn in a transaction and commits what it wrote, unless it returns an
// error. When Update returns nil, that is durable; when it returns an error,
// nothing of it is there, except that on PostgreSQL the loss of the connection or the
// end of ctx during a commit leaves that open: write so that doing it again does no
// harm.
//
// On SQLite one goroutine does all updates, many in one transaction, which is
// what makes many small updates quick: fn must be short, must not call Update or
// Record and, as it may be called again when its transaction fails through no
// fault of its own, must set the same variables each time. The end of ctx takes
// back an update that waits, but does not interrupt one that has begun.
func (s *Store) Update(ctx context.Context, fn func(context.Context, *sql.Tx) error) error {
	if s.group != nil {
		return s.group.update(ctx, fn)
	}
	if !s.direct.enter() {
		return ErrClosed
	}
	defer s.direct.inside.Done()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("predictions: begin: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // of no use after a commit
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("predictions: commit: %w", err)
	}
	return nil
}

// Record records predictions, all or none. They are durable when it returns nil.
// One whose ID is recorded already changes nothing. The error matches [ErrInvalid]
// if one of them makes no sense.
func (s *Store) Record(ctx context.Context, ps ...Prediction) error {
	rows, err := s.rows(ps)
	if err != nil || len(rows) == 0 {
		return err
	}
	for {
		err := s.Update(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.insert(ctx, tx, rows) })
		if !isDeadlock(err) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond): // the other one goes on, and is soon done
		case <-ctx.Done():
			return err
		}
	}
}

// isDeadlock reports whether PostgreSQL rolled a transaction back as it and another
// one waited for each other: two that record the same, each in an order of its own.
func isDeadlock(err error) bool {
	state, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err)
	return ok && state.SQLState() == "40P01"
}

// RecordTx is Record in a transaction of the caller's, with whose commit the
// predictions become durable.
func (s *Store) RecordTx(ctx context.Context, tx *sql.Tx, ps ...Prediction) error {
	rows, err := s.rows(ps)
	if err != nil || len(rows) == 0 {
		return err
	}
	return s.insert(ctx, tx, rows)
}

// Has returns which of the ids are recorded.
func (s *Store) Has(ctx context.Context, ids ...string) (map[string]bool, error) {
	found := make(map[string]bool, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), maxRows)
		if err := s.has(ctx, ids[:n], found); err != nil {
			return nil, fmt.Errorf("predictions: %w", err)
		}
		ids = ids[n:]
	}
	return found, nil
}

func (s *Store) has(ctx context.Context, ids []string, found map[string]bool) error {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	query := "SELECT id FROM sparekey_predictions WHERE id IN (" + parameters(1, len(ids)) + ")"
	rows, err := s.db.QueryContext(ctx, s.dialect.sql(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		found[id] = true
	}
	return rows.Err()
}

// parameters returns "$7, $8, $9" for 7 and 3.
func parameters(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}
