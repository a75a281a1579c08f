package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A link does not hide on which file system the file is. That of /proc stands for one
// of another machine.
func TestOpenLinkToNetwork(t *testing.T) {
	const proc = 0x9fa0
	network[proc] = "proc"
	defer delete(network, proc)
	link := filepath.Join(t.TempDir(), "predictions.db")
	require.NoError(t, os.Symlink("/proc/self/comm", link))
	_, err := Open(t.Context(), link, Options{})
	assert.ErrorIs(t, err, ErrNetwork)
}
