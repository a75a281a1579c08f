package transport

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The file has no name while it is in use, so that a crash leaves nothing.
func TestSpoolFileHasNoName(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open keeps its name")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := spool{maxMemory: 1, max: 10}
	require.NoError(t, s.add([]byte("hello")))
	require.NotNil(t, s.file)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, names)
	s.free()
}

// Where there is to be no file there is none, though a read that was under way brings
// more than there is room for.
func TestSpoolWithoutFile(t *testing.T) {
	s := spool{maxMemory: 3, max: 3}
	require.NoError(t, s.add([]byte("hello")))
	assert.Nil(t, s.file)
	assert.Equal(t, int64(5), s.size())
}
