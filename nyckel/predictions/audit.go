package predictions

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// A Query selects predictions. Its zero value selects all; every field that is
// set narrows that.
type Query struct {
	ID         string
	Function   string
	ExternalID string
	Model      string
	Label      string
	Source     telemetry.Source

	// From and To are the first moment and the first one after. Zero means
	// unbounded.
	From, To time.Time

	// After continues behind the entry that has this cursor, in a query that is
	// otherwise the same. "" begins at the beginning.
	After string

	// Limit is how many there are at most. Zero means no limit.
	Limit int
}

// An Entry is a recorded prediction with what is known about it today. Its Verdict is
// Unknown if a later version of the program recorded one that this one does not know.
type Entry struct {
	Prediction

	// Truth is the right label, "" while it is not known.
	Truth string

	// Cursor stands for the entry's place: see [Query.After].
	Cursor string
}

// pageSize is how many entries one statement reads.
const pageSize = 500

// Audit returns the predictions that a query selects: those of one function in
// the order of At, those of all in the order in which they were recorded. It
// reads page by page, so that a slow consumer keeps nobody waiting and sees what
// is recorded meanwhile behind the page that it is at. On PostgreSQL those that are
// recorded by several at once may become visible in another order: who follows the
// record by cursors may miss some. The sequence ends after an error.
func (s *Store) Audit(ctx context.Context, q Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for left := q.Limit; ; {
			n := pageSize
			if q.Limit > 0 {
				n = min(n, left)
			}
			page, err := s.page(ctx, q, n)
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("predictions: audit: %w", err))
				return
			}
			if left -= len(page); len(page) < n || left == 0 {
				return
			}
			q.After = page[len(page)-1].Cursor
		}
	}
}

// page returns at most n entries behind q.After.
func (s *Store) page(ctx context.Context, q Query, n int) ([]Entry, error) {
	where, err := q.conditions()
	if err != nil {
		return nil, err
	}
	order := "p.seq"
	if q.Function != "" {
		order = "p.at, p.seq"
	}
	query := "SELECT p.seq, " + prefixed + ", i.input, COALESCE(t.label, '')" +
		" FROM sparekey_predictions p LEFT JOIN sparekey_inputs i ON i.prediction = p.seq" + joinTruths +
		where.text() + " ORDER BY " + order + " LIMIT " + strconv.Itoa(n)
	rows, err := s.db.QueryContext(ctx, s.dialect.sql(query), where.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []Entry
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return page, err
		}
		page = append(page, e)
	}
	return page, rows.Err()
}

// truthOf is the truth t of a prediction p; joinTruths keeps those without one.
const (
	truthOf = `sparekey_truths t
	ON t.function = p.function AND t.sample = COALESCE(p.external_id, p.id) AND t.current = 1`
	joinTruths = " LEFT JOIN " + truthOf
)

var prefixed = "p." + strings.ReplaceAll(strings.Join(strings.Fields(columns), " "), ", ", ", p.")

func scanEntry(rows *sql.Rows) (Entry, error) {
	var e Entry
	var seq, latency, at int64
	var external, labels sql.NullString
	var source, verdict string
	err := rows.Scan(&seq, &e.ID, &e.Function, &e.Model, &e.SampleID, &external, &e.InputHash, &e.Label, &e.LabelID, &e.Confidence, &labels,
		&source, &e.Similarity, &e.Rule, &verdict, &e.Attempts, &latency, &e.TraceID, &at, &e.Input, &e.Truth)
	if err != nil {
		return Entry{}, err
	}
	e.ExternalID, e.Source = external.String, telemetry.Source(source)
	e.Latency, e.At = time.Duration(latency)*time.Microsecond, time.UnixMicro(at)
	e.Cursor = strconv.FormatInt(at, 10) + "." + strconv.FormatInt(seq, 10)
	if labels.Valid {
		if err := json.Unmarshal([]byte(labels.String), &e.Labels); err != nil {
			return Entry{}, fmt.Errorf("labels of %s: %w", e.ID, err)
		}
	}
	_ = e.Verdict.UnmarshalText([]byte(verdict)) // one that is not known is Unknown
	return e, nil
}

// conditions are those of a query's WHERE, with their arguments.
type conditions struct {
	texts []string
	args  []any
}

// add adds a condition whose parameters are written as question marks.
func (c *conditions) add(text string, args ...any) {
	for range args {
		text = strings.Replace(text, "?", "$"+strconv.Itoa(len(c.args)+1), 1)
		c.args = append(c.args, args[0])
		args = args[1:]
	}
	c.texts = append(c.texts, text)
}

func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ?", value)
	}
}

func (c *conditions) between(from, to time.Time) {
	if !from.IsZero() {
		c.add("p.at >= ?", from.UnixMicro())
	}
	if !to.IsZero() {
		c.add("p.at < ?", to.UnixMicro())
	}
}

func (c *conditions) text() string {
	if len(c.texts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.texts, " AND ")
}

func (q Query) conditions() (*conditions, error) {
	c := new(conditions)
	c.equal("p.id", q.ID)
	c.equal("p.function", q.Function)
	c.equal("p.external_id", q.ExternalID)
	c.equal("p.model", q.Model)
	c.equal("p.label", q.Label)
	c.equal("p.source", string(q.Source))
	c.between(q.From, q.To)
	if q.After == "" {
		return c, nil
	}
	first, second, _ := strings.Cut(q.After, ".")
	at, err1 := strconv.ParseInt(first, 10, 64)
	seq, err2 := strconv.ParseInt(second, 10, 64)
	if err := cmp.Or(err1, err2); err != nil {
		return nil, errors.New("the cursor is none of this store's")
	}
	if q.Function == "" {
		c.add("p.seq > ?", seq)
	} else {
		c.add("(p.at, p.seq) > (?, ?)", at, seq)
	}
	return c, nil
}
