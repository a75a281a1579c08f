package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sparekey/sparekey/nyckel/pin"
)

// figures are what the demo found.
type figures struct {
	Seed     uint64      `json:"seed"`
	Texts    string      `json:"texts"`
	Asked    int         `json:"asked"`
	Stopped  bool        `json:"stopped"`
	Models   []model     `json:"models"`
	Trials   []trial     `json:"trials"`
	Journal  []pin.Entry `json:"journal"`
	Promises []promise   `json:"promises"`
}

// A trial is one candidate in the shadow of an incumbent.
type trial struct {
	Incumbent       string          `json:"incumbent"` // by name
	Candidate       string          `json:"candidate"`
	LiveByIncumbent int             `json:"liveByIncumbent"` // live calls
	LiveFailed      int             `json:"liveFailed"`
	Shadow          pin.ShadowStats `json:"shadow"`
	Report          pin.Report      `json:"report"`
	Refused         []string        `json:"refused,omitempty"` // why the gate refused; none if it did not
}

// A promise is something that the demo is there to show.
type promise struct {
	Text    string `json:"text"`
	Kept    bool   `json:"kept"`
	Figures string `json:"figures"`
}

func (f *figures) promise(text string, kept bool, format string, args ...any) {
	f.Promises = append(f.Promises, promise{text, kept, fmt.Sprintf(format, args...)})
}

// judgeTrial makes promises of the first trial, whose candidate is bad, and of the
// second.
func (f *figures) judgeTrial(t trial, asked int) {
	f.promise(fmt.Sprintf("live calls are answered by the pinned model while the %s one is in the shadow", t.Candidate),
		t.LiveByIncumbent == asked, "%d of %d, %d failed", t.LiveByIncumbent, asked, t.LiveFailed)
	accuracy := fmt.Sprintf("accuracy %.1f %% against %.1f %%", 100*t.Report.CandidateAccuracy.Share(), 100*t.Report.IncumbentAccuracy.Share())
	if len(f.Trials) == 1 {
		f.promise("the worse candidate is refused", len(t.Refused) > 0 && t.Report.Gain < 0, "%s", accuracy)
	} else {
		f.promise("the better candidate is promoted", len(t.Refused) == 0 && t.Report.Gain > 0, "%s", accuracy)
	}
}

// kept reports whether the demo came to its end and kept all promises.
func (f *figures) kept() bool {
	return !f.Stopped && len(f.Promises) > 0 && !slices.ContainsFunc(f.Promises, func(p promise) bool { return !p.Kept })
}

// print writes the tables and the verdict.
func (f *figures) print(out io.Writer) error {
	f.printTable(out, "MODEL\tID\tTEXTS", func(row func(...any)) {
		for _, m := range f.Models {
			row(m.Name, m.ID, m.Texts)
		}
	})
	f.printTable(out, "CANDIDATE\tOVER\tCOMPARED\tAGREE\tRIGHT\tWAS\tRIGHT ALONE\tMCNEMAR P\tGAIN\tLATENCY", func(row func(...any)) {
		for _, t := range f.Trials {
			r := t.Report
			row(t.Candidate, t.Incumbent, r.Agreement.Of, percent(r.Agreement.Share()), percent(r.CandidateAccuracy.Share()),
				percent(r.IncumbentAccuracy.Share()), fmt.Sprintf("%d : %d", r.OnlyCandidate, r.OnlyIncumbent), fmt.Sprintf("%.2g", r.P),
				fmt.Sprintf("%+.1f (%+.1f to %+.1f)", 100*r.Gain, 100*r.GainLow, 100*r.GainHigh), fmt.Sprintf("× %.2f", r.LatencyRatio()))
		}
	})
	for _, t := range f.Trials {
		f.printTrial(out, t)
	}
	f.printTable(out, "ACTION\tFROM\tTO\tBY\tREASON", func(row func(...any)) {
		for _, e := range f.Journal {
			row(e.Action, f.name(e.From), f.name(e.To), e.Actor, e.Reason)
		}
	})
	f.printTable(out, "KEPT\tPROMISE\tFIGURES", func(row func(...any)) {
		for _, p := range f.Promises {
			row(map[bool]string{true: "yes", false: "NO"}[p.Kept], p.Text, p.Figures)
		}
	})
	_, err := fmt.Fprintf(out, "\n%s\n", f.verdict())
	return err
}

// printTrial says what the models disagreed on most, and what the gate said.
func (f *figures) printTrial(out io.Writer, t trial) {
	fmt.Fprintf(out, "\nwhere the %s model says something else than the %s:\n", t.Candidate, t.Incumbent)
	shown := 0
	for _, cell := range t.Report.Confusion {
		if cell.Label != cell.CandidateLabel && shown < 3 {
			fmt.Fprintf(out, "  %4d × %s instead of %s\n", cell.Count, cell.CandidateLabel, cell.Label)
			shown++
		}
	}
	if len(t.Refused) == 0 {
		fmt.Fprintln(out, "the gate lets it pass")
	} else {
		fmt.Fprintf(out, "the gate refuses: %s\n", strings.Join(t.Refused, "; "))
	}
}

// printTable writes a table unless it is empty.
func (f *figures) printTable(out io.Writer, head string, rows func(row func(...any))) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	begun := false
	rows(func(cells ...any) {
		if !begun {
			fmt.Fprintf(table, "\n%s\n", head)
			begun = true
		}
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(table, "\t")
			}
			fmt.Fprint(table, cell)
		}
		fmt.Fprintln(table)
	})
	table.Flush()
}

// name returns what the tables call a model.
func (f *figures) name(id string) string {
	for _, m := range f.Models {
		if m.ID == id {
			return m.Name
		}
	}
	if id == "" {
		return "–"
	}
	return id
}

// verdict says it in one sentence.
func (f *figures) verdict() string {
	kept := 0
	for _, p := range f.Promises {
		if p.Kept {
			kept++
		}
	}
	if f.Stopped {
		return fmt.Sprintf("Verdict: stopped; of the promises tried, %d of %d were kept.", kept, len(f.Promises))
	}
	return fmt.Sprintf("Verdict: %d of %d promises were kept.", kept, len(f.Promises))
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
