// Package tickets holds short labelled texts as customers of a support desk write
// them. They were written and shaped for the demos: how well a model does on them
// says nothing about real mail.
package tickets

import (
	"bytes"
	_ "embed"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

// Name is what messages call the texts.
const Name = "corpus.csv"

//go:embed corpus.csv
var corpus []byte

// Rows returns the texts.
func Rows() ([]dataset.Row, error) { return dataset.Read(Name, bytes.NewReader(corpus)) }
