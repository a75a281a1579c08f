// Package report draws what a prediction store knows as one HTML page: accuracy
// over time, reliability, drift and where the answers came from. The page has
// everything within itself, needs no script and no network, and gives each plot's
// figures as a table as well.
package report

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// Options say what a report is about. The zero value means every function and all
// time, by days.
type Options struct {
	// Title is the page's. "" means "Predictions".
	Title string

	// Function, if set, is the only one.
	Function string

	// Names are what the page calls models, by their ids. One without a name is
	// called by its id.
	Names map[string]string

	// From and To are the first moment and the first one after. Zero means
	// unbounded.
	From, To time.Time

	// Step is the length of a period. Zero means 24 hours.
	Step time.Duration

	// Base is what drift is measured against. Its zero value means each model's
	// first four periods.
	Base predictions.Span
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": percent, "interval": interval, "figure": func(x float64) string { return fmt.Sprintf("%.3f", x) },
}).Parse(pageText))

// Write writes the page about a store. Figures that rest on truths say how many:
// those are rarely known for a random part of the predictions.
func Write(ctx context.Context, w io.Writer, store *predictions.Store, o Options) error {
	o.Title = cmp.Or(o.Title, "Predictions")
	o.Step = cmp.Or(o.Step, 24*time.Hour)
	sections, err := read(ctx, store, o)
	if err != nil {
		return err
	}
	var b strings.Builder
	err = page.Execute(&b, struct {
		Options
		Made     time.Time
		Sections []*section
	}{o, time.Now().UTC().Truncate(time.Second), sections})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// A section is what the page says about one function.
type section struct {
	Function    string
	N, Known    int
	Performance []predictions.Performance
	Whole       []predictions.Performance // by model, over all periods
	Calibration []predictions.Calibration
	Drift       []predictions.Drift
	Sources     []predictions.SourceShare
	Confusion   []predictions.Confusion // the most frequent mistakes

	OwnBase bool // drift is measured against each model's own beginning

	names  map[string]string // of models
	layout string            // of times
	step   time.Duration
}

// read asks the store for the figures of all sections.
func read(ctx context.Context, store *predictions.Store, o Options) ([]*section, error) {
	scope := predictions.Scope{Function: o.Function, From: o.From, To: o.To, Step: o.Step}
	sources, err := store.Sources(ctx, scope)
	if err != nil {
		return nil, err
	}
	var sections []*section
	for _, share := range sources {
		if len(sections) == 0 || sections[len(sections)-1].Function != share.Function {
			sections = append(sections, newSection(share.Function, o))
		}
		s := sections[len(sections)-1]
		s.Sources = append(s.Sources, share)
	}
	for _, s := range sections {
		scope.Function = s.Function
		if err := s.read(ctx, store, scope, o.Base); err != nil {
			return nil, err
		}
	}
	return sections, nil
}

func newSection(function string, o Options) *section {
	layout := "2006-01-02"
	if o.Step < 24*time.Hour {
		layout = "2006-01-02 15:04"
	}
	return &section{Function: function, names: o.Names, layout: layout, step: o.Step}
}

// mistakes is how many pairs of the confusion are shown.
const mistakes = 10

func (s *section) read(ctx context.Context, store *predictions.Store, scope predictions.Scope, base predictions.Span) (err error) {
	if s.Performance, err = store.Performance(ctx, scope); err != nil {
		return err
	}
	whole := scope
	whole.Step = 0
	if s.Whole, err = store.Performance(ctx, whole); err != nil {
		return err
	}
	for _, p := range s.Whole {
		s.N += p.N
		s.Known += p.Known
	}
	if s.Calibration, err = store.Calibration(ctx, whole); err != nil {
		return err
	}
	s.OwnBase = base == (predictions.Span{})
	if s.Drift, err = store.Drift(ctx, base, scope); err != nil {
		return err
	}
	confusion, err := store.Confusion(ctx, whole)
	for _, c := range confusion {
		if c.Truth != c.Label {
			s.Confusion = append(s.Confusion, c)
		}
	}
	slices.SortStableFunc(s.Confusion, func(a, b predictions.Confusion) int { return b.N - a.N })
	s.Confusion = s.Confusion[:min(len(s.Confusion), mistakes)]
	return err
}

// Day writes a time as the tables do.
func (s *section) Day(t time.Time) string { return t.Format(s.layout) }

// Models are the models, the one with the most predictions first.
func (s *section) Models() []string {
	whole := slices.Clone(s.Whole)
	slices.SortStableFunc(whole, func(a, b predictions.Performance) int { return b.N - a.N })
	var models []string
	for _, p := range whole {
		models = append(models, p.Model)
	}
	return models
}

// Name is what the page calls a model.
func (s *section) Name(model string) string { return cmp.Or(s.names[model], model, "unpinned") }

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

func interval(low, high float64) string { return fmt.Sprintf("%.1f – %.1f %%", 100*low, 100*high) }

// Change names the label whose share changed most.
func (s *section) Change(d predictions.Drift) string {
	var most predictions.LabelShare
	for _, l := range d.Labels {
		if math.Abs(l.Now-l.Base) > math.Abs(most.Now-most.Base) {
			most = l
		}
	}
	if most.Label == "" {
		return "–"
	}
	return fmt.Sprintf("%s %.1f → %s", most.Label, 100*most.Base, percent(most.Now))
}
