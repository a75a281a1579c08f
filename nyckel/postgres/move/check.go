package move

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A sum is over rows in whatever order: two databases need not agree about that of
// texts. Rows that are there twice count twice.
type sum [sha256.Size]byte

// add adds the hash of a row.
func (s *sum) add(columns []string, row []any) {
	fields := make([]string, len(row))
	for i, v := range row {
		if b, ok := v.([]byte); ok {
			v = hex.EncodeToString(b)
		}
		fields[i] = fmt.Sprintf("%s=%q", columns[i], fmt.Sprint(v))
	}
	slices.Sort(fields)
	carry := 0
	for i, b := range sha256.Sum256([]byte(strings.Join(fields, "\n"))) {
		carry += int(s[i]) + int(b)
		s[i] = byte(carry)
		carry >>= 8
	}
}

// check compares the old side with what the new one says about the same.
func (m *mover) check(ctx context.Context) error {
	var old, moved sum
	done := 0
	for after := int64(0); ; {
		p, err := m.read(ctx, "sparekey_predictions", after)
		if err != nil {
			return err
		}
		if len(p.rows) == 0 {
			break
		}
		ids := make([]string, len(p.rows))
		for i, row := range p.rows {
			old.add(p.columns, row)
			ids[i], _ = row[p.column("id")].(string)
		}
		there, err := m.query(ctx, "SELECT * FROM sparekey_predictions WHERE id = ANY ($1)", ids)
		if err != nil {
			return err
		}
		for _, row := range there.rows {
			moved.add(there.columns, row)
		}
		after, done = p.last, done+len(there.rows)
		m.OnProgress(Progress{"check", done, m.report.Predictions})
	}
	m.report.Hash = hex.EncodeToString(old[:])
	if done != m.report.Predictions || old != moved {
		return fmt.Errorf("%w: %d predictions with hash %s, and %d with hash %s", ErrDiffers, m.report.Predictions, m.report.Hash, done, hex.EncodeToString(moved[:]))
	}
	return m.checkTruths(ctx)
}

func (m *mover) query(ctx context.Context, query string, args ...any) (page, error) {
	rows, err := m.To.DB().QueryContext(ctx, query, args...)
	if err != nil {
		return page{}, err
	}
	return scan(rows)
}

// checkTruths looks for each truth of the old side on the new one.
func (m *mover) checkTruths(ctx context.Context) error {
	found := 0
	for after := int64(0); ; {
		p, err := m.read(ctx, "sparekey_truths", after)
		if err != nil {
			return err
		}
		if len(p.rows) == 0 {
			break
		}
		columns := make([][]string, 3)
		var at []int64
		for _, row := range p.rows {
			for i, name := range []string{"function", "sample", "label"} {
				text, _ := row[p.column(name)].(string)
				columns[i] = append(columns[i], text)
			}
			when, _ := row[p.column("at")].(int64)
			at = append(at, when)
		}
		var n int
		err = m.To.DB().QueryRowContext(ctx, `SELECT count(*) FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS o (function, sample, label, at)
			WHERE EXISTS (SELECT FROM sparekey_truths t WHERE t.function = o.function AND t.sample = o.sample AND t.label = o.label AND t.at = o.at)`,
			columns[0], columns[1], columns[2], at).Scan(&n)
		if err != nil {
			return err
		}
		after, found = p.last, found+n
	}
	if found != m.report.Truths {
		return fmt.Errorf("%w: %d truths, of which %d are there", ErrDiffers, m.report.Truths, found)
	}
	return nil
}
