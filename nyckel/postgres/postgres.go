// Package postgres opens PostgreSQL databases for the prediction store and the
// queue: one pool of connections, seen through pgx and through database/sql.
//
//	db, err := postgres.Open(ctx, "postgres://app@db.internal/predictions", postgres.Options{})
//	store, err := predictions.Open(ctx, db.SQL, predictions.PostgreSQL, predictions.Options{})
//	queue, err := riverjobs.New(ctx, db, store, riverjobs.Options{})
//
// The store and the queue belong in the same database: that a job is done and what
// it predicted are then one commit.
package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// MinVersion is the oldest version of PostgreSQL that Open accepts.
const MinVersion = 15

// ErrNotDurable is matched by the error of [Open] for a server that answers before
// a commit is on disk. What it had acknowledged could be gone after a power cut.
var ErrNotDurable = errors.New("postgres: the server's commits are not durable")

// Options configures [Open]. Its zero value is ready to use.
type Options struct {
	// MaxConns is how many connections the pool opens at most. A worker needs one
	// while it records what it did, and the queue three besides. Zero means the
	// pool_max_conns of the connection string, and 20 without one.
	MaxConns int

	// StatementTimeout ends statements that take longer, on the server. Zero means
	// the statement_timeout of the connection string, and 30 s without one;
	// negative means none.
	StatementTimeout time.Duration
}

// A DB is a PostgreSQL database. It is safe for concurrent use.
type DB struct {
	Pool *pgxpool.Pool
	SQL  *sql.DB // takes its connections from Pool
}

// Open connects to a database and checks that it can be relied on: its version,
// that it takes writes, and that its commits are durable. The connection string is
// a postgres:// URL or a list of key=value pairs. The error names neither password
// nor whole connection string.
//
// The caller closes the DB when those who use it are closed.
func Open(ctx context.Context, dsn string, opts Options) (*DB, error) {
	cfg, err := config(dsn, opts)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := check(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return &DB{Pool: pool, SQL: stdlib.OpenDBFromPool(pool)}, nil
}

// Close closes all connections. It waits for those in use.
func (db *DB) Close() error {
	err := db.SQL.Close()
	db.Pool.Close()
	return err
}

func config(dsn string, opts Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("postgres: the connection string is not valid" + detail(dsn, err) +
			"; want postgres://user:password@host:port/database or key=value pairs")
	}
	switch {
	case opts.MaxConns > 0:
		cfg.MaxConns = int32(min(opts.MaxConns, 10_000))
	case !strings.Contains(dsn, "pool_max_conns"):
		cfg.MaxConns = 20
	}
	params := cfg.ConnConfig.RuntimeParams
	params["application_name"] = cmp.Or(params["application_name"], "sparekey")
	if params["statement_timeout"] == "" {
		params["statement_timeout"] = "30000"
	}
	switch {
	case opts.StatementTimeout > 0:
		params["statement_timeout"] = strconv.FormatInt(max(1, opts.StatementTimeout.Milliseconds()), 10)
	case opts.StatementTimeout < 0:
		params["statement_timeout"] = "0"
	}
	// A client that stalls inside a transaction holds locks and, worse, a snapshot:
	// nothing that was deleted since can be cleaned up.
	params["idle_in_transaction_session_timeout"] = cmp.Or(params["idle_in_transaction_session_timeout"], "60000")
	return cfg, nil
}

// detail says what is wrong with a connection string where that cannot quote a
// part of a password: the parser of a URL that is none cuts it anywhere.
func detail(dsn string, err error) string {
	u, parseErr := url.Parse(dsn)
	reason := errors.Unwrap(err)
	if parseErr != nil || u.Scheme == "" || reason == nil {
		return ""
	}
	if password, ok := u.User.Password(); ok && password != "" && strings.Contains(reason.Error(), password) {
		return ""
	}
	return " (" + reason.Error() + ")"
}

// check refuses servers that cannot keep what the store and the queue promise.
func check(ctx context.Context, pool *pgxpool.Pool) error {
	var version int
	var readOnly, synchronous, fsync string
	err := pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int,
		current_setting('transaction_read_only'), current_setting('synchronous_commit'), current_setting('fsync')`).
		Scan(&version, &readOnly, &synchronous, &fsync)
	switch {
	case err != nil:
		return fmt.Errorf("postgres: %w", err)
	case version < MinVersion*10_000:
		return fmt.Errorf("postgres: the server is version %d, want at least %d", version/10_000, MinVersion)
	case readOnly == "on":
		return errors.New("postgres: the server takes no writes: it is a replica, or default_transaction_read_only is on")
	case synchronous == "off":
		return fmt.Errorf("%w: synchronous_commit is off, want on", ErrNotDurable)
	case fsync == "off":
		return fmt.Errorf("%w: fsync is off, want on", ErrNotDurable)
	}
	return nil
}
