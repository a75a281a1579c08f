package files_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/examples/internal/files"
)

func TestIsOneOf(t *testing.T) {
	folder := t.TempDir()
	there, link, other := filepath.Join(folder, "there"), filepath.Join(folder, "link"), filepath.Join(folder, "other")
	require.NoError(t, os.WriteFile(there, nil, 0o600))
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	require.NoError(t, os.Symlink(there, link))
	assert.True(t, files.IsOneOf(there, other, there))
	assert.True(t, files.IsOneOf(link, there))
	assert.True(t, files.IsOneOf("./none", "none"), "neither is there")
	assert.False(t, files.IsOneOf("none", "never"))
	assert.False(t, files.IsOneOf(there, other, "none", ""))
	assert.False(t, files.IsOneOf("", ""))
	assert.False(t, files.IsOneOf("", "."), "no file is not this folder")
}

func TestWriteJSON(t *testing.T) {
	const want = "{\n\t\"a\": 1\n}\n"
	var out bytes.Buffer
	value := map[string]int{"a": 1}
	require.NoError(t, files.WriteJSON("", &out, value))
	assert.Empty(t, out.String(), "there is no file")
	require.NoError(t, files.WriteJSON("-", &out, value))
	assert.Equal(t, want, out.String())
	name := filepath.Join(t.TempDir(), "figures.json")
	require.NoError(t, files.WriteJSON(name, nil, value))
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, want, string(content))
	assert.Error(t, files.WriteJSON(filepath.Join(name, "none"), nil, value))
}
