package main

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset/tickets"
)

// data is what the models learn and what they are asked.
type data struct {
	source string        // what messages call the texts
	first  []dataset.Row // what the first model learns
	later  []dataset.Row // what is imported later
	ask    []dataset.Row
}

// Shares of each label's texts: of those that are learned, what the first model
// gets; of all, what is held back to be asked if there is no file of questions.
const (
	firstShare = 0.3
	heldBack   = 0.4
)

func loadData(o options) (*data, error) {
	learned, err := readTrain(o.train)
	if err != nil {
		return nil, err
	}
	d := &data{source: cmp.Or(o.train, tickets.Name)}
	random := rand.New(rand.NewPCG(o.seed, 1))
	if o.input == "" {
		d.ask, learned = dataset.Split(random, learned, heldBack, 0)
	} else if d.ask, err = dataset.ReadFile(o.input); err != nil {
		return nil, err
	}
	d.first, d.later = dataset.Split(random, learned, firstShare, 0)
	d.ask = dataset.Unseen(d.ask, learned)
	random.Shuffle(len(d.ask), func(i, j int) { d.ask[i], d.ask[j] = d.ask[j], d.ask[i] })
	return d, d.check()
}

// readTrain reads a file, or the texts of the demos if it has no name.
func readTrain(name string) ([]dataset.Row, error) {
	if name == "" {
		return tickets.Rows()
	}
	return dataset.ReadFile(name)
}

// check refuses data from which no demo can be made.
func (d *data) check() error {
	perLabel := map[string]int{}
	for _, row := range d.first {
		perLabel[row.Label]++
	}
	trainable := 0
	for _, n := range perLabel {
		if n >= 2 {
			trainable++
		}
	}
	if trainable < 3 {
		return fmt.Errorf("%s: %d labels have enough texts for the first model, expected at least 3 with 2 texts or more of %.0f %%", d.source, trainable, 100*firstShare)
	}
	const enough = 200
	if len(d.ask) < enough {
		return fmt.Errorf("%s: %d texts to ask that no model has seen, expected at least %d: fewer prove nothing", d.source, len(d.ask), enough)
	}
	return nil
}

// samples are rows as the simulator imports them.
func samples(rows []dataset.Row) []nyckelsim.Sample {
	out := make([]nyckelsim.Sample, len(rows))
	for i, row := range rows {
		out[i] = nyckelsim.Sample{Text: row.Text, Label: row.Label}
	}
	return out
}

// mixedUp returns rows whose every third label is taken for the one after it.
func mixedUp(rows []dataset.Row) []dataset.Row {
	labels := map[string]bool{}
	for _, row := range rows {
		labels[row.Label] = true
	}
	names := slices.Sorted(maps.Keys(labels))
	wrong := map[string]string{}
	for i := 0; i < len(names); i += 3 {
		wrong[names[i]] = names[(i+1)%len(names)]
	}
	out := slices.Clone(rows)
	for i := range out {
		if label, ok := wrong[out[i].Label]; ok {
			out[i].Label = label
		}
	}
	return out
}
