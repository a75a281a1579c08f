package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// figures are what the demo found.
type figures struct {
	Seed        uint64                `json:"seed"`
	Texts       string                `json:"texts"`
	Asked       int                   `json:"asked"`
	Models      []model               `json:"models"`
	Weeks       []drift               `json:"weeks"`
	Corrections int                   `json:"corrections"` // of the first model
	Annotated   int                   `json:"annotated"`   // of them, with success
	Submitted   predictions.Submitted `json:"submitted"`
	Again       predictions.Submitted `json:"again"`    // a second submission
	Puts        int                   `json:"puts"`     // annotations that went over the wire
	MostPuts    int                   `json:"mostPuts"` // of one sample
	Report      string                `json:"report"`
	Promises    []promise             `json:"promises"`
}

// A model is one that was trained, and how good it was.
type model struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Texts      int     `json:"texts"` // it has learned from
	N          int     `json:"n"`     // predictions
	Known      int     `json:"known"` // of them, with a truth
	Accuracy   float64 `json:"accuracy"`
	Low        float64 `json:"low"` // of the interval of 95 %
	High       float64 `json:"high"`
	Confidence float64 `json:"confidence"`
	ECE        float64 `json:"ece"`
	Brier      float64 `json:"brier"`
}

// drift is how a week of a model differs from its first four.
type drift struct {
	Model      string  `json:"model"`
	Start      string  `json:"start"`
	N          int     `json:"n"`
	Accuracy   float64 `json:"accuracy"`
	Labels     float64 `json:"labels"`     // PSI
	Confidence float64 `json:"confidence"` // PSI
	Rush       bool    `json:"rush"`
}

// A promise is something that the demo is there to show.
type promise struct {
	Text    string `json:"text"`
	Kept    bool   `json:"kept"`
	Figures string `json:"figures"`
}

// judge asks the record for all figures and looks at what was promised.
func (d *demo) judge(ctx context.Context) error {
	if err := d.measure(ctx); err != nil {
		return err
	}
	if err := d.measureWeeks(ctx); err != nil {
		return err
	}
	before, after := d.Models[0], d.Models[1]
	recorded := 0
	for _, w := range d.Weeks {
		recorded += w.N
	}
	d.promise("each answer is recorded", recorded == d.Asked, "%d of %d", recorded, d.Asked)
	d.promise("each correction is annotated once", d.Annotated == d.Corrections && d.MostPuts == 1 && d.Puts == d.Submitted.Done,
		"%d of %d, and %d confirmations; %d calls", d.Annotated, d.Corrections, d.Submitted.Done-d.Annotated, d.Puts)
	d.promise("to submit again sends nothing", d.Again == predictions.Submitted{}, "%d sent", d.Again.Done)
	d.promise("the model that learned from it is better", after.Accuracy > before.Accuracy,
		"%s after %s", percent(after.Accuracy), percent(before.Accuracy))
	most, least := 0.0, 1e9 // before the rush, and in it
	for _, w := range d.Weeks {
		if w.Rush {
			least = min(least, w.Labels)
		} else {
			most = max(most, w.Labels)
		}
	}
	d.promise("the rush shows as drift of the labels", least > most && least > 0.25, "PSI at least %.2f in it, at most %.2f before", least, most)
	return nil
}

// measure fills in how good the models were before the rush: in it the texts are
// of another mix, which is no fault or merit of the model that has to answer them.
func (d *demo) measure(ctx context.Context) error {
	usual := predictions.Scope{Function: function, To: rush}
	performance, err := d.store.Performance(ctx, usual)
	if err != nil {
		return err
	}
	calibration, err := d.store.Calibration(ctx, usual)
	if err != nil {
		return err
	}
	for i := range d.Models {
		m := &d.Models[i]
		for _, p := range performance {
			if p.Model == m.ID {
				m.N, m.Known, m.Accuracy, m.Low, m.High, m.Confidence, m.Brier = p.N, p.Known, p.Accuracy, p.Low, p.High, p.Confidence, p.Brier
			}
		}
		for _, c := range calibration {
			if c.Model == m.ID {
				m.ECE = c.ECE
			}
		}
	}
	return nil
}

// measureWeeks fills in the weeks.
func (d *demo) measureWeeks(ctx context.Context) error {
	scope := predictions.Scope{Function: function, Step: week}
	performance, err := d.store.Performance(ctx, scope)
	if err != nil {
		return err
	}
	drifts, err := d.store.Drift(ctx, predictions.Span{}, scope)
	if err != nil {
		return err
	}
	for _, p := range performance {
		w := drift{Model: d.name(p.Model), Start: p.Start.Format("2006-01-02"), N: p.N, Accuracy: p.Accuracy, Rush: !p.Start.Before(rush)}
		for _, s := range drifts {
			if s.Group == p.Group {
				w.Labels, w.Confidence = s.LabelPSI, s.ConfidencePSI
			}
		}
		d.Weeks = append(d.Weeks, w)
	}
	slices.SortFunc(d.Weeks, func(a, b drift) int { return cmp.Compare(a.Start, b.Start) })
	return nil
}

// name returns what the tables call a model.
func (f *figures) name(id string) string {
	for _, m := range f.Models {
		if m.ID == id {
			return m.Name
		}
	}
	return id
}

func (f *figures) promise(text string, kept bool, format string, args ...any) {
	f.Promises = append(f.Promises, promise{text, kept, fmt.Sprintf(format, args...)})
}

// kept reports whether all promises were.
func (f *figures) kept() bool {
	return !slices.ContainsFunc(f.Promises, func(p promise) bool { return !p.Kept })
}

// print writes the tables.
func (f *figures) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(table, "\t")
			}
			fmt.Fprint(table, cell)
		}
		fmt.Fprintln(table)
	}
	fmt.Fprintln(table, "\nbefore the rush:")
	row("MODEL", "LEARNED", "ASKED", "TRUTH KNOWN", "ACCURACY", "95 %", "CONFIDENCE", "ECE", "BRIER")
	for _, m := range f.Models {
		row(m.Name, m.Texts, m.N, m.Known, percent(m.Accuracy), percent(m.Low)+" – "+percent(m.High), percent(m.Confidence),
			fmt.Sprintf("%.3f", m.ECE), fmt.Sprintf("%.3f", m.Brier))
	}
	row("\nWEEK", "MODEL", "ASKED", "ACCURACY", "LABEL PSI", "CONFIDENCE PSI", "")
	for _, w := range f.Weeks {
		row(w.Start, w.Model, w.N, percent(w.Accuracy), fmt.Sprintf("%.2f", w.Labels), fmt.Sprintf("%.2f", w.Confidence), map[bool]string{true: "rush"}[w.Rush])
	}
	row("\nKEPT", "PROMISE", "FIGURES")
	for _, p := range f.Promises {
		row(map[bool]string{true: "yes", false: "NO"}[p.Kept], p.Text, p.Figures)
	}
	if f.Report != "" {
		fmt.Fprintf(table, "\nreport: %s\n", f.Report)
	}
	return table.Flush()
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
