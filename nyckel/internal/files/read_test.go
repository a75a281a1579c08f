package files

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	_, err := Read(name)
	assert.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(name, []byte("content"), 0o600))
	content, err := Read(name)
	require.NoError(t, err)
	assert.Equal(t, "content", string(content))
}

// What may have no end is not read for ever; a file is, whatever its size.
func TestOpenBounds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte("content"), 0o600))
	f, err := open(name, 6)
	require.NoError(t, err)
	content, err := io.ReadAll(f)
	require.NoError(t, err)
	assert.Equal(t, "content", string(content))
	require.NoError(t, f.Close())

	f, err = open(filepath.Dir(name), 6)
	require.NoError(t, err)
	assert.IsType(t, &stream{}, f)
	require.NoError(t, f.Close())

	for most, want := range map[int]string{7: "", 6: "read |0: more than 6 bytes, which only a regular file may have"} {
		for _, bytewise := range []bool{false, true} {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			_, err = w.WriteString("content")
			require.NoError(t, err)
			require.NoError(t, w.Close())
			s := &stream{r, most, most}
			in := io.Reader(s)
			if bytewise {
				in = iotest.OneByteReader(s)
			}
			content, err := io.ReadAll(in)
			assert.Equal(t, "content"[:most], string(content))
			if want == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, want)
			}
			assert.NoError(t, s.Close())
		}
	}
}
