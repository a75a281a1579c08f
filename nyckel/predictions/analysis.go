package predictions

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// A Scope says which predictions an analysis looks at. The zero value means all.
type Scope struct {
	Function string

	// From and To are the first moment and the first one after. Zero means
	// unbounded.
	From, To time.Time

	// Step is the length of the periods into which the time is cut, counted from
	// 1970-01-01 UTC: 24 hours are days of UTC. Zero means one period.
	Step time.Duration
}

// A Group names what a figure is about: the live answers of one model in one
// period. Answers of caches, rules and other endpoints say nothing about a model.
type Group struct {
	Function string
	Model    string    // "" if none was pinned, and so nobody knows
	Start    time.Time // of the period, zero if there is but one
}

// Counts say how much a figure rests on. Truths rarely come in for a random part of
// the predictions: beware of figures with a small share.
type Counts struct {
	N     int // live predictions
	Known int // those whose truth is known
}

// Share returns the part whose truth is known, 0 to 1.
func (c Counts) Share() float64 { return ratio(float64(c.Known), c.N) }

// Performance is how good a model was.
type Performance struct {
	Group
	Counts
	Correct int

	// Accuracy is Correct of Known, with its Wilson interval of 95 %.
	Accuracy  float64
	Low, High float64

	// Brier is the mean of (confidence - 1 if correct, else 0) squared, over those
	// whose truth is known: 0 is perfect, 0.25 is a coin that knows it is one.
	Brier float64

	// Confidence is the mean confidence of all.
	Confidence float64
}

// Performance returns figures by function, model and period, in that order.
func (s *Store) Performance(ctx context.Context, scope Scope) ([]Performance, error) {
	var figures []Performance
	err := s.eachGroup(ctx, scope, `SELECT COUNT(*), COUNT(t.label),
		COALESCE(SUM(CASE WHEN t.label = p.label THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN t.label = p.label THEN (1 - p.confidence) * (1 - p.confidence)
			WHEN t.label IS NOT NULL THEN p.confidence * p.confidence END), 0.0),
		COALESCE(SUM(p.confidence), 0.0) FROM sparekey_predictions p`+joinTruths+inGroup,
		func(g Group, scan func(...any) error) error {
			f := Performance{Group: g}
			var squares, confidences float64
			if err := scan(&f.N, &f.Known, &f.Correct, &squares, &confidences); err != nil || f.N == 0 {
				return err
			}
			f.Accuracy = ratio(float64(f.Correct), f.Known)
			f.Low, f.High = Wilson(f.Correct, f.Known)
			f.Brier = ratio(squares, f.Known)
			f.Confidence = ratio(confidences, f.N)
			figures = append(figures, f)
			return nil
		})
	return figures, err
}

// A Confusion is how often a model said Label where the truth was Truth.
type Confusion struct {
	Group
	Truth, Label string
	N            int
}

// Confusion returns the counts of all pairs that occurred, by function, model and
// period, the most frequent pair first.
func (s *Store) Confusion(ctx context.Context, scope Scope) ([]Confusion, error) {
	var figures []Confusion
	err := s.eachGroup(ctx, scope, `SELECT t.label, p.label, COUNT(*) FROM sparekey_predictions p JOIN `+truthOf+inGroup+
		` GROUP BY t.label, p.label ORDER BY 3 DESC, 1, 2`,
		func(g Group, scan func(...any) error) error {
			f := Confusion{Group: g}
			if err := scan(&f.Truth, &f.Label, &f.N); err != nil {
				return err
			}
			figures = append(figures, f)
			return nil
		})
	return figures, err
}

// Calibration says whether a model's confidence is the probability that it claims
// to be.
type Calibration struct {
	Group
	Counts

	// ECE is the expected calibration error: the distance between accuracy and
	// mean confidence, averaged over the bins by how many they hold.
	ECE float64

	// Bins are the ten tenths of the confidence, empty ones included. A confidence
	// of 1 is in the last.
	Bins [10]Bin
}

// A Bin is the predictions of one tenth of the confidence whose truth is known.
type Bin struct {
	From, To   float64
	N, Correct int

	// Confidence is the mean, Accuracy has its Wilson interval of 95 %. All are
	// zero if N is.
	Confidence float64
	Accuracy   float64
	Low, High  float64
}

// Calibration returns reliability tables by function, model and period.
func (s *Store) Calibration(ctx context.Context, scope Scope) ([]Calibration, error) {
	var figures []Calibration
	err := s.eachGroup(ctx, scope, `SELECT `+s.dialect.bin(10)+`, COUNT(*), COUNT(t.label),
		COALESCE(SUM(CASE WHEN t.label = p.label THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN t.label IS NOT NULL THEN p.confidence END), 0.0) FROM sparekey_predictions p`+joinTruths+inGroup+
		` GROUP BY 1`,
		func(g Group, scan func(...any) error) error {
			var bin, n int
			var b Bin
			var confidences float64
			if err := scan(&bin, &n, &b.N, &b.Correct, &confidences); err != nil {
				return err
			}
			if len(figures) == 0 || figures[len(figures)-1].Group != g {
				figures = append(figures, Calibration{Group: g})
			}
			b.Confidence = ratio(confidences, b.N)
			b.Accuracy = ratio(float64(b.Correct), b.N)
			b.Low, b.High = Wilson(b.Correct, b.N)
			c := &figures[len(figures)-1]
			c.N += n
			c.Known += b.N
			c.Bins[bin] = b
			return nil
		})
	for i := range figures {
		figures[i].finish()
	}
	return figures, err
}

func (c *Calibration) finish() {
	var sum float64
	for i := range c.Bins {
		b := &c.Bins[i]
		b.From, b.To = float64(i)/10, float64(i+1)/10
		sum += float64(b.N) * math.Abs(b.Accuracy-b.Confidence)
	}
	c.ECE = ratio(sum, c.Known)
}

// A SourceShare is how many answers of a function came from one source.
type SourceShare struct {
	Function string
	Start    time.Time // of the period, zero if there is but one
	Source   telemetry.Source
	N        int
	Share    float64 // of all answers of the function in the period
}

// Sources returns where the answers came from, by function and period.
func (s *Store) Sources(ctx context.Context, scope Scope) ([]SourceShare, error) {
	where, period := scope.conditions()
	query := "SELECT p.function, " + period + ", p.source, COUNT(*) FROM sparekey_predictions p" + where.text() +
		" GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
	var shares []SourceShare
	type key struct {
		function string
		start    time.Time
	}
	totals := make(map[key]int)
	err := s.each(ctx, query, where.args, func(scan func(...any) error) error {
		var f SourceShare
		var period int64
		if err := scan(&f.Function, &period, &f.Source, &f.N); err != nil {
			return err
		}
		f.Start = scope.start(period)
		totals[key{f.Function, f.Start}] += f.N
		shares = append(shares, f)
		return nil
	})
	for i, f := range shares {
		shares[i].Share = ratio(float64(f.N), totals[key{f.Function, f.Start}])
	}
	return shares, err
}

// each calls fn with each row of a query.
func (s *Store) each(ctx context.Context, query string, args []any, fn func(scan func(...any) error) error) error {
	rows, err := s.db.QueryContext(ctx, s.dialect.sql(query), args...)
	if err != nil {
		return fmt.Errorf("predictions: analyse: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return fmt.Errorf("predictions: analyse: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("predictions: analyse: %w", err)
	}
	return nil
}

// conditions returns those of the scope and the expression that numbers periods.
func (s Scope) conditions() (*conditions, string) {
	c := new(conditions)
	c.equal("p.function", s.Function)
	c.between(s.From, s.To)
	if s.Step <= 0 {
		return c, "0"
	}
	// A division rounds towards zero, which before 1970 is up.
	step := max(s.Step.Microseconds(), 1)
	return c, fmt.Sprintf("(p.at - (p.at %% %[1]d + %[1]d) %% %[1]d) / %[1]d", step)
}

// start returns when a period begins.
func (s Scope) start(period int64) time.Time {
	if s.Step <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(period * max(s.Step.Microseconds(), 1)).UTC()
}

func ratio(x float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return x / float64(n)
}

// Wilson returns the interval that holds the true share with a probability of
// 95 % when k of n were counted: 0 to 1 if n is 0.
func Wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054 // the 97.5th percentile of the normal distribution
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(centre-half, 0), min(centre+half, 1)
}
