// Package move takes a prediction store and its queue from SQLite to PostgreSQL,
// when one machine is not enough any more.
//
//	report, err := move.Move(ctx, move.Config{From: old, To: store, Jobs: engine})
//
// Stop those who work on the old side first, and those who write to it. A move may
// be killed at any time: begun again it goes on where it was. Everything has its
// id, so that nothing is there twice. At the end the old side and the new one are
// compared; then the old file may be put away.
package move

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrDiffers means that the two sides are not the same after a move. Somebody
// changed the old side meanwhile, or what was there on the new side contradicts it.
var ErrDiffers = errors.New("move: the two sides differ")

// A Queue takes jobs over: [jobs.Engine] has the one half of it.
type Queue interface {
	Enqueue(ctx context.Context, js ...jobs.Job) ([]jobs.Receipt, error)

	// Bury accepts jobs that are dead already.
	Bury(ctx context.Context, dead ...jobs.DeadJob) ([]jobs.Receipt, error)
}

// Config configures [Move].
type Config struct {
	From *predictions.Store // on SQLite; it is only read
	To   *predictions.Store // on PostgreSQL

	// Jobs takes the jobs over. Its bounds must leave room for them. Nil leaves them
	// behind.
	Jobs Queue

	// OnProgress is told how far it is, after every step. Nil tells nobody.
	OnProgress func(Progress)
}

// Progress says how far a part of a move is.
type Progress struct {
	Part        string // "predictions", "truths", "jobs" or "check"
	Done, Total int
}

// A Report says what the old side holds, all of which is on the new one.
type Report struct {
	Predictions int
	Truths      int
	Jobs        int // waiting; with those that were being done when their worker died
	Dead        int

	// Hash is over all predictions, equal on both sides, in hexadecimal digits.
	Hash string
}

// step is how many rows are moved in one transaction.
const step = 500

// Move moves everything. What was moved before it failed stays moved. The error
// matches [ErrDiffers] if the sides are not the same afterwards.
//
// Jobs keep id, queue, kind, payload, priority, number of attempts and when they
// are due, but have all their attempts again and count as enqueued now.
func Move(ctx context.Context, c Config) (Report, error) {
	if c.From.Dialect() != predictions.SQLite || c.To.Dialect() != predictions.PostgreSQL {
		return Report{}, errors.New("move: want a store on SQLite to move from, and one on PostgreSQL to move to")
	}
	if c.OnProgress == nil {
		c.OnProgress = func(Progress) {}
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return Report{}, err
	}
	if err := predictions.Migrate(ctx, c.To.DB(), predictions.PostgreSQL, "move", files); err != nil {
		return Report{}, fmt.Errorf("move: %w", err)
	}
	m := mover{Config: c}
	for _, part := range []func(context.Context) error{m.identify, m.predictions, m.truths, m.jobs, m.check} {
		if err := part(ctx); err != nil {
			return m.report, fmt.Errorf("move: %w", err)
		}
	}
	return m.report, nil
}

type mover struct {
	Config
	source string // tells the old side from others that are moved to the same place
	report Report
}

// identify names the old side by a hash of the first prediction and the first truth:
// their own names would outlast an erasure. If those are gone by the next time, it
// begins anew, which does no harm.
func (m *mover) identify(ctx context.Context) error {
	db := m.From.DB()
	var first string
	err := db.QueryRowContext(ctx, `SELECT
		COALESCE((SELECT id || ' ' || at FROM sparekey_predictions ORDER BY seq LIMIT 1), '') || ' / ' ||
		COALESCE((SELECT function || ' ' || sample || ' ' || at FROM sparekey_truths ORDER BY seq LIMIT 1), '')`).Scan(&first)
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(first))
	m.source = hex.EncodeToString(hash[:])
	for table, n := range map[string]*int{"sparekey_predictions": &m.report.Predictions, "sparekey_truths": &m.report.Truths} {
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(n); err != nil {
			return err
		}
	}
	return nil
}

// A page is some rows of a table, in the order of seq, which is not among their
// columns: each side counts by itself.
type page struct {
	columns []string
	rows    [][]any
	last    int64 // the seq of the last row
}

// read returns the rows behind a place.
func (m *mover) read(ctx context.Context, table string, after int64) (page, error) {
	rows, err := m.From.DB().QueryContext(ctx, fmt.Sprintf("SELECT * FROM %s WHERE seq > %d ORDER BY seq LIMIT %d", table, after, step))
	if err != nil {
		return page{}, err
	}
	return scan(rows)
}

// scan reads rows, the columns in whatever order they are.
func scan(rows *sql.Rows) (p page, err error) {
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return page{}, err
	}
	seq := -1
	for i, name := range columns {
		if name == "seq" {
			seq = i
		} else {
			p.columns = append(p.columns, name)
		}
	}
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return page{}, err
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok && b == nil { // SQLite's driver says so of bytes that are there, but none
				values[i] = []byte{}
			}
		}
		if seq >= 0 {
			p.last, _ = values[seq].(int64)
			values = append(values[:seq:seq], values[seq+1:]...)
		}
		p.rows = append(p.rows, values)
	}
	return p, rows.Err()
}

// column returns the place of a column.
func (p page) column(name string) int {
	for i, c := range p.columns {
		if c == name {
			return i
		}
	}
	return -1
}

// values returns the rows as the VALUES of a statement, with its arguments.
func (p page) values() (text string, args []any) {
	var b strings.Builder
	for i, row := range p.rows {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, v := range row {
			b.WriteByte("(,"[min(j, 1)])
			args = append(args, v)
			fmt.Fprintf(&b, "$%d", len(args))
		}
		b.WriteByte(')')
	}
	return b.String(), args
}

// table moves what is left of a table, a step at a time. That a step is done is in
// the same commit as its rows.
func (m *mover) table(ctx context.Context, part, table string, total int, write func(context.Context, *sql.Tx, page) error) error {
	var position int64
	err := m.To.DB().QueryRowContext(ctx, "SELECT position FROM sparekey_moves WHERE source = $1 AND part = $2", m.source, part).Scan(&position)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var done int
	if err := m.From.DB().QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE seq <= %d", table, position)).Scan(&done); err != nil {
		return err
	}
	for {
		p, err := m.read(ctx, table, position)
		if err != nil || len(p.rows) == 0 {
			return err
		}
		err = m.To.Update(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if err := write(ctx, tx, p); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO sparekey_moves (source, part, position) VALUES ($1, $2, $3)
				ON CONFLICT (source, part) DO UPDATE SET position = excluded.position`, m.source, part, p.last)
			return err
		})
		if err != nil {
			return err
		}
		position, done = p.last, done+len(p.rows)
		m.OnProgress(Progress{part, done, total})
	}
}
