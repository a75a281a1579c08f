package pin

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A disk that takes nothing leaves the pin as it was.
func TestJournalThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pins.jsonl")
	j, err := Open(path)
	require.NoError(t, err)
	defer j.Close()
	by := By{Actor: "ann", Reason: "because"}
	_, err = j.Set("tickets", "one", by)
	require.NoError(t, err)
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	writable := j.file
	j.file, err = os.Open(path)
	require.NoError(t, err)
	defer writable.Close()
	_, err = j.Set("tickets", "two", by)
	require.ErrorContains(t, err, "pin: not changed: ")
	_, err = j.Set("tickets", "two", by)
	require.ErrorContains(t, err, "what is in "+path+" is not known", "it could not be put right either")
	model, _ := j.Pin("tickets")
	require.Equal(t, "one", model)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
}
