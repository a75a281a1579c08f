package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
)

func open(t *testing.T, dsn string, opts postgres.Options) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), dsn, opts)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestOpenSettings(t *testing.T) {
	dsn := pgtest.New(t)
	tests := []struct {
		name        string
		dsn         string
		opts        postgres.Options
		wantTimeout string
		wantConns   int32
	}{
		{"defaults", dsn, postgres.Options{}, "30s", 20},
		{"of the connection string", dsn + "&statement_timeout=7000&pool_max_conns=3", postgres.Options{}, "7s", 3},
		{
			"of the options", dsn + "&statement_timeout=7000&pool_max_conns=3",
			postgres.Options{MaxConns: 5, StatementTimeout: 2 * time.Second},
			"2s", 5,
		},
		{"no timeout", dsn, postgres.Options{StatementTimeout: -1}, "0", 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t, tt.dsn, tt.opts)
			var timeout, idle, name string
			err := db.SQL.QueryRowContext(t.Context(), `SELECT current_setting('statement_timeout'),
				current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')`).
				Scan(&timeout, &idle, &name)
			require.NoError(t, err)
			require.Equal(t, tt.wantTimeout, timeout)
			require.Equal(t, "1min", idle)
			require.Equal(t, "sparekey", name)
			require.Equal(t, tt.wantConns, db.Pool.Config().MaxConns)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	dsn := pgtest.New(t)
	_, err := postgres.Open(t.Context(), dsn+"&synchronous_commit=off", postgres.Options{})
	require.ErrorIs(t, err, postgres.ErrNotDurable)
	require.ErrorContains(t, err, "synchronous_commit is off")

	_, err = postgres.Open(t.Context(), dsn+"&default_transaction_read_only=on", postgres.Options{})
	require.ErrorContains(t, err, "takes no writes")
}

func TestOpenErrorsKeepThePassword(t *testing.T) {
	const password = "hunter2"
	tests := []struct{ name, dsn, want string }{
		{"nobody listens", "postgres://app:hunter2@127.0.0.1:1/x?sslmode=disable", "connection refused"},
		{"a bad setting", "postgres://app:hunter2@127.0.0.1/x?sslmode=maybe", "not valid"},
		{"a bad port", "postgres://app:hunter2@127.0.0.1:port/x", "not valid"},
		{"an unescaped password", "postgres://app:hunter2/hunter2#@127.0.0.1/x", "not valid"},
		{"pairs", "user=app password=hunter2 host=127.0.0.1 port=no", "not valid"},
		{"quoted pairs", "password='hunter2 host=127.0.0.1", "not valid"},
		{"not a string for this", "hunter2", "not valid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), tt.dsn, postgres.Options{})
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), password)
		})
	}
}

func TestStatementTimeout(t *testing.T) {
	db := open(t, pgtest.New(t), postgres.Options{StatementTimeout: 10 * time.Millisecond})
	_, err := db.SQL.ExecContext(t.Context(), "SELECT pg_sleep(60)")
	require.ErrorContains(t, err, "statement timeout")
}

// TestInTx writes through both kinds of access in one transaction.
func TestInTx(t *testing.T) {
	db := open(t, pgtest.New(t), postgres.Options{MaxConns: 2})
	_, err := db.Pool.Exec(t.Context(), "CREATE TABLE words (word text)")
	require.NoError(t, err)
	count := func() (n int) {
		require.NoError(t, db.SQL.QueryRowContext(t.Context(), "SELECT count(*) FROM words").Scan(&n))
		return n
	}
	both := func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.SQL.ExecContext(ctx, "INSERT INTO words VALUES ('sql')"); err != nil {
			return err
		}
		return tx.Pgx(func(px pgx.Tx) error {
			_, err := px.Exec(ctx, "INSERT INTO words VALUES ('pgx')")
			return err
		})
	}

	require.NoError(t, db.InTx(t.Context(), func(tx *postgres.Tx) error { return both(t.Context(), tx) }))
	require.Equal(t, 2, count(), "committed")

	wrong := errors.New("wrong")
	err = db.InTx(t.Context(), func(tx *postgres.Tx) error {
		require.NoError(t, both(t.Context(), tx))
		return wrong
	})
	require.ErrorIs(t, err, wrong)
	require.Equal(t, 2, count(), "rolled back")

	// A context that ends between two statements ends neither half of the work.
	ctx, cancel := context.WithCancel(t.Context())
	err = db.InTx(ctx, func(tx *postgres.Tx) error {
		require.NoError(t, both(ctx, tx))
		cancel()
		return both(t.Context(), tx)
	})
	require.NoError(t, err)
	require.Equal(t, 6, count())

	// One that ends during a statement ends all of it.
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	err = db.InTx(t.Context(), func(tx *postgres.Tx) error {
		require.NoError(t, both(t.Context(), tx))
		_, err := tx.SQL.ExecContext(ctx, "SELECT pg_sleep(60)")
		require.ErrorIs(t, err, context.Canceled)
		return both(t.Context(), tx)
	})
	require.Error(t, err)
	require.Equal(t, 6, count())
}

func TestInTxIsOthersToEnd(t *testing.T) {
	db := open(t, pgtest.New(t), postgres.Options{})
	err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		return tx.Pgx(func(px pgx.Tx) error {
			require.Error(t, px.Commit(t.Context()))
			require.Error(t, px.Rollback(t.Context()))
			_, err := px.Begin(t.Context())
			require.Error(t, err)
			return nil
		})
	})
	require.NoError(t, err)
}
