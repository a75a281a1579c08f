package tickets_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset/tickets"
)

func TestRows(t *testing.T) {
	rows, err := tickets.Rows()
	require.NoError(t, err)
	labels := map[string]int{}
	for _, row := range rows {
		labels[row.Label]++
	}
	require.Len(t, labels, 14)
	for label, n := range labels {
		require.GreaterOrEqual(t, n, 55, label)
	}
}
