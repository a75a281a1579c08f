package nyckel

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/transport/plan"
)

// A function that the file does not have is not pinned to the newest model by it.
func TestLivePins(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	const text = "version: 1\naccounts: {a: {client_id: me, client_secret: x}}\nfunctions: {f: {id: f, model: m}, newest: {id: n}}\n"
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	for function, want := range map[string]struct {
		model string
		ok    bool
	}{"f": {"m", true}, "newest": {"", true}, "gone": {"", false}} {
		model, ok := livePins{live}.Pin(function)
		assert.Equal(t, want.model, model, function)
		assert.Equal(t, want.ok, ok, function)
	}

	for _, functions := range []string{"{f: {id: f, model: m2}}", "{newest: {id: n}}"} { // f goes, with the model that it had then
		require.NoError(t, os.WriteFile(name, []byte("version: 1\naccounts: {a: {client_id: me, client_secret: x}}\nfunctions: "+functions+"\n"), 0o600))
		live.Poll(t.Context())
		live.Poll(t.Context())
		require.Empty(t, live.Status().Problems)
		model, ok := livePins{live}.Pin("f")
		assert.Equal(t, "m2", model)
		assert.True(t, ok)
	}
}
