package outage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sparekey/sparekey/nyckel/internal/interrupt"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset/tickets"
)

// heldBack is the share of the texts that is asked instead of trained on, when
// both come from one file.
const heldBack = 0.4

// data is what the model learns and what it is asked.
type data struct {
	trainName, askName string
	train, ask         []dataset.Row
	own                bool // the texts that come with the demo
	seen               int  // texts left out of ask, since the model knows them
}

func loadData(ctx context.Context, o options) (*data, error) {
	if o.train == "" {
		rows, err := tickets.Rows()
		if err != nil {
			return nil, err
		}
		d := split(tickets.Name, rows, o.seed)
		d.own = true
		return d, nil
	}
	train, err := readFile(ctx, o.train)
	if err != nil {
		return nil, err
	}
	if o.input == "" {
		return checked(split(o.train, train, o.seed))
	}
	ask, err := readFile(ctx, o.input)
	if err != nil {
		return nil, err
	}
	d := &data{trainName: o.train, askName: o.input, train: train}
	if err := d.checkLabels(ask); err != nil {
		return nil, err
	}
	d.askUnseen(ask)
	return checked(d)
}

// readFile reads a file, which may be a pipe that has no end.
func readFile(ctx context.Context, name string) ([]dataset.Row, error) {
	return interrupt.OrEnd(ctx, func() ([]dataset.Row, error) { return dataset.ReadFile(name) })
}

// split holds back a share of each label's texts, chosen by the seed. A text
// that the file has twice, and that would be learned and asked, is learned only.
func split(name string, rows []dataset.Row, seed uint64) *data {
	d := &data{trainName: name, askName: name + ", held back"}
	random := rand.New(rand.NewPCG(seed, 1))
	held, learned := dataset.Split(random, rows, heldBack, 0)
	d.train = learned
	d.askUnseen(held)
	return d
}

// checkLabels refuses rows with a label that the model does not learn.
func (d *data) checkLabels(rows []dataset.Row) error {
	known := map[string]bool{}
	for _, row := range d.train {
		known[row.Label] = true
	}
	for _, row := range rows {
		if !known[row.Label] {
			return fmt.Errorf("%s:%d: label %q, expected one of those in %s, since no model could learn another", d.askName, row.Line, row.Label, d.trainName)
		}
	}
	return nil
}

// askUnseen takes those rows as questions whose text the model does not learn.
func (d *data) askUnseen(rows []dataset.Row) {
	d.ask = dataset.Unseen(rows, d.train)
	d.seen = len(rows) - len(d.ask)
}

// checked refuses data from which no demo can be made.
func checked(d *data) (*data, error) {
	perLabel := map[string]int{}
	trainable := 0
	for _, row := range d.train {
		if perLabel[row.Label]++; perLabel[row.Label] == 2 {
			trainable++
		}
	}
	if trainable < 2 {
		return nil, fmt.Errorf("%s: %d labels have 2 texts or more to learn from, expected at least 2", d.trainName, trainable)
	}
	if len(d.ask) == 0 {
		return nil, fmt.Errorf("%s: no text to ask that the model has not seen, expected at least one", d.askName)
	}
	return d, nil
}

func labelsOf(rows []dataset.Row) []string {
	var labels []string
	for _, row := range rows {
		labels = append(labels, row.Label)
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// Chances that a call asks for the second time what was asked before: in the same
// words, or in others.
const (
	repeats = 0.4
	rewords = 0.35
)

// questions returns n rows to ask, in order: some are new, some were asked before,
// as in the traffic of a real service, whose customers have much the same to ask.
// When no new text is left, all are asked again.
func (d *data) questions(n int, seed uint64) []dataset.Row {
	random := rand.New(rand.NewPCG(seed, 2))
	fresh := slices.Clone(d.ask)
	random.Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
	learned := map[string]bool{}
	for _, row := range d.train {
		learned[dataset.Fold(row.Text)] = true
	}
	asked := make([]dataset.Row, 0, n)
	for used := 0; len(asked) < n; {
		chance := random.Float64()
		if used == len(fresh) {
			chance *= repeats + rewords
		}
		switch {
		case used == 0 || chance >= repeats+rewords:
			asked = append(asked, fresh[used])
			used++
		case chance < repeats:
			asked = append(asked, asked[random.IntN(len(asked))])
		default:
			row := fresh[random.IntN(used)]
			if text := reword(random, row.Text); !learned[dataset.Fold(text)] {
				row.Text = text
			}
			asked = append(asked, row)
		}
	}
	return asked
}
