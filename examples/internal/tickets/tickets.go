// Package tickets has the texts of the demos: those of
// [github.com/sparekey/sparekey/nyckel/nyckelsim/dataset/tickets].
package tickets

import (
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset/tickets"
)

// Name is what messages call the texts.
const Name = tickets.Name

// Rows returns the texts.
func Rows() ([]dataset.Row, error) { return tickets.Rows() }
