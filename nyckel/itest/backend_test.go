package itest_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

// A backend is a kind of engine, as a process that is to be killed opens it.
type backend struct {
	// create returns the name of a new, empty database.
	create func(t *testing.T) string

	// open opens it, with a lease of so long.
	open func(ctx context.Context, name string, lease time.Duration) (*opened, error)

	// killServer kills the database server and starts it again. Nil means that
	// there is none.
	killServer func(t *testing.T)

	// slow says that the short forms of the tests must be shorter, as it takes a
	// while until the jobs of a dead process are found.
	slow bool

	// recovers bounds the time in which the jobs of a process that died are done
	// again.
	recovers time.Duration

	// check looks over a database that nobody uses. Nil means that there is nothing
	// to look at.
	check func(t testing.TB, name string)
}

// opened is what a process works with.
type opened struct {
	jobs.Engine
	store *predictions.Store
	db    io.Closer // nil if the store owns it
}

func (o *opened) close() error {
	err := errors.Join(o.Close(), o.store.Close())
	if o.db != nil {
		err = errors.Join(err, o.db.Close())
	}
	return err
}

// backends are those under test, by name.
var backends = map[string]backend{
	"sqlite": {
		create:   func(t *testing.T) string { return filepath.Join(t.TempDir(), "jobs.db") },
		open:     openSQLiteBackend,
		check:    checkIntegrity,
		recovers: 35 * time.Second,
	},
}

func openSQLiteBackend(ctx context.Context, path string, lease time.Duration) (*opened, error) {
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	return openOn(ctx, db, lease)
}

func openOn(ctx context.Context, db *sql.DB, lease time.Duration) (*opened, error) {
	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{OwnDB: true})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	engine, err := sqlitejobs.New(ctx, store, sqlitejobs.Options{Lease: lease, Bound: -1})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &opened{Engine: engine, store: store}, nil
}

// careless is a backend that does not sync its commits. It is not under test: it
// shows that a test can see what is lost.
const careless = "careless"

func openCareless(ctx context.Context, path string, lease time.Duration) (*opened, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return nil, err
	}
	return openOn(ctx, db, lease)
}

// scalar returns the only value of a query.
func scalar[T any](t testing.TB, db *sql.DB, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}
