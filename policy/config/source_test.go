package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/config"
)

// What stands where, as it stands there, is known after a file was read.
func TestSourcePlaces(t *testing.T) {
	var into struct {
		Name  string
		Words []string
		Again string
	}
	reader := config.Reader{Lookup: func(string) (string, bool, error) { return "value", true, nil }}
	source := reader.Decode("f.yaml", []byte("name: &n ${NAME}\nwords:\n  - one\n  - two\nagain: *n\n"), &into)
	require.Empty(t, source.Errors())
	assert.Equal(t, "value", into.Again)

	for path, want := range map[string]string{"Name": "${NAME}", "Words[1]": "two", "Again": "${NAME}", "Words": "", "Other": ""} {
		assert.Equal(t, want, source.Text(path), path)
	}
	for path, want := range map[string]int{"Name": 1, "Words[1]": 4, "Words[7]": 3, "Again": 5} {
		assert.Equal(t, want, source.Line(path), path)
	}
}
