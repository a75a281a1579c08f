package main

import (
	"context"
	"fmt"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

// A model is one that was trained for the demo.
type model struct {
	ID    string `json:"id"`
	Name  string `json:"name"`  // what the tables call it
	Texts int    `json:"texts"` // it has learned from
}

// trainer makes the models of one function, each from what is annotated by then.
type trainer struct {
	sim      *nyckelsim.Server
	function string
	texts    map[string]bool
}

// train imports rows and trains the next model. It returns when ctx ends, too; the
// training then goes on for nobody.
func (t *trainer) train(ctx context.Context, name string, rows []dataset.Row) (model, error) {
	if ctx.Err() != nil {
		return model{}, context.Cause(ctx)
	}
	if err := t.sim.Import(t.function, samples(rows)); err != nil {
		return model{}, err
	}
	for _, row := range rows {
		t.texts[row.Text] = true
	}
	type outcome struct {
		id  string
		err error
	}
	trained := make(chan outcome, 1)
	go func() {
		id, err := t.sim.Train(t.function)
		trained <- outcome{id, err}
	}()
	select {
	case o := <-trained:
		if o.err != nil {
			return model{}, fmt.Errorf("train %s: %w", name, o.err)
		}
		return model{ID: o.id, Name: name, Texts: len(t.texts)}, nil
	case <-ctx.Done():
		return model{}, context.Cause(ctx)
	}
}
