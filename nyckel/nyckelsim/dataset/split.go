package dataset

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Split takes a share of each label's rows, rounded down, but least of them if there are
// as many. Which ones is up to random alone: labels come in alphabetical order.
func Split(random *rand.Rand, rows []Row, share float64, least int) (taken, rest []Row) {
	byLabel := map[string][]Row{}
	for _, row := range rows {
		byLabel[row.Label] = append(byLabel[row.Label], row)
	}
	for _, label := range slices.Sorted(maps.Keys(byLabel)) {
		group := byLabel[label]
		random.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		n := min(max(least, int(share*float64(len(group)))), len(group))
		taken, rest = append(taken, group[:n]...), append(rest, group[n:]...)
	}
	return taken, rest
}

// Unseen returns the rows whose text no learned row has, as [Fold] makes texts equal.
func Unseen(rows, learned []Row) []Row {
	known := map[string]bool{}
	for _, row := range learned {
		known[Fold(row.Text)] = true
	}
	return slices.DeleteFunc(slices.Clone(rows), func(row Row) bool { return known[Fold(row.Text)] })
}

// Fold makes texts equal that differ in case and white space only.
func Fold(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }
