package dataset_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

func TestSplit(t *testing.T) {
	var rows []dataset.Row
	for label, n := range map[string]int{"many": 10, "few": 3, "one": 1} {
		for i := range n {
			rows = append(rows, dataset.Row{Text: fmt.Sprint(label, i), Label: label})
		}
	}
	for _, tt := range []struct {
		share float64
		least int
		want  map[string]int
	}{
		{0.39, 0, map[string]int{"many": 3, "few": 1}},
		{0.39, 2, map[string]int{"many": 3, "few": 2, "one": 1}},
		{0, 0, map[string]int{}},
		{1, 0, map[string]int{"many": 10, "few": 3, "one": 1}},
	} {
		taken, rest := dataset.Split(rand.New(rand.NewPCG(1, 1)), rows, tt.share, tt.least)
		count := map[string]int{}
		for _, row := range taken {
			count[row.Label]++
		}
		assert.Equal(t, tt.want, count)
		assert.ElementsMatch(t, rows, append(taken, rest...), "each row is in one of the two")
	}
}

// Which rows are taken follows from the random numbers, and not from where they stand.
func TestSplitIsRandom(t *testing.T) {
	rows := make([]dataset.Row, 100)
	for i := range rows {
		rows[i].Line = i
	}
	taken := func(seed uint64) []dataset.Row {
		taken, _ := dataset.Split(rand.New(rand.NewPCG(seed, 1)), rows, 0.5, 0)
		return taken
	}
	assert.Equal(t, taken(1), taken(1))
	assert.NotEqual(t, taken(1), taken(2))
	for i, row := range rows {
		assert.Equal(t, i, row.Line, "the rows given stay as they are")
	}
}

func ExampleUnseen() {
	learned := []dataset.Row{{Text: "Where is my order?", Label: "shipping"}}
	asked := []dataset.Row{{Text: "where is  MY order?", Label: "shipping"}, {Text: "Where is it?", Label: "shipping"}}
	for _, row := range dataset.Unseen(asked, learned) {
		fmt.Println(row.Text)
	}
	// Output: Where is it?
}
