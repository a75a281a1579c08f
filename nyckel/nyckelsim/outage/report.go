package outage

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/telemetry"
)

// endpoint is what another endpoint than the first counts as, whatever its name.
const endpoint telemetry.Source = "endpoint"

// sources in the order in which they are shown.
var sources = []telemetry.Source{telemetry.Live, endpoint, telemetry.Cache, telemetry.Stale, telemetry.Similar, telemetry.Rule, telemetry.Static}

// print writes the tables and the verdict.
func (f *figures) print(out io.Writer) {
	if f.Totals[0].Calls+f.Totals[1].Calls == 0 {
		fmt.Fprintln(out, "\n"+f.verdict())
		return
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PHASE\tCLIENT\tCALLS\tANSWERED\tRIGHT\tP50\tP99\tUPSTREAM/CALL\tANSWERS FROM")
	phase := ""
	for _, t := range append(f.Rows, f.Totals...) {
		name := t.Phase
		if name == phase {
			name = ""
		}
		phase = t.Phase
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%.0f ms\t%.0f ms\t%.2f\t%s\n", name, t.Client, t.Calls,
			percent(t.Answered, t.Calls), percent(t.Right, t.Calls), t.P50, t.P99, ratio(int(t.Upstream), t.Calls), t.from())
	}
	table.Flush()
	fmt.Fprintf(out, "\nright = the true label, of all calls; %.0f %% of the calls repeat an earlier text\n\n", 100*f.Repeated)

	f.printSources(out)
	fmt.Fprintf(out, "\n%s\n", f.verdict())
}

// printSources writes what each kind of answer promised and what came of it.
func (f *figures) printSources(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SPAREKEY'S ANSWERS\tCOUNT\tPREDICTED\tCOUNTED\tRIGHT OF THESE")
	for _, source := range sources {
		if c := f.Totals[1].Sources[source]; c != nil {
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", source, c.Answers, c.predicted(), c.counted(), percent(c.Right, c.Answers))
		}
	}
	table.Flush()
	fmt.Fprintln(out, `
predicted = the service would say the same, as each answer itself stated, by so many comparisons while the service answered
counted = the service says the same, asked afterwards; in brackets how many, and between what bounds that lies with 95 %
right = the true label, which the service does not always have`)
	fmt.Fprintln(out, f.Similar)
}

// predicted says what the answers stated of themselves, on average.
func (c *counter) predicted() string {
	if c.Stated == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %% (%d)", 100*c.Predicted, c.Samples)
}

// counted says how many had the service's label, of those whose label is known,
// and what share that may well be of many: of a few, the count alone says little.
func (c *counter) counted() string {
	if c.Known == 0 {
		return "–"
	}
	low, high := fallback.FidelityFigure{Given: c.Known, GivenAgreed: c.Agreed}.Interval()
	return fmt.Sprintf("%s (%d, %.0f–%.0f %%)", percent(c.Agreed, c.Known), c.Known, 100*low, 100*high)
}

// from lists the sources of the answers.
func (t *tally) from() string {
	var parts []string
	for _, source := range sources {
		if c := t.Sources[source]; c != nil {
			parts = append(parts, fmt.Sprintf("%s %d", source, c.Answers))
		}
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, ", ")
}

// verdict says it in one sentence.
func (f *figures) verdict() string {
	plain, ours := f.Totals[0], f.Totals[1]
	degraded, named := 0, 0
	for _, source := range sources {
		c := ours.Sources[source]
		if c == nil {
			continue
		}
		named += c.Answers
		if (telemetry.Answer{Source: source}).Degraded() {
			degraded += c.Answers
		}
	}
	honesty := "each named its source"
	if named < ours.Answered {
		honesty = fmt.Sprintf("%d did not name their source", ours.Answered-named)
	}
	stopped := ""
	if f.Stopped != "" {
		stopped = "stopped after " + f.Stopped + ": "
	}
	if f.Worsened > 0 {
		stopped += fmt.Sprintf("made worse by hand, %d×: ", f.Worsened)
	}
	if plain.Calls+ours.Calls == 0 {
		return "Verdict: " + stopped + "no call was answered yet."
	}
	return fmt.Sprintf("Verdict: %sthe bare client answered %s of its calls (%s right), sparekey %s (%s right) with %.2f upstream calls per call; %s of its answers were degraded, and %s.",
		stopped, percent(plain.Answered, plain.Calls), percent(plain.Right, plain.Calls),
		percent(ours.Answered, ours.Calls), percent(ours.Right, ours.Calls),
		ratio(int(ours.Upstream), ours.Calls), percent(degraded, ours.Answered), honesty)
}

// percent says "100.0 %" only of all.
func percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	share := math.Round(1000*ratio(part, whole)) / 10
	if part < whole {
		share = min(share, 99.9)
	}
	return fmt.Sprintf("%.1f %%", share)
}
