package cache

import (
	"net/http"
	"slices"
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
		defer room.forgetHeader()
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

// Where one list ends and the next begins counts.
func TestKeyParts(t *testing.T) {
	start := keyParts(nil)
	assert.NotEqual(t, start.addAll([]string{"a", "b"}).addAll(nil), start.addAll([]string{"a"}).addAll([]string{"b"}))
	one := []field{{name: "a"}}
	assert.NotEqual(t, start.addFields(one).addFields(nil), start.addFields(nil).addFields(one))
}

// A room that waits for its next question has nothing of the last one: no input, and
// no credential of a caller without an identity.
func TestScratchWiped(t *testing.T) {
	const secret = "hush"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.test/a", strings.NewReader(`{"b":"hush","a":"hush"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", secret)
	req.Header.Set("X-Foo", secret)
	room := new(scratch)
	room.readQuestion(req.Header)
	text, ok := room.snapshot(req, false)
	require.True(t, ok)
	text, ok = room.meaning(text)
	require.True(t, ok)
	room.keyOf(req, policy.Call{}, text)

	all := func() []byte {
		return slices.Concat(room.body[:cap(room.body)], room.parts[:cap(room.parts)],
			room.parser.out[:cap(room.parser.out)], room.parser.unsorted[:cap(room.parser.unsorted)])
	}
	require.Equal(t, 2+4+2+2, strings.Count(string(all()), secret), "or the test looks at the wrong places")
	room.wipe()
	assert.Equal(t, make([]byte, len(all())), all())
	for _, fields := range [][]field{room.header.question, room.header.credentials} {
		assert.Equal(t, make([]field, cap(fields)), fields[:cap(fields)])
	}
	assert.Equal(t, document{}, room.parser.doc)
	assert.Nil(t, room.parser.in)
}
