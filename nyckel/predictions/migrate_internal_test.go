package predictions

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMigrationFiles(t *testing.T) {
	files := fstest.MapFS{
		"0001_a.sqlite.sql":   {Data: []byte("first\r\nline")},
		"0002_b.sqlite.sql":   {},
		"0001_a.postgres.sql": {},
	}
	found, err := migrations(files, SQLite)
	require.NoError(t, err)
	assert.Equal(t, []migration{{"0001_a.sqlite.sql", "first\nline"}, {"0002_b.sqlite.sql", ""}}, found)

	_, err = migrations(files, Dialect{})
	assert.Error(t, err, "a dialect that is none")
	for _, name := range []string{"0004_gap.sqlite.sql", "0002_again.sqlite.sql", "x_nameless.sqlite.sql"} {
		files[name] = &fstest.MapFile{}
		_, err := migrations(files, SQLite)
		assert.ErrorContains(t, err, "want number ", name)
		delete(files, name)
	}
}
