package predictions

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
)

// maxRows is how many rows one statement inserts or looks for.
const maxRows = 50

const columns = `id, function, model, sample_id, external_id, input_hash, label, label_id, confidence, labels,
	source, similarity, rule, verdict, attempts, latency, trace_id, at`

const numColumns = 18

// A row is a prediction that was checked, with its columns.
type row struct {
	id     string
	at     int64
	input  []byte
	values [numColumns]any
}

// rows checks predictions and turns them into rows.
func (s *Store) rows(ps []Prediction) ([]row, error) {
	rows := make([]row, len(ps))
	for i, p := range ps {
		p = p.withDefaults(s.options.HashKey)
		if err := p.validate(); err != nil {
			return nil, err
		}
		var labels any
		if s.options.KeepLabels && len(p.Labels) > 0 {
			text, err := json.Marshal(p.Labels)
			if err != nil {
				return nil, fmt.Errorf("predictions: labels of prediction %q: %w", p.ID, err)
			}
			labels = string(text)
		}
		var external any
		if p.ExternalID != "" {
			external = p.ExternalID
		}
		rows[i] = row{id: p.ID, at: p.At.UnixMicro(), values: [numColumns]any{
			p.ID, p.Function, p.Model, p.SampleID, external, p.InputHash, p.Label, p.LabelID, p.Confidence, labels,
			string(p.Source), p.Similarity, p.Rule, p.Verdict.String(), p.Attempts, p.Latency.Microseconds(), p.TraceID, p.At.UnixMicro(),
		}}
		if s.options.KeepInputs {
			rows[i].input = p.Input
		}
	}
	return rows, nil
}

// insert writes rows that are not there yet, a good number per statement.
func (s *Store) insert(ctx context.Context, tx *sql.Tx, rows []row) error {
	for len(rows) > 0 {
		n := min(len(rows), maxRows)
		if err := s.insertSome(ctx, tx, rows[:n]); err != nil {
			return fmt.Errorf("predictions: record: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

func (s *Store) insertSome(ctx context.Context, tx *sql.Tx, rows []row) error {
	args := make([]any, 0, len(rows)*numColumns)
	inputs := make(map[string]row)
	for _, r := range rows {
		args = append(args, r.values[:]...)
		if _, twice := inputs[r.id]; s.options.KeepInputs && !twice { // the first one is recorded
			inputs[r.id] = r
		}
	}
	if len(inputs) == 0 && len(rows) == maxRows { // what a batch consists of
		_, err := tx.StmtContext(ctx, s.many).ExecContext(ctx, args...)
		return err
	}
	query := s.inserts(len(rows))
	if len(inputs) == 0 {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}
	recorded, err := tx.QueryContext(ctx, query+" RETURNING id, seq", args...)
	if err != nil {
		return err
	}
	seqs, err := scanSeqs(recorded)
	if err != nil {
		return err
	}
	for id, seq := range seqs {
		if r := inputs[id]; r.input != nil {
			_, err := tx.ExecContext(ctx, s.dialect.sql("INSERT INTO sparekey_inputs (prediction, at, input) VALUES ($1, $2, $3)"), seq, r.at, r.input)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func scanSeqs(rows *sql.Rows) (map[string]int64, error) {
	defer rows.Close()
	seqs := make(map[string]int64)
	for rows.Next() {
		var id string
		var seq int64
		if err := rows.Scan(&id, &seq); err != nil {
			return nil, err
		}
		seqs[id] = seq
	}
	return seqs, rows.Err()
}

// inserts returns the statement that inserts n rows.
func (s *Store) inserts(n int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO sparekey_predictions (" + columns + ") VALUES ")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		if s.dialect == SQLite { // which looks for the name of a numbered parameter through all others
			b.WriteString("(" + strings.Repeat("?, ", numColumns-1) + "?)")
		} else {
			b.WriteString("(" + parameters(i*numColumns+1, numColumns) + ")")
		}
	}
	b.WriteString(" ON CONFLICT (id) DO NOTHING")
	return b.String()
}
