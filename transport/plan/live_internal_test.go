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
		text := fmt.Sprintf("version: 1\ndefaults: {total: %ds}\nfunctions: {search: {id: function_1, model: m%d}}\naccounts: {main: {client_id: a, client_secret: bcde}}\n", seconds, seconds)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	write(1)
	live, err := Open(name, Options{})
	require.NoError(t, err)

	var others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				live.Layer(fmt.Sprintf("other%d", i%20))
				live.Model("search")
			}
		}
	})
	for seconds := 2; seconds < 6; seconds++ {
		write(seconds)
		live.Poll(t.Context())
		live.Poll(t.Context())
	}
	close(stop)
	others.Wait()
	require.Empty(t, live.Status().Problems)
	model, _ := live.Model("search")
	assert.Equal(t, "m5", model)
	for function, stack := range live.stacks {
		assert.Equal(t, "5s", stack.Stack().Total.String(), function)
	}
}
