package lab

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes the rows as a table.
func Print(w io.Writer, rows []Row) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "trouble\tclient\tcalls\tof the SDK\tupstream\tthe program gets")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\n", r.Trouble, r.Client, r.Calls, r.Transport, r.Upstream, r.Error)
	}
	table.Flush()
}
