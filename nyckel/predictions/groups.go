package predictions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// inGroup selects the live predictions of one group.
const inGroup = ` WHERE p.function = $1 AND p.model = $2 AND p.at >= $3 AND p.at < $4 AND p.source = 'live'`

// A stretch is a group with the bounds of its period.
type stretch struct {
	Group
	from, to int64
}

// eachGroup runs a query, which ends in inGroup, for each group of a scope, by
// function, model and period, and calls fn with each row. One query per group
// walks along an index; one for all would have to sort all predictions.
func (s *Store) eachGroup(ctx context.Context, scope Scope, query string, fn func(g Group, scan func(...any) error) error) error {
	p, err := s.firstStretch(ctx, scope)
	for ; p != nil && err == nil; p, err = s.nextStretch(ctx, scope, *p) {
		err := s.each(ctx, query, []any{p.Function, p.Model, p.from, p.to}, func(scan func(...any) error) error { return fn(p.Group, scan) })
		if err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("predictions: analyse: %w", err)
	}
	return nil
}

func (s *Store) firstStretch(ctx context.Context, scope Scope) (*stretch, error) {
	return s.seek(ctx, scope, "function >= $1", scope.Function)
}

// nextStretch returns the group that follows, nil if there is none: the next period
// of the model in which it predicted, else the next model.
func (s *Store) nextStretch(ctx context.Context, scope Scope, last stretch) (*stretch, error) {
	_, to := scope.bounds()
	if last.to < to {
		next, err := s.seek(ctx, scope, "function = $1 AND model = $2 AND at >= $3", last.Function, last.Model, last.to)
		if next != nil || err != nil {
			return next, err
		}
	}
	return s.seek(ctx, scope, "(function, model) > ($1, $2)", last.Function, last.Model)
}

// seek returns the first group under a condition that lies in the scope.
func (s *Store) seek(ctx context.Context, scope Scope, condition string, args ...any) (*stretch, error) {
	from, to := scope.bounds()
	for {
		var p stretch
		var at int64
		err := s.db.QueryRowContext(ctx, s.dialect.sql(`SELECT function, model, at FROM sparekey_predictions
			WHERE source = 'live' AND `+condition+` ORDER BY function, model, at LIMIT 1`), args...).Scan(&p.Function, &p.Model, &at)
		switch {
		case errors.Is(err, sql.ErrNoRows), err == nil && scope.Function != "" && p.Function != scope.Function:
			return nil, nil
		case err != nil:
			return nil, err
		case at >= to: // and so are all of this model that follow
			condition, args = "(function, model) > ($1, $2)", []any{p.Function, p.Model}
		case at < from:
			condition, args = "(function, model, at) >= ($1, $2, $3)", []any{p.Function, p.Model, from}
		default:
			p.Start, p.from, p.to = scope.period(at)
			return &p, nil
		}
	}
}

// bounds returns those of the scope in microseconds.
func (s Scope) bounds() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !s.From.IsZero() {
		from = s.From.UnixMicro()
	}
	if !s.To.IsZero() {
		to = s.To.UnixMicro()
	}
	return from, to
}

// period returns when the period around a moment begins, and which part of it lies
// in the scope.
func (s Scope) period(at int64) (start time.Time, from, to int64) {
	from, to = s.bounds()
	if s.Step <= 0 {
		return time.Time{}, from, to
	}
	step := max(s.Step.Microseconds(), 1)
	begin := at / step * step
	if at < begin { // before 1970 the division rounds up
		begin -= step
	}
	return time.UnixMicro(begin).UTC(), max(from, begin), min(to, begin+step)
}
