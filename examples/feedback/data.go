package main

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset/tickets"
)

// The calendar of the demo. Periods of a week are counted from 1970-01-01, a
// Thursday, and so this is one.
var firstWeek = time.Date(2026, time.March, 5, 0, 0, 0, 0, time.UTC)

const (
	week        = 7 * 24 * time.Hour
	weeksBefore = 4 // with the first model
	weeksAfter  = 6 // with the second
	weeksRush   = 2 // the last of them
	rushLabels  = 3 // of which most texts are then
)

// rush is when it begins.
var rush = firstWeek.Add((weeksBefore + weeksAfter - weeksRush) * week)

// data is what the first model learns, and what is asked in each week.
type data struct {
	source string // what messages call the texts
	first  []nyckelsim.Sample
	weeks  [][]question
}

// A question is a text that is asked, with its true label.
type question struct {
	externalID  string
	text, label string
	at          time.Time
}

func loadData(o options) (*data, error) {
	rows, err := readRows(o.train)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(o.seed, 1))
	first, asked := dataset.Split(random, rows, o.learn, 2)
	if o.input != "" {
		if asked, err = readRows(o.input); err != nil {
			return nil, err
		}
	}
	d := &data{source: cmp.Or(o.train, tickets.Name)}
	known := map[string]bool{}
	for _, row := range first {
		known[row.Label] = true
		d.first = append(d.first, nyckelsim.Sample{Text: row.Text, Label: row.Label})
	}
	asked = slices.DeleteFunc(distinct(dataset.Unseen(asked, first)), func(row dataset.Row) bool { return !known[row.Label] })
	random.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
	d.plan(asked)
	return d, d.check(asked)
}

// readRows reads a file, or the texts of the demos if it has no name.
func readRows(name string) ([]dataset.Row, error) {
	if name == "" {
		return tickets.Rows()
	}
	return dataset.ReadFile(name)
}

// distinct returns the rows whose text comes first: the service keeps one sample per
// text, under one external id.
func distinct(rows []dataset.Row) []dataset.Row {
	seen := map[string]bool{}
	return slices.DeleteFunc(rows, func(row dataset.Row) bool {
		text := dataset.Fold(row.Text)
		again := seen[text]
		seen[text] = true
		return again
	})
}

// plan lays the rows out over the weeks, evenly. For the rush it keeps texts back
// of the labels that come first in the alphabet.
func (d *data) plan(rows []dataset.Row) {
	const weeks = weeksBefore + weeksAfter
	labels := map[string]bool{}
	for _, row := range rows {
		labels[row.Label] = true
	}
	names := slices.Sorted(maps.Keys(labels))
	rushed := names[:min(rushLabels, len(names))]
	perWeek := len(rows) / weeks
	var busy, usual []dataset.Row // of the rush, and of all other weeks
	for _, row := range rows {
		if slices.Contains(rushed, row.Label) && len(busy) < perWeek*weeksRush*2/3 {
			busy = append(busy, row)
		} else {
			usual = append(usual, row)
		}
	}
	d.weeks = make([][]question, weeks)
	for w := range d.weeks {
		n := min(perWeek, len(usual))
		var these []dataset.Row
		if left := weeks - w; left <= weeksRush { // the rush, filled up with others
			n = len(busy) / left
			these, busy = busy[:n], busy[n:]
			n = min(perWeek-n, len(usual))
		}
		these, usual = slices.Concat(these, usual[:n]), usual[n:]
		for i, row := range these {
			d.weeks[w] = append(d.weeks[w], question{
				externalID: fmt.Sprintf("week-%02d-%04d", w+1, i+1), text: row.Text, label: row.Label,
				at: firstWeek.Add(time.Duration(w)*week + time.Duration(i)*week/time.Duration(len(these))),
			})
		}
	}
}

// times returns when each question is asked, by its external id.
func (d *data) times() map[string]time.Time {
	at := map[string]time.Time{}
	for _, questions := range d.weeks {
		for _, q := range questions {
			at[q.externalID] = q.at
		}
	}
	return at
}

// check refuses data from which no demo can be made.
func (d *data) check(asked []dataset.Row) error {
	perLabel := map[string]int{}
	trainable := 0
	for _, s := range d.first {
		if perLabel[s.Label]++; perLabel[s.Label] == 2 {
			trainable++
		}
	}
	if trainable < rushLabels {
		return fmt.Errorf("%s: %d labels have 2 texts or more, expected at least %d", d.source, trainable, rushLabels)
	}
	const enough = 200
	if len(asked) < enough {
		return fmt.Errorf("%s: %d different texts to ask that the first model does not learn, expected at least %d: fewer prove nothing", d.source, len(asked), enough)
	}
	return nil
}
