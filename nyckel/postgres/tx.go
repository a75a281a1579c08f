package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// A Tx is one transaction that both kinds of users can take part in: those who
// know database/sql, by SQL, and those who know pgx, by [Tx.Pgx].
type Tx struct {
	SQL  *sql.Tx
	conn *sql.Conn
}

// InTx calls fn with a transaction, which it commits if fn returns nil and rolls
// back otherwise.
//
// The transaction itself does not end with ctx, only the statements that are given
// it: database/sql would roll back behind the back of pgx, whose next statement
// would then take effect by itself. A statement whose context ends takes its
// connection along, and with that the transaction.
func (db *DB) InTx(ctx context.Context, fn func(tx *Tx) error) (err error) {
	conn, err := db.SQL.Conn(ctx)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer conn.Close() //nolint:errcheck // gives the connection back to the pool
	sqlTx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer sqlTx.Rollback() //nolint:errcheck // after the commit it says so
	if err := fn(&Tx{SQL: sqlTx, conn: conn}); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("postgres: commit: %w", err)
	}
	return nil
}

// Pgx calls fn with the transaction as pgx knows it. Commit and Rollback fail on
// it: they are InTx's business. It is not to be used after fn has returned.
func (tx *Tx) Pgx(fn func(pgx.Tx) error) error {
	return tx.conn.Raw(func(driverConn any) error {
		conn := driverConn.(*stdlib.Conn).Conn()
		if conn.PgConn().TxStatus() != 'T' {
			return errors.New("postgres: the transaction is over")
		}
		return fn(borrowed{conn})
	})
}

// borrowed is a connection inside a transaction that somebody else began.
type borrowed struct{ conn *pgx.Conn }

var errBorrowed = errors.New("postgres: the transaction is another's to end, and to divide")

func (b borrowed) Begin(context.Context) (pgx.Tx, error) { return nil, errBorrowed }
func (b borrowed) Commit(context.Context) error          { return errBorrowed }
func (b borrowed) Rollback(context.Context) error        { return errBorrowed }
func (b borrowed) Conn() *pgx.Conn                       { return b.conn }
func (b borrowed) LargeObjects() pgx.LargeObjects        { return pgx.LargeObjects{} }

func (b borrowed) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return b.conn.CopyFrom(ctx, table, columns, rows)
}

func (b borrowed) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	return b.conn.SendBatch(ctx, batch)
}

func (b borrowed) Prepare(ctx context.Context, name, query string) (*pgconn.StatementDescription, error) {
	return b.conn.Prepare(ctx, name, query)
}

func (b borrowed) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	return b.conn.Exec(ctx, query, args...)
}

func (b borrowed) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	return b.conn.Query(ctx, query, args...)
}

func (b borrowed) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	return b.conn.QueryRow(ctx, query, args...)
}
