package files_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/internal/files"
)

func TestSame(t *testing.T) {
	folder := t.TempDir()
	one, link, other := filepath.Join(folder, "one"), filepath.Join(folder, "link"), filepath.Join(folder, "other")
	require.NoError(t, os.WriteFile(one, nil, 0o600))
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	require.NoError(t, os.Symlink(one, link))
	assert.True(t, files.Same(one, filepath.Join(folder, ".", "one")))
	assert.True(t, files.Same(one, link))
	assert.False(t, files.Same(one, other))
	assert.False(t, files.Same(one, filepath.Join(folder, "none")))
	assert.False(t, files.Same("", ""))
}
