package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUncut(t *testing.T) {
	tests := []struct{ text, want string }{
		{`{"a":1,"b":[{"c":"d`, `{"a":1,"b":[{"c":"d"}]}`},
		{`{"a":1,"b":[{"c":"d\`, `{"a":1}`}, // within an escape
		{`{"a":1,"b":[{"c":"d\"`, `{"a":1,"b":[{"c":"d\""}]}`},
		{`{"a":1,"b":[{"c"`, `{"a":1}`}, // no value yet
		{`{"a":1,"b":[{"c`, `{"a":1}`},  // within a name
		{`{"a":1,"b":2`, `{"a":1}`},     // a number may go on
		{`{"a":1,"b":tr`, `{"a":1}`},
		{`{"a":1,"b":[2,3] `, `{"a":1,"b":[2,3] }`},
		{`{"a":1,"b":[2,3],`, `{"a":1,"b":[2,3]}`},
		{`[{"a":{"b":"}"}`, `[{"a":{"b":"}"}}]`},
		{`[{"a":"b"},{"c":1`, `[{"a":"b"}]`},
		{`{"a":"long`, `{"a":"long"}`},
		{`{"a":1`, ""},
		{`{oops, no`, ""},
		{`{]`, ""},
		{`plain, text`, ""},
		{`{}`, ""},
		{`{"a":"b`, `{"a":"b"}`},
		{``, ""},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, string(repairJSON([]byte(tt.text))), tt.text)
	}
}

// What an event or a whole answer brings may be long and of any form. A reader that
// looks at all that is open anew for each comma is not through with this one today.
func TestUncutInOnePass(t *testing.T) {
	const many = 6 << 20
	text := strings.Repeat("[", many) + strings.Repeat(",", many)
	assert.Nil(t, repairJSON([]byte(text)))
}

// FuzzUncut: what gets an end is JSON.
func FuzzUncut(f *testing.F) {
	f.Add([]byte(`{"error":{"code":429,"message":"m\"","details":[{"retryDelay":"46s"},{"violations":[{"quotaId":"PerDay"}]}]}}`), 50)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		if json.Valid(text) && at >= 0 && at < len(text) {
			text = text[:at]
		}
		before := bytes.Clone(text)
		got := repairJSON(text)
		assert.Equal(t, before, text, "it only reads")
		if got != nil && !json.Valid(got) {
			t.Errorf("repairJSON(%q) = %q", text, got)
		}
	})
}
