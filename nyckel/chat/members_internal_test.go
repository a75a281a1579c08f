package chat

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// FuzzMembers compares what is taken for an object with what package encoding/json
// does. A name that comes twice is where they part.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{
		`{"label":"a","confidence":0.5}`, ` {"a" : {"a":[1,{}]} , "A":null} `, `{"a":1,"\u0061":2}`, `{"a":1,}`, `{"a" 1}`, `{"a":1 "b":2}`,
		`{,}`, `{"a":1}}`, `{"a":1}{}`, `[]`, `null`, `"a"`, `{`, ``, `{"a":nul}`, `{1:2}`, "{\"\xff\":1,\"\xfe\":2}", `{"a":"` + "\n" + `"}`,
		strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := members(text)
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(text, &want)
		switch {
		case err != nil && len(err.Error()) > 200:
			t.Errorf("members(%q) quotes too much: %v", text, err)
		case err != nil && err.Error() == "a name that comes twice":
		case (err == nil) != (wantErr == nil && want != nil):
			t.Errorf("members(%q) error = %v, encoding/json: %v", text, err, wantErr)
		case err == nil && !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))):
			t.Errorf("members(%q) = %q, want %q", text, got, want)
		}
	})
}
