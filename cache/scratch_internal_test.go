package cache

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// A room that was used before makes the same keys as a new one.
func TestScratchKeys(t *testing.T) {
	keyIn := func(room *scratch, call policy.Call, text string) key {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.test/a", nil)
		require.NoError(t, err)
		req.Header.Set("X-Foo", "a")
		room.readQuestion(req.Header)
		defer room.forgetHeading()
		return room.keyOf(req, call, []byte(text))
	}
	used := new(scratch)
	seen := make(map[key]string)
	for _, text := range []string{"a", "a", "b", "a", "", "aa", "a", strings.Repeat("a", 1000), "a"} {
		for _, identity := range []string{"x", "x", "y"} {
			call := policy.Call{Identity: identity}
			got, name := keyIn(used, call, text), identity+" "+text
			assert.Equal(t, keyIn(new(scratch), call, text), got, name)
			if first, ok := seen[got]; ok {
				assert.Equal(t, first, name, "have one key")
			}
			seen[got] = name
		}
	}
	assert.Len(t, seen, 10)
}
