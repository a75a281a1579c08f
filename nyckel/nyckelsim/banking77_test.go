package nyckelsim_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

// banking77 returns one half of the Banking77 data: questions of a bank's
// customers with 77 labels (PolyAI, CC BY 4.0). The files are too large for the
// repository; they are looked for beside it.
func banking77(t testing.TB, half string) []nyckelsim.Sample {
	t.Helper()
	if testing.Short() {
		t.Skip("short: learning Banking77 takes seconds")
	}
	if testing.CoverMode() == "atomic" {
		t.Skip("atomic counters (-race -cover): learning Banking77 would take minutes")
	}
	path := filepath.Join("..", "..", "..", "shared", "data", "banking77-"+half+".csv")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no data: %s is not there", path)
	}
	require.NoError(t, err)
	defer f.Close()
	rows, err := dataset.Read(path, f)
	require.NoError(t, err)
	samples := make([]nyckelsim.Sample, 0, len(rows))
	for _, row := range rows {
		samples = append(samples, nyckelsim.Sample{Text: row.Text, Label: row.Label})
	}
	return samples
}

func TestBanking77(t *testing.T) {
	train, test := banking77(t, "train"), banking77(t, "test")
	c := newClient(t, nyckelsim.Config{Rate: -1})
	function := c.sim.AddFunction("banking")
	require.NoError(t, c.sim.Import(function, train))
	start := time.Now()
	_, err := c.sim.Train(function)
	require.NoError(t, err)
	training := time.Since(start)

	right, confidence := 0, 0.0
	for _, sample := range test {
		got := c.invoke(function, sample.Text)
		require.Equal(t, 200, got.status, got.raw)
		confidence += got.body["confidence"].(float64)
		if got.body["labelName"] == sample.Label {
			right++
		}
	}
	accuracy := float64(right) / float64(len(test))
	confidence /= float64(len(test))
	t.Logf("accuracy %.4f, mean confidence %.4f on %d texts; training on %d took %v",
		accuracy, confidence, len(test), len(train), training)
	assert.GreaterOrEqual(t, accuracy, 0.90)
	assert.InDelta(t, accuracy, confidence, 0.05, "confidence should be what it says: how often the answer is right")
}
