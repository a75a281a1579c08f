package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// FuzzIsJSON compares what counts as JSON with what does for package encoding/json.
func FuzzIsJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{a:1}`, "{\"a\"\t:\r\n1 , \"b\":[ ] }", `{"a":1`, `{"a":1 "b":2}`,
		`[]`, `[ ]`, `[1,2]`, `[1,]`, `[,]`, `[1 2]`, `[[],{}]`, `[`, `[}`, `]`,
		`""`, `"a`, `"\"`, `"\\"`, `"\u00e9\n\/"`, `"\u00g9"`, `"\u00e`, `"\x"`, "\"\n\"", "\"\x7f\xff\"",
		`0`, `-0`, `-`, `01`, `1.`, `.5`, `1.5`, `1e`, `1e+`, `1E-2`, `1.e5`, `+1`, `-1.0e+07`, `0e0`, `--1`,
		`true`, `false`, `null`, `tru`, `nulll`, `True`, ``, ` `, `1 1`, `{} x`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if trimmed := strings.Trim(string(text), jsonSpace); trimmed != string(text) {
			return // space around it is somebody else's
		}
		if got, want := isJSON(text), json.Valid(text); got != want {
			t.Errorf("isJSON(%q) = %v, want %v", text, got, want)
		}
	})
}

// What is nested too deep is not read, as with package encoding/json.
func TestJSONDepth(t *testing.T) {
	for _, brackets := range [][2]string{{"[", "]"}, {`{"":`, "}"}} {
		nested := func(depth int) []byte {
			return []byte(strings.Repeat(brackets[0], depth-1) + "[]" + strings.Repeat(brackets[1], depth-1))
		}
		for depth, want := range map[int]bool{maxJSONDepth: true, maxJSONDepth + 1: false} {
			assert.Equal(t, want, isJSON(nested(depth)), "depth %d", depth)
			assert.Equal(t, want, json.Valid(nested(depth)), "depth %d", depth)
		}
	}
}

// Of a text that turns out to be no JSON in the end, nothing counts but the text.
func TestEnvelopeOfHalfAnObject(t *testing.T) {
	for _, body := range []string{
		`{"request_id":"r","estimated_time":20,"error":{"code":"c"}} and more`,
		`[{"request_id":"r","estimated_time":20,"error":{"code":"c"}} and more]`,
		`{"request_id":"r","estimated_time":20,"error":{"code":"c"},}`,
	} {
		assert.Equal(t, envelope{message: body}, readEnvelope([]byte(body)))
	}
}
