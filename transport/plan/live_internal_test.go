package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stack that is made while a plan is put in force has the settings of that plan, and
// calls ask for their model meanwhile.
func TestLiveStackMadeWhileApplying(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	write := func(seconds int) {
		text := fmt.Sprintf("version: 1\ndefaults: {total: %ds}\naccounts: {main: {client_id: a, client_secret: bcde}}\nfunctions:\n  search: {id: function_1, model: m%d}\n", seconds, seconds)
		for i := range 200 { // they take their time
			text += fmt.Sprintf("  one%d: {}\n", i)
		}
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	write(1)
	live, err := Open(name, Options{})
	require.NoError(t, err)

	for seconds := 2; seconds < 6; seconds++ {
		write(seconds)
		live.Poll(t.Context())
		var others sync.WaitGroup
		others.Go(func() { live.Poll(t.Context()) })
		for i := range 300 {
			live.Layer(fmt.Sprintf("other%d.%d", seconds, i))
			live.Model("search")
		}
		others.Wait()
	}
	require.Empty(t, live.Status().Problems)
	model, _ := live.Model("search")
	assert.Equal(t, "m5", model)
	for function, stack := range live.stacks {
		assert.Equal(t, "5s", stack.Stack().Total.String(), function)
	}
}
